"""TSV and CSV: rows of fields, and which two columns are the sides.

A TSV file is lines of fields with a tab between them, in which nothing is quoted. In a CSV file a field may be in
double quotes, with commas and line breaks inside (RFC 4180).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path

from regard.corpus.corpus import Pair, Skipped
from regard.corpus.formats.plain import MAX_LINE_BYTES, read_lines
from regard.corpus.formats.sides import Sides
from regard.errors import DataError

Row = tuple[int, list[str]]  # the line on which it begins, and its fields as they are written

_INSIDE = re.compile(r'(?:[^"]++|"")*+')  # of quotes
_FIX = (
    "give --source-column and --target-column (in a recipe data.source_column, data.target_column): "
    "both names in the first line, or both numbers from 1"
)


def read_tsv(path: Path, sides: Sides) -> Iterator[Pair | Skipped]:
    """The pairs of a TSV file. Raises DataError."""
    return _pairs(path, sides, "\t")


def read_csv(path: Path, sides: Sides) -> Iterator[Pair | Skipped]:
    """The pairs of a CSV file. Raises DataError."""
    return _pairs(path, sides, ",")


def _pairs(path: Path, sides: Sides, separator: str) -> Iterator[Pair | Skipped]:
    rows = parse_rows(read_lines(path), separator, str(path))
    first = next(rows, None)
    if first is None:
        raise DataError("the file is empty", where=path, fix="name a file with text")
    names = [unquote(field, separator) for field in first[1]]
    source, target, is_header = find_columns(names, sides, str(path))
    last = max(source, target)
    for line, fields in rows if is_header else chain([first], rows):
        if last >= len(fields):
            yield Skipped(f"there is no column {last + 1}", line)
        else:
            yield Pair(unquote(fields[source], separator), unquote(fields[target], separator), line)


def parse_rows(lines: Iterable[str], separator: str, name: str) -> Iterator[Row]:
    """The rows of a table, of its lines without their `\\n`; a row takes as many as it needs.

    In the text a row is its fields with the separator between them, of lines with `\\n` between them; a `\\r` may stand
    behind it. Raises DataError where a row is no CSV; `name` is what errors call the table.
    """
    numbered = enumerate(lines, start=1)
    for number, line in numbered:
        whole = line.removesuffix("\r")
        if separator == "\t" or not ('"' in whole or "\r" in whole):
            yield number, whole.split(separator)
        else:
            yield number, _record(line, numbered, f"{name}:{number}")


def _record(line: str, following: Iterator[tuple[int, str]], where: str) -> list[str]:
    """The fields of a CSV record that begins with a line; each character is looked at once."""
    fields: list[str] = []
    at = 0
    room = MAX_LINE_BYTES
    while True:
        parts: list[str] = []  # whole lines of a field
        if line.startswith('"', at):
            end = _end_of_quoted(line, at + 1)
            while end == len(line):
                parts.append(line[at:])
                room -= len(line)
                number, line = next(following, (0, ""))
                if not number:
                    raise _no_csv("a quote is never closed", where)
                if room < 0:
                    raise _no_csv(f"it has more than {MAX_LINE_BYTES:,} characters", where)
                at, end = 0, _end_of_quoted(line, 0)
            end += 1
        else:
            end = line.find(",", at)
            end = len(line.removesuffix("\r")) if end < 0 else end
            if "\r" in line[at:end]:
                raise _no_csv("a carriage return stands within a field", where)
        fields.append("\n".join([*parts, line[at:end]]))
        if line.startswith(",", end):
            at = end + 1
        elif line[end:] in ("", "\r"):
            return fields
        else:
            raise _no_csv("there is text behind a quote that ends a field", where)


def _end_of_quoted(line: str, at: int) -> int:
    """Where the quote stands that ends what is in quotes, or where the line ends."""
    found = _INSIDE.match(line, at)
    return len(line) if found is None else found.end()


def _no_csv(why: str, where: str) -> DataError:
    return DataError(f"this is no CSV: {why}", where=where, fix="mend the quotes of the record that begins here")


def unquote(field: str, separator: str) -> str:
    """What a field says, without the quotes of CSV."""
    if separator == "," and field.startswith('"'):
        return field[1:-1].replace('""', '"')
    return field


def find_columns(first: Sequence[str], sides: Sides, name: str, *, may_add: bool = False) -> tuple[int, int, bool]:
    """The places of source and target, and whether the first row, of which these are the values, names columns.

    By the columns that are asked for; else `source` and `target`; else the languages asked for; else the two that there
    are. may_add: the target may be a new column behind the last. Raises DataError; `name` is the table's in errors.
    """
    names = [text.strip() for text in first]
    asked = (sides.source_column, sides.target_column)
    if any(asked):
        return _asked(names, *asked, name, may_add=may_add)
    for source, target in (("source", "target"), (sides.source_language, sides.target_language)):
        if source and target and source in names and target in names:
            return names.index(source), names.index(target), True
    for source in ("source", sides.source_language) if may_add else ():
        if source and source in names:
            others = [one for one in ("target", sides.target_language) if one and one in names and one != source]
            return names.index(source), names.index(others[0]) if others else len(names), True
    if len(names) == 2 or (may_add and len(names) == 1):
        return 0, 1, False
    raise DataError(f"which of the {len(names)} columns are meant is not clear", where=f"{name}:1", fix=_FIX)


def _asked(names: Sequence[str], source: str, target: str, name: str, *, may_add: bool) -> tuple[int, int, bool]:
    missing = "source" if not source else "" if target or may_add else "target"
    if missing:
        raise DataError(f"which column is the {missing} is not said", where=name, fix=_FIX)
    by_number = source.isdecimal() and (target.isdecimal() or not target)
    if by_number:
        places = int(source) - 1, int(target or len(names) + 1) - 1
        there = f"there are columns 1 to {len(names)}" + (", and another one can be added" if may_add else "")
    else:
        places = _index(names, source), _index(names, target)
        there = f"the first line has {', '.join(map(repr, names))}"
    added = may_add and (by_number or not target.isdecimal())
    for column, place, count in ((source, places[0], len(names)), (target, places[1], len(names) + added)):
        if not 0 <= place < count:
            shown = column if by_number else repr(column)
            raise DataError(f"there is no column {shown}; {there}", where=f"{name}:1", fix=_FIX)
    if places[0] == places[1]:
        raise DataError("source and target are to be two columns", where=name, fix=_FIX)
    return *places, not by_number


def _index(names: Sequence[str], name: str) -> int:
    """Its place, or that behind the last."""
    return names.index(name) if name and name in names else len(names)
