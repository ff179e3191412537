"""The object that a plugin's file has: its values by kind and name, checked when it is made."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from regard.errors import ConfigError
from regard.plugins.names import BUILT_IN, NOUNS, RESERVED, Kind

NAME = re.compile(r"[^\W\d][\w-]*")
SUFFIX = re.compile(r"\.[a-z0-9]+")

Score = Callable[[int, int], Any]
Reader = Callable[[Path, Any], Iterable[Any]]
Metric = Callable[[Sequence[str], Sequence[str]], float]


@dataclass(frozen=True, kw_only=True)
class Plugin:
    """What a plugin adds to regard, by name. Recipes and options use the names.

    Attributes:
        architectures: Values of `regard.models.Architecture`, for `model.architecture`.
        scores: Attention scores, for `model.score` of luong2015: each returns a `regard.nn.attention.Score` for the
            sizes of a query and of a key.
        tokenizers: Classes, for `tokenizer.kind`: each has the methods of `regard.tokenizers.base.Tokenizer`, the class
            methods `train(sentences, size)` and `load(folder, name)`, and its name as `kind`.
        searches: Values of `regard.decoding.strategies.Strategy`, for `search.strategy`.
        formats: Readers of files with both sides, by suffix: each yields the `regard.corpus.corpus.Pair`s of a path and
            its `regard.corpus.formats.sides.Sides`.
        metrics: Corpus metrics, for `train.metric` and for tests: each returns the score of hypotheses and references.
            Higher is better.

    Raises:
        ConfigError: A name or a value is not valid.
    """

    architectures: Mapping[str, Any] = field(default_factory=dict)
    scores: Mapping[str, Score] = field(default_factory=dict)
    tokenizers: Mapping[str, type[Any]] = field(default_factory=dict)
    searches: Mapping[str, Any] = field(default_factory=dict)
    formats: Mapping[str, Reader] = field(default_factory=dict)
    metrics: Mapping[str, Metric] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for kind in BUILT_IN:
            values = getattr(self, kind)
            if not isinstance(values, Mapping):
                raise ConfigError(f"`{kind}` is not a table of names and values, but {values!r}")
            for name, value in values.items():
                _check_name(kind, name)
                if problem := _CHECKS[kind](name, value):
                    raise ConfigError(f"the {NOUNS[kind]} `{name}` {problem}")
            object.__setattr__(self, kind, MappingProxyType(dict(values)))

    def values(self, kind: Kind) -> Mapping[str, Any]:
        """Return the values of a kind by name."""
        return getattr(self, kind)  # type: ignore[no-any-return]


def _check_name(kind: Kind, name: object) -> None:
    noun = NOUNS[kind]
    if kind == "formats":
        if not isinstance(name, str) or not SUFFIX.fullmatch(name):
            raise ConfigError(f"{name!r} is not a suffix", fix="write it in lower case, such as `.txt2`")
    elif not isinstance(name, str) or not NAME.fullmatch(name):
        raise ConfigError(
            f"{name!r} is not the name of {_article(noun)}", fix="use letters, digits, `_` and `-`, a letter first"
        )
    if name in BUILT_IN[kind]:
        raise ConfigError(f"regard has {_article(noun)} `{name}` already", fix="choose another name")
    if name in RESERVED.get(kind, ()):
        raise ConfigError(f"{_article(noun)} cannot be called `{name}`", fix="choose another name")


def _article(noun: str) -> str:
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


def _check_architecture(name: str, value: Any) -> str:
    """Return what is wrong with an architecture; empty if nothing is."""
    if not all(hasattr(value, attribute) for attribute in ("config", "build", "presets", "paper")):
        return f"is not a regard.models.Architecture, but {value!r}"
    fields = getattr(value.config, "model_fields", {})
    if "architecture" not in fields:
        return "has a config that is not a subclass of regard.config.schema.ModelConfig"
    default = fields["architecture"].default
    if isinstance(default, str) and default != name:
        return f"has a config whose architecture is {default!r}"
    return ""


def _check_tokenizer(name: str, value: Any) -> str:
    if not isinstance(value, type):
        return f"is not a class, but {value!r}"
    attributes = ("train", "load", "encode", "decode", "pieces", "save", "kind")  # `size` may be set by __init__
    missing = [attribute for attribute in attributes if not hasattr(value, attribute)]
    if missing:
        return f"has no {', '.join(f'`{attribute}`' for attribute in missing)}"
    kind = value.kind  # type: ignore[attr-defined]
    return f"has the kind {kind!r}" if isinstance(kind, str) and kind != name else ""


def _check_search(name: str, value: Any) -> str:
    functions = ("search", "rows", "max_results")
    is_strategy = all(callable(getattr(value, function, None)) for function in functions)
    return "" if is_strategy else f"is not a regard.decoding.strategies.Strategy, but {value!r}"


def _check_function(name: str, value: Any) -> str:
    return "" if callable(value) else f"is not a function, but {value!r}"


_CHECKS: Mapping[Kind, Callable[[str, Any], str]] = {
    "architectures": _check_architecture,
    "scores": _check_function,
    "tokenizers": _check_tokenizer,
    "searches": _check_search,
    "formats": _check_function,
    "metrics": _check_function,
}
