"""SubRip subtitles: the text of a cue is translated as one, and divided into as many lines; numbers and times stay."""

from __future__ import annotations

import re

from regard.errors import DataError
from regard.text.documents.document import Columns, Languages, Segment, Skipped
from regard.text.documents.inline import with_tags
from regard.text.documents.lined import Line, LinedDocument, own_text

_TIME = re.compile(r"\d{1,3}:\d{2}:\d{2}[,.]\d{1,3}\s*-->\s*\d{1,3}:\d{2}:\d{2}[,.]\d{1,3}\b.*")
_SPEAKS = re.compile(r"[-–—]\s*\w")


class Subtitles(LinedDocument):
    """An SRT file."""

    def __init__(self, data: bytes, name: str, languages: Languages, columns: Columns) -> None:
        """Raises DataError where it is not SRT, with the line."""
        super().__init__(data, name)
        for number, cue in self._groups(lambda text: text not in ("", "\ufeff")):
            self._take(cue, number)

    def _take(self, cue: list[Line], first: int) -> None:
        said = [self._text[line.start : line.end].lstrip("\ufeff") for line in cue]
        times = next((place for place, text in enumerate(said[:2]) if _TIME.fullmatch(text)), None)
        if times is None or (times == 1 and not said[0].isdecimal()):
            raise DataError(
                "a cue begins with a number and a line of times, 00:00:01,000 --> 00:00:02,500",
                where=f"{self.name}:{first}",
                fix="mend the cue, or take the blank line out of its text",
            )
        lines = cue[times + 1 :]
        if not lines:
            self.skipped.append(Skipped(first, "the cue has no text"))
            return
        several = sum(1 for text in said[times + 1 :] if _SPEAKS.match(text)) > 1
        marked = with_tags(own_text(self._text, lines))
        self.segments.append(Segment(marked, first + times + 1, len(self._lines), flows=not several))
        self._lines.append(lines)
