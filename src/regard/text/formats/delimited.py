"""TSV and CSV: two columns of a table, by their names or their numbers.

A TSV file is lines of fields with a tab between them, in which nothing is quoted. In a CSV file a field may be in
double quotes, with commas and line breaks inside (RFC 4180).
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path

from regard.errors import DataError
from regard.text.corpus import Left, Pair
from regard.text.formats.plain import LONGEST, read_lines
from regard.text.formats.sides import Sides

Row = tuple[int, list[str]]  # the line on which it begins, and its fields


def read_tsv(path: Path, sides: Sides) -> Iterator[Pair | Left]:
    """The pairs of a TSV file. Raises DataError."""
    return _pairs(((number, line.split("\t")) for number, line in enumerate(read_lines(path), start=1)), path, sides)


def read_csv(path: Path, sides: Sides) -> Iterator[Pair | Left]:
    """The pairs of a CSV file. Raises DataError."""
    return _pairs(_records(path), path, sides)


def _records(path: Path) -> Iterator[Row]:
    csv.field_size_limit(LONGEST)
    reader = csv.reader((line + "\n" for line in read_lines(path)), strict=True)
    begins = 1
    while True:
        try:
            fields = next(reader, None)
        except csv.Error as error:
            raise DataError(
                f"this is no CSV: {error}",
                where=f"{path}:{begins}",
                fix="mend the quotes of the record that begins here",
            ) from None
        if fields is None:
            return
        yield begins, fields
        begins = reader.line_num + 1


def _pairs(rows: Iterator[Row], path: Path, sides: Sides) -> Iterator[Pair | Left]:
    first = next(rows, None)
    if first is None:
        raise DataError("the file is empty", where=path, fix="name a file with text")
    source, target, is_header = _columns(first[1], path, sides)
    if not is_header:
        yield _pair(first, source, target)
    for row in rows:
        yield _pair(row, source, target)


def _pair(row: Row, source: int, target: int) -> Pair | Left:
    line, fields = row
    if max(source, target) >= len(fields):
        return Left(f"there is no column {max(source, target) + 1}", line)
    return Pair(fields[source], fields[target], line)


def _columns(first: Sequence[str], path: Path, sides: Sides) -> tuple[int, int, bool]:
    """The places of source and target, and whether the first row names them."""
    names = [name.strip() for name in first]
    if sides.source_column.isdecimal() and sides.target_column.isdecimal():
        places = [int(column) - 1 for column in (sides.source_column, sides.target_column)]
        if not all(0 <= place < len(names) for place in places):
            raise DataError(
                f"there is no column {max(sides.source_column, sides.target_column, key=int)}: columns have "
                f"numbers from 1 to {len(names)}",
                where=f"{path}:1",
                fix="change data.source_column or data.target_column",
            )
        return places[0], places[1], False
    if sides.source_column or sides.target_column:
        return _named(names, sides.source_column, path), _named(names, sides.target_column, path), True
    for pair in (("source", "target"), (sides.source_language, sides.target_language)):
        if all(pair) and pair[0] in names and pair[1] in names:
            return names.index(pair[0]), names.index(pair[1]), True
    if len(names) == 2:
        return 0, 1, False
    raise DataError(
        f"which of the {len(names)} columns are meant is not clear",
        where=f"{path}:1",
        fix="name them by --source-column and --target-column: names in the first line, or numbers from 1",
    )


def _named(names: Sequence[str], wanted: str, path: Path) -> int:
    if wanted in names:
        return names.index(wanted)
    raise DataError(
        f"there is no column {wanted!r}; the first line has {', '.join(map(repr, names))}",
        where=f"{path}:1",
        fix="give data.source_column and data.target_column, both by name or both by number",
    )
