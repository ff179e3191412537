"""Documents whose segments are lines of text; the indent and the line break of each line stay."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from regard.documents.document import Edit, MarkedText, TextDocument, decode_document, render


@dataclass(frozen=True)
class Line:
    """A line of a document: its text is characters [start, end), and the next line starts at `next`."""

    start: int
    end: int
    next: int


def join_line_texts(text: str, lines: Sequence[Line]) -> str:
    """Return the texts of the lines, joined by line feeds."""
    return "\n".join(text[line.start : line.end] for line in lines)


def split_lines(text: str) -> list[Line]:
    """Return all lines of a document, without the white space at their ends."""
    lines, at = [], 0
    while at < len(text):
        line_feed = text.find("\n", at)
        following = len(text) if line_feed < 0 else line_feed + 1
        line = text[at:following]
        stripped = line.strip()
        start = at + (len(line) - len(line.lstrip()) if stripped else 0)
        lines.append(Line(start, start + len(stripped), following))
        at = following
    return lines


def replace_lines(lines: Sequence[Line], translation: MarkedText) -> list[Edit]:
    """Return the edits that write a translation into its lines and remove the lines that it does not need."""
    texts = render(translation).split("\n")
    edits: list[Edit] = []
    for index, line in enumerate(lines):
        if index < len(texts):
            is_last = index == len(lines) - 1
            edits.append((line.start, line.end, "\n".join(texts[index:]) if is_last else texts[index]))
        else:
            edits.append((lines[index - 1].end, line.end, ""))
    return edits


class LineDocument(TextDocument):
    """Base class of documents whose segments are groups of consecutive lines."""

    def __init__(self, data: bytes, name: str) -> None:
        """Decode the document. Raise DataError if it is not UTF-8."""
        super().__init__(decode_document(data, name), name)
        self._lines: list[list[Line]] = []  # of each segment

    def _groups(self, is_part: Callable[[str], bool]) -> Iterator[tuple[int, list[Line]]]:
        """Yield groups of consecutive lines whose texts are part of a segment, each with its first line number."""
        group: list[Line] = []
        number = 0
        for number, line in enumerate(split_lines(self._text), start=1):
            if is_part(self._text[line.start : line.end]):
                group.append(line)
            elif group:
                yield number - len(group), group
                group = []
        if group:
            yield number + 1 - len(group), group

    def _edits(self, index: int, translation: MarkedText) -> list[Edit]:
        return replace_lines(self._lines[index], translation)
