"""TSV and CSV: an empty field of the target column is filled, or the column added; every other byte stays."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import accumulate

from regard.corpus.formats.delimited import Row, find_columns, parse_rows, unquote
from regard.corpus.formats.sides import Sides
from regard.documents.document import (
    Columns,
    Edit,
    LanguagePair,
    MarkedText,
    Segment,
    SkippedEntry,
    apply_edits,
    decode_document,
    render,
)
from regard.documents.inline_markup import parse_tags
from regard.errors import DataError


class TableDocument:
    """A TSV or CSV file; `separator` is a tab or a comma."""

    def __init__(self, data: bytes, name: str, languages: LanguagePair, columns: Columns, separator: str) -> None:
        """Raises DataError where it is no such table, or which columns are meant is not clear."""
        self.name = name
        self._separator = separator
        self._text = decode_document(data, name)
        begins = self._text.startswith("\ufeff")  # with a byte order mark, which is no text
        lines = self._text[begins:].split("\n")
        self._starts = list(accumulate((len(line) + 1 for line in lines), initial=int(begins)))
        rows = list(parse_rows(lines if lines[-1] else lines[:-1], separator, name))
        if not rows:
            raise DataError("the file is empty", where=name, fix="name a file with text")
        sides = Sides(languages.source, languages.target, columns.source, columns.target)
        names = self._values(rows[0][1])
        self._source, self._target, header = find_columns(names, sides, name, may_add=True)
        self._new = header and self._target == len(names)  # a column that the first line does not name yet
        self._title = columns.target or languages.target or "target"
        self._rows = rows
        self.segments: list[Segment] = []
        self.skipped: list[SkippedEntry] = []
        self.already_translated = 0
        self._filled: list[Row] = []
        for line, fields in rows[1:] if header else rows:
            self._take(line, fields)

    def _values(self, fields: list[str]) -> list[str]:
        return [unquote(field, self._separator) for field in fields]

    def _take(self, line: int, fields: list[str]) -> None:
        if self._separator == "," and any('"' in field and not field.startswith('"') for field in fields):
            raise DataError(
                "this is no CSV: a quote stands within a field that has none around it",
                where=f"{self.name}:{line}",
                fix="put quotes around the field, and write those in it twice",
            )
        values = self._values(fields)
        source = values[self._source] if self._source < len(fields) else ""
        if self._target < len(fields) and values[self._target].strip():
            self.already_translated += 1
        elif not source.strip():
            self.skipped.append(SkippedEntry(line, "the source is blank"))
        elif self._target > len(fields):
            self.skipped.append(SkippedEntry(line, f"it has {len(fields)} columns"))
        else:
            self._filled.append((line, fields))
            self.segments.append(Segment(parse_tags(source), line, len(self.segments), can_have_accelerator=True))

    def check_translation(self, number: int, translation: MarkedText) -> str:
        """See Document."""
        return (
            "it has a tab or a line break"
            if self._separator == "\t" and re.search(r"[\t\r\n]", render(translation))
            else ""
        )

    def fill(self, translations: Sequence[MarkedText | None]) -> bytes:
        """See Document."""
        edits: list[Edit] = []
        for (line, fields), translation in zip(self._filled, translations, strict=True):
            if translation is not None:
                edits.append(self._edit(line, fields, render(translation)))
        if self._new and edits:
            edits.append(self._edit(*self._rows[0], self._title))
        return apply_edits(self._text, edits).encode()

    def _edit(self, line: int, fields: list[str], text: str) -> Edit:
        if self._separator == "," and re.search(r'[",\r\n]', text):
            text = '"' + text.replace('"', '""') + '"'
        here = self._starts[line - 1]
        if self._target < len(fields):
            start = here + sum(map(len, fields[: self._target])) + self._target
            return start, start + len(fields[self._target]), text
        end = here + sum(map(len, fields)) + len(fields) - 1
        return end, end, self._separator + text


def open_tsv(data: bytes, name: str, languages: LanguagePair, columns: Columns) -> TableDocument:
    """See Table."""
    return TableDocument(data, name, languages, columns, "\t")


def open_csv(data: bytes, name: str, languages: LanguagePair, columns: Columns) -> TableDocument:
    """See Table."""
    return TableDocument(data, name, languages, columns, ",")
