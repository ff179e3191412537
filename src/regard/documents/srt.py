"""SubRip subtitles: the text of a cue is divided into as many lines as it had; numbers and times stay.

What each speaker says is translated by itself, and the dash before it stays.
"""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import pairwise

from regard.documents.document import Columns, LanguagePair, Segment, SkippedEntry
from regard.documents.inline_markup import parse_tags
from regard.documents.line_segments import Line, LineDocument, join_line_texts
from regard.errors import DataError

_TIME = re.compile(r"\d{1,3}:\d{2}:\d{2}[,.]\d{1,3}\s*-->\s*\d{1,3}:\d{2}:\d{2}[,.]\d{1,3}\b.*")
_SPEAKS = re.compile(r"""(?:<[^<>]{1,100}>\s*)*[-–—]{1,2}(?:\s+(?=\S)|(?=[^\W\d_]|["'“„«‘¿¡(\[♪<]))""")
_ENDS = re.compile(r"""[.!?…:;。！？][\s"'”“»’)\]]*(?:</?\w[^<>]{0,100}>\s*)*$""")
_OPENING = re.compile(r"<([A-Za-z]\w{0,20})[^<>]{0,100}>\s*")
_CLOSING = re.compile(r"\s*</([A-Za-z]\w{0,20})>$")

MOST_TAGS = 8  # at the ends of what a speaker says that are looked at


class SrtDocument(LineDocument):
    """An SRT file."""

    def __init__(self, data: bytes, name: str, languages: LanguagePair, columns: Columns) -> None:
        """Raises DataError where it is not SRT, with the line."""
        super().__init__(data, name)
        self._entries = 0
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
            self.skipped.append(SkippedEntry(first, "the cue has no text"))
            return
        entry = self._entries
        self._entries += 1
        number = first + times + 1
        for turn in self._turns(lines):
            own = self._own_lines(turn)
            marked = parse_tags(join_line_texts(self._text, own))
            self.segments.append(Segment(marked, number, entry, is_reflowable=True))
            self._lines.append(own)
            number += len(turn)

    def _said(self, line: Line) -> str:
        return self._text[line.start : line.end]

    def _turns(self, lines: list[Line]) -> list[list[Line]]:
        """Divide a cue into what each speaker says: a dash begins a turn, but not within a sentence."""
        turns = [[lines[0]]]
        dialogue = _SPEAKS.match(self._said(lines[0])) is not None
        for before, line in pairwise(lines):
            if _SPEAKS.match(self._said(line)) and (dialogue or _ENDS.search(self._said(before))):
                turns.append([line])
            else:
                turns[-1].append(line)
        return turns

    def _own_lines(self, turn: list[Line]) -> list[Line]:
        """Return the lines of a turn without its dash, and without tags whose other half is in another turn."""
        first = turn[0]
        dash = _SPEAKS.match(self._said(first))
        own = [replace(first, start=first.start + dash.end() if dash else first.start), *turn[1:]]
        for _ in range(MOST_TAGS):
            match = _OPENING.match(self._said(own[0]))
            if (
                match is None
                or f"</{match[1]}" in join_line_texts(self._text, own)
                or match.end() == len(self._said(own[0]))
            ):
                break
            own[0] = replace(own[0], start=own[0].start + match.end())
        for _ in range(MOST_TAGS):
            match = _CLOSING.search(self._said(own[-1]))
            if match is None or f"<{match[1]}" in join_line_texts(self._text, own) or not match.start():
                break
            own[-1] = replace(own[-1], end=own[-1].start + match.start())
        return own
