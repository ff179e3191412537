"""Plain paragraphs: a line without letters and digits ends one; white space, indents and the number of lines stay."""

from __future__ import annotations

from collections.abc import Sequence

from regard.text.documents.document import Columns, Edit, Languages, Marked, Segment, Skipped, decoded, spliced
from regard.text.documents.lined import Line, lines_of, own_text, refilled


class Paragraphs:
    """Plain text."""

    def __init__(self, data: bytes, name: str, languages: Languages, columns: Columns) -> None:
        """Raises DataError where it is not UTF-8."""
        self.name = name
        self._text = decoded(data, name)
        self.segments: list[Segment] = []
        self.skipped: list[Skipped] = []
        self.done = 0
        self._lines: list[list[Line]] = []
        begun: list[Line] = []
        number = 0
        for number, line in enumerate(lines_of(self._text), start=1):
            if any(map(str.isalnum, self._text[line.start : line.end])):
                begun.append(line)
            else:
                self._take(begun, number)
                begun = []
        self._take(begun, number + 1)

    def _take(self, lines: list[Line], behind: int) -> None:
        if lines:
            marked = Marked(own_text(self._text, lines))
            self.segments.append(Segment(marked, behind - len(lines), len(self._lines), flows=True))
            self._lines.append(lines)

    def refusal(self, number: int, translation: Marked) -> str:
        """See Document."""
        return ""

    def fill(self, translations: Sequence[Marked | None]) -> bytes:
        """See Document."""
        edits: list[Edit] = []
        for lines, translation in zip(self._lines, translations, strict=True):
            if translation is not None:
                edits += refilled(lines, translation)
        return spliced(self._text, edits).encode()
