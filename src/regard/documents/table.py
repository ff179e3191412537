"""TSV and CSV: empty fields of the target column are filled, or the column is added; every other byte stays."""

from __future__ import annotations

import re
from itertools import accumulate

from regard.corpus.formats.delimited import Row, find_columns, parse_rows, unquote
from regard.corpus.formats.sides import Sides
from regard.corpus.source_columns import join_columns
from regard.documents.document import (
    Columns,
    Edit,
    LanguagePair,
    MarkedText,
    Segment,
    SkippedEntry,
    TextDocument,
    decode_document,
    render,
)
from regard.documents.inline_markup import parse_tags
from regard.errors import DataError


class TableDocument(TextDocument):
    """A TSV or CSV file."""

    def __init__(self, data: bytes, name: str, languages: LanguagePair, columns: Columns, separator: str) -> None:
        """Parse the file; `separator` is a tab or a comma.

        Raises:
            DataError: It is not such a table, or it is not clear which columns to use.
        """
        super().__init__(decode_document(data, name), name)
        self._separator = separator
        has_bom = self._text.startswith("\ufeff")
        lines = self._text[has_bom:].split("\n")
        self._starts = list(accumulate((len(line) + 1 for line in lines), initial=int(has_bom)))
        rows = list(parse_rows(lines if lines[-1] else lines[:-1], separator, name))
        if not rows:
            raise DataError("the file is empty", where=name, fix="give a file with text")
        sides = Sides(languages.source, languages.target, columns.source, columns.target)
        header = self._unquote(rows[0][1])
        self._source, self._target, has_header = find_columns(header, sides, name, may_add=True)
        self._adds_header = has_header and self._target == len(header)
        self._title = columns.target or languages.target or "target"
        self._rows = rows
        self._segment_rows: list[Row] = []
        for line, fields in rows[1:] if has_header else rows:
            self._add_row(line, fields)

    def _unquote(self, fields: list[str]) -> list[str]:
        return [unquote(field, self._separator) for field in fields]

    def _add_row(self, line: int, fields: list[str]) -> None:
        if self._separator == "," and any('"' in field and not field.startswith('"') for field in fields):
            raise DataError(
                "this is not valid CSV: an unquoted field contains a quote",
                where=f"{self.name}:{line}",
                fix="put quotes around the field, and double the quotes inside",
            )
        values = self._unquote(fields)
        columns = [values[index] if index < len(fields) else "" for index in self._source]
        source = join_columns(columns)
        if self._target < len(fields) and values[self._target].strip():
            self.already_translated += 1
        elif not source.strip():
            blank = "a column of the source" if any(map(str.strip, columns)) else "the source"
            self.skipped.append(SkippedEntry(line, f"{blank} is blank"))
        elif self._target > len(fields):
            self.skipped.append(SkippedEntry(line, f"it has only {len(fields)} columns"))
        else:
            self._segment_rows.append((line, fields))
            entry = len(self.segments)
            self.segments.append(
                Segment(parse_tags(source), line, entry, can_have_accelerator=True)
                if len(columns) == 1
                else Segment(MarkedText(source), line, entry, has_columns=True)
            )

    def check_translation(self, index: int, translation: MarkedText) -> str:
        """Refuse tabs and line breaks in a TSV file, which has no quotes."""
        if self._separator == "\t" and re.search(r"[\t\r\n]", render(translation)):
            return "the translation has a tab or a line break"
        return ""

    def _edits(self, index: int, translation: MarkedText) -> list[Edit]:
        return [self._edit_row(*self._segment_rows[index], render(translation))]

    def _common_edits(self) -> list[Edit]:
        return [self._edit_row(*self._rows[0], self._title)] if self._adds_header else []

    def _edit_row(self, line: int, fields: list[str], text: str) -> Edit:
        """Return the edit that writes a text into the target field of a row."""
        if self._separator == "," and re.search(r'[",\r\n]', text):
            text = '"' + text.replace('"', '""') + '"'
        row_start = self._starts[line - 1]
        if self._target < len(fields):
            start = row_start + sum(map(len, fields[: self._target])) + self._target
            return start, start + len(fields[self._target]), text
        end = row_start + sum(map(len, fields)) + len(fields) - 1
        return end, end, self._separator + text
