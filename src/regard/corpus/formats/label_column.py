"""The label of each pair of a table, such as its domain, from a column that is neither source nor target."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from regard.corpus.corpus import surrogate_reason
from regard.corpus.formats.compressed import format_suffix
from regard.corpus.formats.delimited import parse_rows, unquote
from regard.corpus.formats.jsonl import parse_record
from regard.corpus.formats.parquet import read_parquet_column
from regard.corpus.formats.plain import read_lines
from regard.corpus.formats.records import KeyPath, find_column
from regard.errors import DataError

OPTION = "--label-column"
_SEPARATORS = {".tsv": "\t", ".csv": ","}


def read_label_column(path: Path, column: str) -> dict[int, str]:
    """Return the label of each line of a table, stripped, by the line number that its pair has.

    Lines without a label are left out, and so is the first line if it has the names of the columns.

    Args:
        path: A table: TSV, CSV, JSONL or Parquet.
        column: A name; in TSV and CSV also a number counted from 1.

    Raises:
        DataError: The file cannot be read, has another format, or has no such column.
    """
    suffix = format_suffix(path)
    if suffix in _SEPARATORS:
        labels = _delimited(path, column, _SEPARATORS[suffix])
    elif suffix == ".jsonl":
        labels = _jsonl(path, column)
    elif suffix == ".parquet":
        labels = enumerate(read_parquet_column(path, column, OPTION), start=1)
    else:
        raise DataError(
            f"a {suffix or 'plain'} file has no columns",
            where=path,
            fix=f"remove {OPTION}, or give a table (.tsv, .csv, .jsonl, .parquet)",
        )
    return {line: label.strip() for line, label in labels}


def _delimited(path: Path, column: str, separator: str) -> Iterator[tuple[int, str]]:
    rows = parse_rows(read_lines(path), separator, str(path))
    first = next(rows, None)
    if first is None:
        raise DataError("the file is empty", where=path, fix="give a file with text")
    index = _find_index([unquote(field, separator).strip() for field in first[1]], column, f"{path}:1")
    for line, fields in chain([first] if column.isdecimal() else [], rows):
        if index < len(fields):
            yield line, unquote(fields[index], separator)


def _find_index(names: list[str], column: str, where: str) -> int:
    """Return the index of a column in the first line. Raise DataError if there is none."""
    if column.isdecimal():
        index, available = int(column) - 1, f"there are columns 1 to {len(names)}"
    else:
        index = names.index(column) if column in names else -1
        available = f"the first line has {', '.join(map(repr, names))}"
    if not 0 <= index < len(names):
        shown = column if column.isdecimal() else repr(column)
        raise DataError(f"there is no column {shown}; {available}", where=where, fix=f"change {OPTION}")
    return index


def _jsonl(path: Path, column: str) -> Iterator[tuple[int, str]]:
    key_path: KeyPath = ()
    for number, line in enumerate(read_lines(path), start=1):
        if not line.strip():
            continue
        where = f"{path}:{number}"
        record = parse_record(line, where)
        key_path = key_path or find_column(record, column, where, f"change {OPTION}")
        value: object = record
        for key in key_path:
            value = value.get(key) if isinstance(value, dict) else None
        if value is None:
            continue
        if not isinstance(value, str | int) or surrogate_reason(str(value)):
            raise DataError(f"{column!r} is not text", where=where, fix="write labels as text")
        yield number, str(value)
