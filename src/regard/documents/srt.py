"""SubRip subtitles: the text of a cue keeps its number of lines; numbers and times stay.

The turns of a dialogue are translated one by one, and the dash before each turn stays.
"""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import pairwise

from regard.documents.document import Columns, LanguagePair, MarkedText, Segment, SkippedEntry
from regard.documents.inline_markup import parse_tags
from regard.documents.line_segments import Line, LineDocument, join_line_texts
from regard.errors import DataError

_TIMES = re.compile(r"\d{1,3}:\d{2}:\d{2}[,.]\d{1,3}\s*-->\s*\d{1,3}:\d{2}:\d{2}[,.]\d{1,3}\b.*")
_DASH = re.compile(r"""(?:<[^<>]{1,100}>\s*)*[-–—]{1,2}(?:\s+(?=\S)|(?=[^\W\d_]|["'“„«‘¿¡(\[♪<]))""")
_SENTENCE_END = re.compile(r"""[.!?…:;。！？][\s"'”“»’)\]]*(?:</?\w[^<>]{0,100}>\s*)*$""")
_OPENING_TAG = re.compile(r"<([A-Za-z]\w{0,20})[^<>]{0,100}>\s*")
_CLOSING_TAG = re.compile(r"\s*</([A-Za-z]\w{0,20})>$")

MAX_TAGS = 8  # at the ends of a turn that are examined


class SrtDocument(LineDocument):
    """An SRT file."""

    def __init__(self, data: bytes, name: str, languages: LanguagePair, columns: Columns) -> None:
        """Parse the file. Raise DataError if it is not SRT, with the line number."""
        super().__init__(data, name)
        self._num_entries = 0
        for number, cue in self._groups(lambda text: text not in ("", "\ufeff")):
            self._add_cue(cue, number)

    def _add_cue(self, cue: list[Line], first: int) -> None:
        """Add the turns of a cue whose first line has the number `first`."""
        texts = [self._text[line.start : line.end].lstrip("\ufeff") for line in cue]
        times = next((index for index, text in enumerate(texts[:2]) if _TIMES.fullmatch(text)), None)
        if times is None or (times == 1 and not texts[0].isdecimal()):
            raise DataError(
                "a cue must start with a number and a line of times such as 00:00:01,000 --> 00:00:02,500",
                where=f"{self.name}:{first}",
                fix="correct the cue, or remove the blank line from its text",
            )
        self._add_text(cue[times + 1 :], first, first + times + 1)

    def _add_text(self, lines: list[Line], first: int, number: int) -> None:
        """Add the turns of a cue that starts at line `first`, and whose text starts at line `number`."""
        if not lines:
            self.skipped.append(SkippedEntry(first, "the cue has no text"))
            return
        entry = self._num_entries
        self._num_entries += 1
        for turn in self._turns(lines):
            lines = self._strip_turn(turn)
            content = self._parse_text(join_line_texts(self._text, lines))
            self.segments.append(Segment(content, number, entry, is_reflowable=True))
            self._lines.append(lines)
            number += len(turn)

    def _parse_text(self, text: str) -> MarkedText:
        """Return the text of a turn with its tags."""
        return parse_tags(text)

    def _line_text(self, line: Line) -> str:
        return self._text[line.start : line.end]

    def _turns(self, lines: list[Line]) -> list[list[Line]]:
        """Split a cue into the turns of its speakers. A dash starts a turn, unless it is within a sentence."""
        turns = [[lines[0]]]
        is_dialogue = _DASH.match(self._line_text(lines[0])) is not None
        for previous, line in pairwise(lines):
            if _DASH.match(self._line_text(line)) and (is_dialogue or _SENTENCE_END.search(self._line_text(previous))):
                turns.append([line])
            else:
                turns[-1].append(line)
        return turns

    def _strip_turn(self, turn: list[Line]) -> list[Line]:
        """Return the lines of a turn without its dash, and without tags whose other half is in another turn."""
        first = turn[0]
        dash = _DASH.match(self._line_text(first))
        lines = [replace(first, start=first.start + dash.end() if dash else first.start), *turn[1:]]
        for _ in range(MAX_TAGS):
            text = self._line_text(lines[0])
            match = _OPENING_TAG.match(text)
            if match is None or f"</{match[1]}" in join_line_texts(self._text, lines) or match.end() == len(text):
                break
            lines[0] = replace(lines[0], start=lines[0].start + match.end())
        for _ in range(MAX_TAGS):
            match = _CLOSING_TAG.search(self._line_text(lines[-1]))
            if match is None or f"<{match[1]}" in join_line_texts(self._text, lines) or not match.start():
                break
            lines[-1] = replace(lines[-1], end=lines[-1].start + match.start())
        return lines
