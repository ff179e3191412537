"""Segments that are lines of a text: what is before each line's own text stays, and so does what is behind it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from regard.documents.document import Edit, MarkedText, Segment, SkippedEntry, apply_edits, decode_document, render


@dataclass(frozen=True)
class Line:
    """Characters start to end of a document are a line's own text; its break ends at `next`."""

    start: int
    end: int
    next: int


def join_line_texts(text: str, lines: Sequence[Line]) -> str:
    """What the lines say, with a line feed between them."""
    return "\n".join(text[line.start : line.end] for line in lines)


def split_lines(text: str) -> list[Line]:
    """All lines of a document without the white space at their ends."""
    found, at = [], 0
    while at < len(text):
        ends = text.find("\n", at)
        following = len(text) if ends < 0 else ends + 1
        line = text[at:following]
        bare = line.strip()
        start = at + (len(line) - len(line.lstrip()) if bare else 0)
        found.append(Line(start, start + len(bare), following))
        at = following
    return found


def replace_lines(lines: Sequence[Line], translation: MarkedText) -> list[Edit]:
    """The edits that put a translation into its lines; those that it needs not are taken out."""
    texts = render(translation).split("\n")
    edits: list[Edit] = []
    for place, line in enumerate(lines):
        if place < len(texts):
            last = place == len(lines) - 1
            edits.append((line.start, line.end, "\n".join(texts[place:]) if last else texts[place]))
        else:
            edits.append((lines[place - 1].end, line.end, ""))
    return edits


class LineDocument:
    """What documents share whose segments are groups of lines, one after another; it keeps Document's protocol."""

    def __init__(self, data: bytes, name: str) -> None:
        """Raises DataError where it is not UTF-8."""
        self.name = name
        self.segments: list[Segment] = []
        self.skipped: list[SkippedEntry] = []
        self.already_translated = 0
        self._text = decode_document(data, name)
        self._lines: list[list[Line]] = []  # of each segment

    def _groups(self, belongs: Callable[[str], bool]) -> Iterator[tuple[int, list[Line]]]:
        """Lines one behind another whose texts belong to a segment, and the number of the first."""
        group: list[Line] = []
        number = 0
        for number, line in enumerate(split_lines(self._text), start=1):
            if belongs(self._text[line.start : line.end]):
                group.append(line)
            elif group:
                yield number - len(group), group
                group = []
        if group:
            yield number + 1 - len(group), group

    def check_translation(self, number: int, translation: MarkedText) -> str:
        """See Document."""
        return ""

    def fill(self, translations: Sequence[MarkedText | None]) -> bytes:
        """See Document."""
        edits: list[Edit] = []
        for lines, translation in zip(self._lines, translations, strict=True):
            if translation is not None:
                edits += replace_lines(lines, translation)
        return apply_edits(self._text, edits).encode()
