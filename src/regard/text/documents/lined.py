"""Segments that are lines of a text: what is before each line's own text stays, and so does what is behind it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from regard.text.documents.document import Edit, Marked, written


@dataclass(frozen=True)
class Line:
    """Characters start to end of a document are a line's own text; its break ends at `next`."""

    start: int
    end: int
    next: int


def own_text(text: str, lines: Sequence[Line]) -> str:
    """What the lines say, with a line feed between them."""
    return "\n".join(text[line.start : line.end] for line in lines)


def lines_of(text: str) -> list[Line]:
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


def refilled(lines: Sequence[Line], translation: Marked) -> list[Edit]:
    """The edits that put a translation into its lines; those that it needs not are taken out."""
    texts = written(translation).split("\n")
    edits: list[Edit] = []
    for place, line in enumerate(lines):
        if place < len(texts):
            last = place == len(lines) - 1
            edits.append((line.start, line.end, "\n".join(texts[place:]) if last else texts[place]))
        else:
            edits.append((lines[place - 1].end, line.end, ""))
    return edits
