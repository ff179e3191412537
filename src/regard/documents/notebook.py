"""Jupyter notebooks: Markdown cells are translated; code, outputs and metadata stay."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate

from regard.documents.document import (
    Columns,
    Edit,
    LanguagePair,
    MarkedText,
    SkippedEntry,
    TextDocument,
    decode_document,
)
from regard.documents.json_strings import JsonReader, JsonString, Path, quote_json
from regard.documents.markdown import MarkdownDocument
from regard.documents.strings import MAX_STRINGS
from regard.errors import DataError


@dataclass
class _Cell:
    """A cell: its type, and the strings of its source."""

    kind: str = ""
    sources: list[JsonString] = field(default_factory=list)


class NotebookDocument(TextDocument):
    """A notebook, whose Markdown cells are documents."""

    def __init__(self, data: bytes, name: str, languages: LanguagePair, columns: Columns) -> None:
        """Parse the file. Raise DataError if it is not a notebook, with the line number."""
        super().__init__(decode_document(data, name), name)
        self._ascii_only = self._text.isascii() and "\\u" in self._text
        cells: dict[Path, _Cell] = {}
        num_sources = 0
        for string in JsonReader(self._text, name).read():
            path = string.path
            start = 2 if path[:1] == ("cells",) else 4 if path[:1] == ("worksheets",) and path[2:3] == ("cells",) else 0
            if start and path[start:] == ("cell_type",):
                cells.setdefault(path[:start], _Cell()).kind = string.text
            elif start and path[start : start + 1] == ("source",) and len(path) <= start + 2:
                cells.setdefault(path[:start], _Cell()).sources.append(string)
                num_sources += 1
                if num_sources > MAX_STRINGS:
                    raise DataError(f"its cells have more than {MAX_STRINGS:,} lines", where=name, fix="split it")
        if not cells and '"cells"' not in self._text:
            raise DataError("it has no cells", where=f"{name}:1", fix="check that it is a Jupyter notebook")
        self._cells: list[_Cell] = []  # those in Markdown
        self._documents: list[MarkdownDocument] = []
        self._starts: list[int] = []  # the index of the first segment of each document
        for cell in cells.values():
            if cell.kind == "markdown" and cell.sources:
                self._add_cell(cell, languages)

    def _add_cell(self, cell: _Cell, languages: LanguagePair) -> None:
        text = "".join(string.text for string in cell.sources)
        try:
            document = MarkdownDocument(text.encode(), self.name, languages, Columns())
        except (UnicodeEncodeError, DataError):
            self.skipped.append(SkippedEntry(self._line_of(cell.sources[0].start), "the cell is not text"))
            return
        starts = list(accumulate((string.text.count("\n") for string in cell.sources), initial=1))  # in the cell
        lines = [self._line_of(string.start) for string in cell.sources]
        first = len(self.segments)
        for segment in document.segments:
            line = lines[bisect_right(starts, segment.line, hi=len(lines)) - 1]
            self.segments.append(replace(segment, line=line, entry=first + segment.entry))
        self.skipped += [replace(skipped, line=lines[0]) for skipped in document.skipped]
        self._cells.append(cell)
        self._documents.append(document)
        self._starts.append(first)

    def check_translation(self, index: int, translation: MarkedText) -> str:
        """See MarkdownDocument."""
        number = bisect_right(self._starts, index) - 1
        return self._documents[number].check_translation(index - self._starts[number], translation)

    def fill(self, translations: Sequence[MarkedText | None]) -> bytes:
        """Return the notebook with its Markdown cells filled."""
        edits: list[Edit] = []
        for cell, document, start in zip(self._cells, self._documents, self._starts, strict=True):
            filled = translations[start : start + len(document.segments)]
            if any(translation is not None for translation in filled):
                edits += self._edit_cell(cell, document.fill(filled).decode())
        return self._apply(edits)

    def _edit_cell(self, cell: _Cell, text: str) -> list[Edit]:
        """Return the edits that write the text of a cell into its strings."""
        sources = cell.sources
        texts = re.findall(r"[^\n]*\n|[^\n]+", text) if len(sources) > 1 else [text]
        if len(texts) > len(sources):
            texts[len(sources) - 1 :] = ["".join(texts[len(sources) - 1 :])]
        edits: list[Edit] = []
        for index, string in enumerate(sources):
            if index < len(texts):
                if texts[index] != string.text:
                    edits.append((string.start, string.end, self._quote(texts[index], string)))
            else:
                edits.append((sources[index - 1].end, string.end, ""))
        return edits

    def _quote(self, text: str, string: JsonString) -> str:
        return quote_json(text, self._text[string.start : string.end], ascii_only=self._ascii_only)
