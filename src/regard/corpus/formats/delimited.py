"""TSV and CSV: rows of fields, of which two columns are the sides.

The fields of a TSV file are separated by tabs; there is no quoting. A field of a CSV file may be in double quotes and
then contain commas and line breaks (RFC 4180).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path

from regard.corpus.corpus import Pair, Skipped
from regard.corpus.formats.plain import MAX_LINE_BYTES, read_lines
from regard.corpus.formats.sides import Sides
from regard.corpus.source_columns import make_pair, requested_columns
from regard.errors import DataError

Row = tuple[int, list[str]]  # its first line, and its fields, still quoted

_INSIDE = re.compile(r'(?:[^"]++|"")*+')  # text in quotes
_FIX = "set source_column and target_column: two names in the first line, or two numbers counted from 1"


def read_tsv(path: Path, sides: Sides) -> Iterator[Pair | Skipped]:
    """Yield the pairs of a TSV file. Raises DataError."""
    return _pairs(path, sides, "\t")


def read_csv(path: Path, sides: Sides) -> Iterator[Pair | Skipped]:
    """Yield the pairs of a CSV file. Raises DataError."""
    return _pairs(path, sides, ",")


def _pairs(path: Path, sides: Sides, separator: str) -> Iterator[Pair | Skipped]:
    rows = parse_rows(read_lines(path), separator, str(path))
    first = next(rows, None)
    if first is None:
        raise DataError("the file is empty", where=path, fix="give a file with text")
    names = [unquote(field, separator) for field in first[1]]
    source, target, is_header = find_columns(names, sides, str(path))
    last = max(*source, target)
    for line, fields in rows if is_header else chain([first], rows):
        if last >= len(fields):
            yield Skipped("the line is empty" if fields == [""] else f"there is no column {last + 1}", line)
        else:
            columns = [unquote(fields[index], separator) for index in source]
            yield make_pair(columns, unquote(fields[target], separator), line)


def parse_rows(lines: Iterable[str], separator: str, name: str) -> Iterator[Row]:
    """Yield the rows of a table, given its lines without `\\n`. A quoted row may span several lines.

    Joining the fields of a row with the separator, and its lines with `\\n`, restores the text except a final `\\r`.
    Raises DataError for a row that is not valid CSV; `name` is the table's name in errors.
    """
    numbered = enumerate(lines, start=1)
    for number, line in numbered:
        text = line.removesuffix("\r")
        if separator == "\t" or not ('"' in text or "\r" in text):
            yield number, text.split(separator)
        else:
            yield number, _record(line, numbered, f"{name}:{number}")


def _record(line: str, following: Iterator[tuple[int, str]], where: str) -> list[str]:
    """Return the fields of the CSV record that begins with a line, in linear time."""
    fields: list[str] = []
    at = 0
    room = MAX_LINE_BYTES
    while True:
        parts: list[str] = []  # earlier lines of the field
        if line.startswith('"', at):
            end = _end_of_quoted(line, at + 1)
            while end == len(line):
                parts.append(line[at:])
                room -= len(line)
                number, line = next(following, (0, ""))
                if not number:
                    raise _invalid_csv("a quote is never closed", where)
                if room < 0:
                    raise _invalid_csv(f"it has more than {MAX_LINE_BYTES:,} characters", where)
                at, end = 0, _end_of_quoted(line, 0)
            end += 1
        else:
            end = line.find(",", at)
            end = len(line.removesuffix("\r")) if end < 0 else end
            if "\r" in line[at:end]:
                raise _invalid_csv("there is a carriage return inside an unquoted field", where)
        fields.append("\n".join([*parts, line[at:end]]))
        if line.startswith(",", end):
            at = end + 1
        elif line[end:] in ("", "\r"):
            return fields
        else:
            raise _invalid_csv("there is text after the closing quote of a field", where)


def _end_of_quoted(line: str, at: int) -> int:
    """Return the index of the closing quote, or of the end of the line."""
    match = _INSIDE.match(line, at)
    return len(line) if match is None else match.end()


def _invalid_csv(reason: str, where: str) -> DataError:
    return DataError(
        f"this is not valid CSV: {reason}", where=where, fix="correct the quotes of the record that begins here"
    )


def unquote(field: str, separator: str) -> str:
    """Return the text of a field, without the quotes of CSV."""
    if separator == "," and field.startswith('"'):
        return field[1:-1].replace('""', '"')
    return field


def find_columns(
    first: Sequence[str], sides: Sides, name: str, *, may_add: bool = False
) -> tuple[tuple[int, ...], int, bool]:
    """Return the indices of the source columns, usually one, and of the target column, and whether there is a header.

    The columns are those requested; else those called `source` and `target`; else those called by the requested
    languages; else the only two columns.

    Args:
        first: The first row, unquoted.
        sides: The requested columns and languages.
        name: The table's name in errors.
        may_add: Whether the target may be a new column after the last.

    Raises:
        DataError: The columns are unclear, or do not exist.
    """
    names = [text.strip() for text in first]
    requested = (sides.source_column, sides.target_column)
    if any(requested):
        return _requested_columns(names, *requested, name, may_add=may_add)
    for source, target in (("source", "target"), (sides.source_language, sides.target_language)):
        if source and target and source in names and target in names:
            return (names.index(source),), names.index(target), True
    for source in ("source", sides.source_language) if may_add else ():
        if source and source in names:
            targets = [text for text in ("target", sides.target_language) if text and text in names and text != source]
            return (names.index(source),), names.index(targets[0]) if targets else len(names), True
    if len(names) == 2 or (may_add and len(names) == 1):
        return (0,), 1, False
    raise DataError(
        f"it is not clear which of the {len(names)} columns are source and target", where=f"{name}:1", fix=_FIX
    )


def _requested_columns(
    names: Sequence[str], source: str, target: str, name: str, *, may_add: bool
) -> tuple[tuple[int, ...], int, bool]:
    missing = "source" if not source else "" if target or may_add else "target"
    if missing:
        raise DataError(f"the {missing} column is not given", where=name, fix=_FIX)
    sources = (source,) if source in names else requested_columns(source)
    by_number = all(column.isdecimal() for column in sources) and (target.isdecimal() or not target)
    if by_number:
        indices = [int(column) - 1 for column in (*sources, target or str(len(names) + 1))]
        available = f"there are columns 1 to {len(names)}" + (", and another one can be added" if may_add else "")
    else:
        indices = [_index(names, column) for column in (*sources, target)]
        available = f"the first line has {', '.join(map(repr, names))}"
    added = may_add and (by_number or not target.isdecimal())
    counts = [*(len(names) for _ in sources), len(names) + added]
    for column, index, count in zip((*sources, target), indices, counts, strict=True):
        if not 0 <= index < count:
            shown = column if by_number else repr(column)
            raise DataError(f"there is no column {shown}; {available}", where=f"{name}:1", fix=_FIX)
    if indices[-1] in indices[:-1]:
        raise DataError("source and target are the same column", where=name, fix=_FIX)
    return tuple(indices[:-1]), indices[-1], not by_number


def _index(names: Sequence[str], name: str) -> int:
    """Return the index of a column, or the number of columns if there is none of that name."""
    return names.index(name) if name and name in names else len(names)
