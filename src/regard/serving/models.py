"""The models that are served: which runs, for which languages, and a newer one in the place of an older."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from babel import Locale

from regard.checkpoint import load_checkpoint
from regard.config import DataConfig
from regard.errors import ConfigError, RegardError
from regard.runfolder import resolve
from regard.serving.limits import Refused, invalid
from regard.translator import Precision, Translator

UNKNOWN = "und"  # ISO 639: the language of a text that nobody has told


@dataclass(frozen=True, eq=False)
class Served:
    """One model for one pair of languages.

    tag: what is before each source of a model of several languages. parameters: how many numbers were trained.
    """

    name: str
    architecture: str
    source: str
    target: str
    tag: str | None
    translator: Translator
    parameters: int

    @property
    def attends(self) -> bool:
        """Whether it has attention to look at."""
        return bool(self.translator.model.decoder.attends)

    def told(self) -> dict[str, Any]:
        """As GET /models has it."""
        names = ("name", "architecture", "source", "target", "attends", "parameters", "tag")
        return {name: getattr(self, name) for name in names}


@dataclass(frozen=True)
class _Loaded:
    stamp: tuple[str, int]
    served: tuple[Served, ...]


class Models:
    """Runs by pairs of languages; the first one named is meant where a client says no name."""

    def __init__(self, runs: Sequence[Path], device: str = "auto", precision: Precision = "float32") -> None:
        """Raises CheckpointError, ConfigError."""
        if not runs:
            raise ConfigError("there is nothing to serve", where="regard serve", fix="name the folder of a run")
        self._runs = dict(zip(_names(runs), runs, strict=True))
        self._machine: tuple[str, Precision] = (device, precision)
        self._loaded = {name: _load(name, run, *self._machine) for name, run in self._runs.items()}
        self._tried = {name: loaded.stamp for name, loaded in self._loaded.items()}

    @property
    def served(self) -> list[Served]:
        """All, in the order of the runs."""
        return [one for loaded in self._loaded.values() for one in loaded.served]

    @property
    def sources(self) -> list[str]:
        """The languages that can be translated from, each once."""
        return list(dict.fromkeys(one.source for one in self.served))

    @property
    def languages(self) -> list[str]:
        """Those, and then those that can only be translated to."""
        return list(dict.fromkeys([*self.sources, *(one.target for one in self.served)]))

    def targets(self, source: str) -> list[str]:
        """The languages that it can be translated to, each once."""
        return list(dict.fromkeys(one.target for one in self.served if one.source == source))

    def pick(self, source: str, target: str, name: str | None = None) -> Served:
        """The model for a pair of languages, by its name where there are several. Raises Refused."""
        served = self.served
        known = {code for one in served for code in (one.source, one.target)}
        for code in (source, target):
            if code not in known:
                raise Refused(400, f"{code[:40]} is not supported")
        pair = [one for one in served if (one.source, one.target) == (source, target)]
        if not pair:
            raise Refused(
                400,
                f"{language_name(target)} ({target}) is not available as a target language from "
                f"{language_name(source)} ({source})",
            )
        for one in pair:
            if name in (None, one.name):
                return one
        near = difflib.get_close_matches(str(name)[:200], [one.name for one in pair], n=1, cutoff=0.0)
        raise invalid(f"there is no such model for these languages; one is {near[0] if near else pair[0].name}")

    def renew(self, say: Callable[[str], None]) -> None:
        """Load what has a newer best checkpoint; the one before serves until that is done, and where it fails."""
        for name, run in self._runs.items():
            try:
                stamp = _stamp(run)
                if stamp == self._tried[name]:
                    continue
                self._tried[name] = stamp
                self._loaded[name] = _load(name, run, *self._machine)
            except (RegardError, OSError, RuntimeError) as error:
                what = error.what if isinstance(error, RegardError) else type(error).__name__
                say(f"{name}: the new checkpoint cannot be loaded, the one before serves on: {what}")
            else:
                say(f"{name}: a new checkpoint serves")


def _names(runs: Sequence[Path]) -> Iterator[str]:
    """The folders' own names, those that come again with a number."""
    seen: set[str] = set()
    for run in runs:
        own = run.resolve().name or "model"
        name, number = own, 2
        while name in seen:
            name, number = f"{own}-{number}", number + 1
        seen.add(name)
        yield name


def _stamp(run: Path) -> tuple[str, int]:
    """What tells a checkpoint from another in its place. Raises CheckpointError, OSError."""
    checkpoint = resolve(run)
    return str(checkpoint), (checkpoint / "config.json").stat().st_mtime_ns


def _load(name: str, run: Path, device: str, precision: Precision) -> _Loaded:
    stamp = _stamp(run)
    checkpoint = load_checkpoint(Path(stamp[0]))
    translator = Translator.load(run, device, precision)
    if _stamp(run) != stamp:  # training has gone on meanwhile
        return _load(name, run, device, precision)
    parameters = sum(one.numel() for one in checkpoint.model.parameters())
    served = (
        Served(
            name=name,
            architecture=checkpoint.config.model.architecture,
            source=source,
            target=target,
            tag=" ".join(tags) or None,
            translator=translator.with_tags(tags) if tags else translator,
            parameters=parameters,
        )
        for source, target, tags in pairs(checkpoint.config.data)
    )
    return _Loaded(stamp, tuple(served))


def pairs(data: DataConfig) -> list[tuple[str, str, tuple[str, ...]]]:
    """Source and target languages with the tags that go before a source, each once; a tag may name the target."""
    found: dict[tuple[str, str, tuple[str, ...]], None] = {}
    for corpus in data.corpora or (data,):
        source = corpus.source_language or data.source_language
        named = next((tag for tag in corpus.tags if language_name(tag) != tag), "")
        target = corpus.target_language or named or data.target_language
        found[_code(source), _code(target), corpus.tags] = None
    return list(found)


def _code(language: str) -> str:
    return language.replace("_", "-").lower() or UNKNOWN


@cache
def _english() -> Locale:
    return Locale.parse("en")


def language_name(code: str) -> str:
    """In English; the code itself where it is none."""
    base, _, rest = code.partition("-")
    name = _english().languages.get(base)
    if name is None:
        return code
    return f"{name} ({rest.upper()})" if rest else str(name)
