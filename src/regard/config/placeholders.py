"""Placeholders of a recipe: `{NAME}` in its texts and overrides, filled in by `--with NAME=VALUE`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any, TypeVar

from regard.config.overrides import Override
from regard.errors import ConfigError, suggest

PLACEHOLDER = re.compile(r"\{([a-z][a-z0-9_]*)\}")
NAME = re.compile("[a-z][a-z0-9_]*")
VALUE = re.compile(r"\w[\w.+@-]*")  # it can be part of the name of a folder

Placeholders = Mapping[str, str]
"""The value of each placeholder, by name."""

T = TypeVar("T")


def parse_placeholders(texts: Sequence[str], where: str) -> dict[str, tuple[str, ...]]:
    """Return the values of each placeholder in texts such as `language=ang,ara`, without repetitions.

    Args:
        texts: The texts. A name that occurs in several of them has the values of all.
        where: The option, for errors.

    Raises:
        ConfigError: A text is not of that form, or a name or a value has other characters than it may have.
    """
    values: dict[str, dict[str, None]] = {}
    for text in texts:
        name, equals, listed = text.partition("=")
        if not equals:
            raise ConfigError(
                f"`{text}` is not of the form NAME=VALUE", where=where, fix="write for example language=tur"
            )
        for value in listed.split(","):
            check_placeholders({name.strip(): value.strip()}, where)
            values.setdefault(name.strip(), {})[value.strip()] = None
    return {name: tuple(listed) for name, listed in values.items()}


def check_placeholders(placeholders: Placeholders, where: str) -> None:
    """Raise ConfigError if a name or a value is not a text, or has other characters than it may have."""
    if not isinstance(placeholders, Mapping):
        raise ConfigError(
            f"the values of placeholders are not a mapping: {placeholders!r}",
            where=where,
            fix="give for example {'language': 'tur'}",
        )
    for name, value in placeholders.items():
        if not isinstance(name, str) or not NAME.fullmatch(name):
            raise ConfigError(
                f"`{name}` cannot be the name of a placeholder",
                where=where,
                fix="a name has lower-case letters, digits and `_`, as in language=tur",
            )
        if not isinstance(value, str) or not VALUE.fullmatch(value):
            raise ConfigError(
                f"{value!r} cannot be the value of the placeholder `{name}`",
                where=where,
                fix="a value has letters, digits and . _ + @ -, because folders are named after it",
            )


def single_values(values: Mapping[str, Sequence[str]], where: str) -> dict[str, str]:
    """Return the only value of each placeholder. Raise ConfigError if one has several."""
    for name, several in values.items():
        if len(several) > 1:
            raise ConfigError(
                f"the placeholder `{name}` has {len(several)} values, and one model is trained",
                where=where,
                fix="give one value; `regard compare` trains models for each of several values",
            )
    return {name: several[0] for name, several in values.items()}


def combine_values(values: Mapping[str, Sequence[str]]) -> list[dict[str, str]]:
    """Return every combination of the values of several placeholders, the last of which varies fastest."""
    return [dict(zip(values, combination, strict=True)) for combination in product(*values.values())]


def placeholder_names(value: object) -> set[str]:
    """Return the names of the placeholders in a text, or in all texts of a list or a table."""
    if isinstance(value, str):
        return set(PLACEHOLDER.findall(value))
    parts = value.values() if isinstance(value, Mapping) else value if isinstance(value, list | tuple) else ()
    return {name for part in parts for name in placeholder_names(part)}


def fill_placeholders(value: T, placeholders: Placeholders) -> T:
    """Return a text, or a list or table with texts, with the values in place of the placeholders that have one."""
    filled: Any = value
    if isinstance(value, str):
        filled = PLACEHOLDER.sub(lambda match: placeholders.get(match[1], match[0]), value)
        filled = Override(filled, value.origin) if isinstance(value, Override) else filled
    elif isinstance(value, Mapping):
        filled = {key: fill_placeholders(part, placeholders) for key, part in value.items()}
    elif isinstance(value, list | tuple):
        filled = [fill_placeholders(part, placeholders) for part in value]
    return filled  # type: ignore[no-any-return]


def refuse_unknown_placeholders(placeholders: Placeholders, names: set[str], where: str | Path) -> None:
    """Raise ConfigError if a placeholder is none of `names`, those that a recipe and its overrides have."""
    for name in sorted(placeholders.keys() - names):
        raise ConfigError(
            f"the recipe has no placeholder {{{name}}}",
            where=where,
            fix=suggest(name, sorted(names)) if names else f"write {{{name}}} into a path, or leave out `{name}`",
        )


def missing_placeholder(text: str, where: str) -> ConfigError:
    """Return the error that a placeholder in a text has no value."""
    name = PLACEHOLDER.findall(text)[0]
    return ConfigError(
        f"the placeholder {{{name}}} has no value",
        where=where,
        fix=f"give one: --with {name}=VALUE, or in Python placeholders={{'{name}': 'VALUE'}}",
    )
