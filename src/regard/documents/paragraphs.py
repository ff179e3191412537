"""Plain paragraphs: a line without letters and digits ends one; white space, indents and the number of lines stay."""

from __future__ import annotations

from regard.documents.document import Columns, Languages, Marked, Segment
from regard.documents.line_segments import LinedDocument, own_text


class Paragraphs(LinedDocument):
    """Plain text."""

    def __init__(self, data: bytes, name: str, languages: Languages, columns: Columns) -> None:
        """Raises DataError where it is not UTF-8."""
        super().__init__(data, name)
        for number, lines in self._groups(lambda text: any(map(str.isalnum, text))):
            marked = Marked(own_text(self._text, lines))
            self.segments.append(Segment(marked, number, len(self._lines), flows=True))
            self._lines.append(lines)
