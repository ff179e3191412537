"""Plain paragraphs, separated by lines without letters and digits; white space and the number of lines stay."""

from __future__ import annotations

from regard.documents.document import Columns, LanguagePair, MarkedText, Segment
from regard.documents.line_segments import LineDocument, join_line_texts


class ParagraphDocument(LineDocument):
    """A plain text file."""

    def __init__(self, data: bytes, name: str, languages: LanguagePair, columns: Columns) -> None:
        """Parse the file. Raise DataError if it is not UTF-8."""
        super().__init__(data, name)
        for number, lines in self._groups(lambda text: any(map(str.isalnum, text))):
            content = MarkedText(join_line_texts(self._text, lines))
            self.segments.append(Segment(content, number, len(self._lines), is_reflowable=True))
            self._lines.append(lines)
