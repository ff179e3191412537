"""Records with keys, as JSONL, Parquet and Hugging Face datasets have them: which two of the keys are the sides."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from regard.corpus.corpus import Pair, Skipped, surrogate_reason
from regard.corpus.formats.sides import Sides, matches_language
from regard.errors import DataError

KeyPath = tuple[str, ...]  # a key, and the keys in it

_LISTED = 30  # keys that an error names


def find_key_paths(record: Mapping[str, Any], sides: Sides, where: str) -> tuple[KeyPath, KeyPath]:
    """The ways to source and target in records of this kind; the values of `record` count only where they are objects.

    By the columns that are asked for; else `source` and `target`; else keys that are the languages asked for, on top or
    in an object called `translation`. Raises DataError, with the keys that there are.
    """
    if sides.source_column or sides.target_column:
        return _asked(record, sides.source_column, where), _asked(record, sides.target_column, where)
    if "source" in record and "target" in record:
        return ("source",), ("target",)
    inner = record.get("translation")
    for keys, before in ((record, ()), (inner, ("translation",))):
        if isinstance(keys, Mapping) and sides.source_language and sides.target_language:
            source, target = (_spoken(keys, wanted) for wanted in (sides.source_language, sides.target_language))
            if source and target and source != target:
                return (*before, source), (*before, target)
    raise DataError(
        f"which keys are source and target is not clear: there are {_listed(record)}",
        where=where,
        fix="give --source-column and --target-column, or --source-language and --target-language "
        "(in a recipe data.source_column and so on)",
    )


def extract_pair(record: object, source: KeyPath, target: KeyPath, line: int) -> Pair | Skipped:
    """The pair of a record, or why it has none."""
    texts = []
    for name, way in (("source", source), ("target", target)):
        value = record
        for key in way:
            if not isinstance(value, Mapping) or key not in value:
                return Skipped(f"there is no key {'.'.join(way)!r}", line)
            value = value[key]
        if not isinstance(value, str):
            return Skipped(f"the {name} is {'missing' if value is None else 'no text'}", line)
        if why := surrogate_reason(value):
            return Skipped(why, line)
        texts.append(value)
    return Pair(texts[0], texts[1], line)


def _asked(record: Mapping[str, Any], column: str, where: str) -> KeyPath:
    """The way that `a` or `a.b` means; a key with a point in its name comes first."""
    ways = [(column,), tuple(column.split("."))]
    for way in ways:
        value: object = record
        for key in way:
            value = value.get(key, _NOTHING) if isinstance(value, Mapping) else _NOTHING
        if value is not _NOTHING:
            return way
    raise DataError(
        f"there is no key {column!r}; there are {_listed(record)}",
        where=where,
        fix="change --source-column or --target-column (in a recipe data.source_column, data.target_column)",
    )


_NOTHING = object()


def _spoken(keys: Mapping[str, Any], wanted: str) -> str:
    speaking = [key for key in keys if matches_language(key, wanted)]
    return next((key for key in speaking if matches_language(wanted, key)), speaking[0] if speaking else "")


def _listed(record: Mapping[str, Any]) -> str:
    """The keys, those in objects with a point, shortened where there are many."""
    names = [
        f"{key}.{inner}" if inner else key
        for key, value in record.items()
        for inner in (value if isinstance(value, Mapping) and value else [""])
    ]
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return (", ".join(repr(name[:50]) for name in names[:_LISTED]) or "none") + more
