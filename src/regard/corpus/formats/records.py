"""Records with keys, as in JSONL, Parquet and Hugging Face datasets: find the two keys that are the sides."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from regard.corpus.corpus import Pair, Skipped, surrogate_reason
from regard.corpus.formats.sides import Sides, matches_language
from regard.corpus.source_columns import make_pair, requested_columns
from regard.errors import DataError

KeyPath = tuple[str, ...]  # a key, and the keys nested in it
KeyPaths = tuple[KeyPath, ...]  # of the columns of the source, then of the target

_FIX = "change source_column or target_column"
_MAX_LISTED = 30  # keys in an error message


def find_key_paths(record: Mapping[str, Any], sides: Sides, where: str) -> KeyPaths:
    """Return the key paths of the source, usually one, and of the target, the last.

    Of the values of `record`, only nested objects matter.

    The keys are the requested columns; else `source` and `target`; else the requested languages, at the top level or
    in an object `translation`. Raises DataError that lists the keys.
    """
    if sides.source_column or sides.target_column:
        sources = find_source_columns(record, sides.source_column, where)
        return *sources, find_column(record, sides.target_column, where)
    if "source" in record and "target" in record:
        return ("source",), ("target",)
    translation = record.get("translation")
    for keys, prefix in ((record, ()), (translation, ("translation",))):
        if isinstance(keys, Mapping) and sides.source_language and sides.target_language:
            source, target = (_find_language(keys, code) for code in (sides.source_language, sides.target_language))
            if source and target and source != target:
                return (*prefix, source), (*prefix, target)
    raise DataError(
        f"it is not clear which keys are source and target: there are {_list_keys(record)}",
        where=where,
        fix="set source_column and target_column, or source_language and target_language",
    )


def find_source_columns(record: Mapping[str, Any], columns: str, where: str, fix: str = _FIX) -> tuple[KeyPath, ...]:
    """Return the key path of each column in a `source_column`. Raises ConfigError, or DataError with `fix`."""
    names = (columns,) if columns in record else requested_columns(columns) or ("",)
    return tuple(find_column(record, name, where, fix) for name in names)


def extract_pair(record: object, key_paths: KeyPaths, line: int) -> Pair | Skipped:
    """Return the pair of a record, or Skipped with the reason."""
    texts = []
    for index, key_path in enumerate(key_paths):
        name = "source" if index < len(key_paths) - 1 else "target"
        value = record
        for key in key_path:
            if not isinstance(value, Mapping) or key not in value:
                return Skipped(f"there is no key {'.'.join(key_path)!r}", line)
            value = value[key]
        if not isinstance(value, str):
            return Skipped(f"the {name} is {'missing' if value is None else 'not text'}", line)
        if reason := surrogate_reason(value):
            return Skipped(reason, line)
        texts.append(value)
    return make_pair(texts[:-1], texts[-1], line)


def find_column(record: Mapping[str, Any], column: str, where: str, fix: str = _FIX) -> KeyPath:
    """Return the key path of `a` or `a.b`; a key with a point in its name takes precedence.

    Raises DataError, with `fix`, if there is no such key.
    """
    for key_path in ((column,), tuple(column.split("."))):
        value: object = record
        for key in key_path:
            value = value.get(key, _MISSING) if isinstance(value, Mapping) else _MISSING
        if value is not _MISSING:
            return key_path
    raise DataError(
        f"there is no key {column!r}; there are {_list_keys(record)}",
        where=where,
        fix=fix,
    )


_MISSING = object()


def _find_language(keys: Mapping[str, Any], code: str) -> str:
    matches = [key for key in keys if matches_language(key, code)]
    return next((key for key in matches if matches_language(code, key)), matches[0] if matches else "")


def _list_keys(record: Mapping[str, Any]) -> str:
    """Return the keys for a message, nested ones with a point, shortened if there are many."""
    names = [
        f"{key}.{inner}" if inner else key
        for key, value in record.items()
        for inner in (value if isinstance(value, Mapping) and value else [""])
    ]
    more = f" and {len(names) - _MAX_LISTED} more" if len(names) > _MAX_LISTED else ""
    return (", ".join(repr(name[:50]) for name in names[:_MAX_LISTED]) or "none") + more
