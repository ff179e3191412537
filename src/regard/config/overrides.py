"""Overrides of a recipe, `section.key=value`, and where each was given: an option, or an argument of Python."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from regard.config.data_folder import find_data_file
from regard.config.migrations import current_key
from regard.config.schema import DATA_PATHS
from regard.errors import ConfigError

DATASET = "dataset"  # a path if there is such a folder, otherwise a name on the Hugging Face hub
PATHS = {"data": (*DATA_PATHS, DATASET), "start": ("checkpoint",)}  # keys of each section that hold paths
HUB = "hf:"  # before the name of a model on the Hugging Face hub, where a run or a checkpoint can be named
OVERRIDES = "overrides"  # where an override was given, if it does not know better

Overrides = Sequence[str] | Mapping[str, object]
"""`section.key=value` texts, or a mapping from `section.key` to value."""


class Override(str):
    """A text `section.key=value` that knows where it was given.

    Attributes:
        origin: For messages, such as `--minutes` on the command line or `minutes` in Python.
    """

    origin: str

    def __new__(cls, text: str, origin: str) -> Override:
        """Return the text with its origin."""
        override = super().__new__(cls, text)
        override.origin = origin
        return override


class ParsedOverride(NamedTuple):
    """An override, with its value as TOML reads it. A key with a dot is one of a nested table."""

    section: str
    key: str
    value: Any
    origin: str


def to_overrides(overrides: Overrides) -> list[str]:
    """Return the texts `section.key=value` of a sequence, of a mapping, or of a single text."""
    if isinstance(overrides, str):
        return [overrides]
    if isinstance(overrides, Mapping):
        return [f"{key}={json.dumps(value, ensure_ascii=False, default=str)}" for key, value in overrides.items()]
    return list(overrides)


def parse_override(text: str) -> ParsedOverride:
    """Parse `section.key=value` or, for a nested table, `section.table.key=value`. Raise ConfigError.

    Values are written as in TOML; bare words are strings.
    """
    origin = text.origin if isinstance(text, Override) else OVERRIDES
    name, equals, value = text.partition("=")
    section, _, key = name.strip().partition(".")
    if not (equals and section and all(key.split("."))) or key.count(".") > 1:
        raise ConfigError(
            f"`{text}` is not of the form section.key=value", where=origin, fix="write for example train.seed=7"
        )
    try:
        table = tomllib.loads(f"value = {value}")
    except (ValueError, RecursionError):
        table = {}
    parsed = table["value"] if len(table) == 1 else value.strip()  # a bare word or a path is a string
    if key in PATHS.get(section, ()) and isinstance(parsed, str):
        parsed = resolve_path(key, parsed, Path(), f"{origin}: {section}.{key}")
    return ParsedOverride(section, key, parsed, origin)


def parse_overrides(overrides: Sequence[str]) -> dict[str, Any]:
    """Return the value of each `section.key` that overrides set. Raise ConfigError."""
    return {f"{section}.{key}": value for section, key, value, _ in map(parse_override, overrides)}


def override_origins(overrides: Sequence[str], architecture: str) -> dict[str, str]:
    """Return where each `section.key` that overrides set was given, by today's names of the keys."""
    parsed = map(parse_override, overrides)
    return {f"{section}.{current_key(section, key, architecture)}": origin for section, key, _, origin in parsed}


def resolve_path(key: str, path: str, folder: Path, where: str) -> str:
    """Return the absolute form of a path; a name on the hub is returned as it is. Raise ConfigError."""
    try:
        is_name = key == DATASET or (key == "checkpoint" and path.startswith(HUB))
        if is_name and not (folder / path).is_dir():
            return path
        return str(find_data_file(path, folder).resolve())
    except (OSError, ValueError, RuntimeError) as error:
        raise ConfigError(
            f"{path!r} is not a valid path: {error}", where=where, fix="give the path of a file"
        ) from None
