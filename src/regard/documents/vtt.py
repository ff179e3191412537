"""WebVTT subtitles: the text of cues is translated; times, settings, notes, styles and regions stay."""

from __future__ import annotations

import html
import re

from regard.documents.document import Columns, Edit, InlineTag, LanguagePair, MarkedText, render
from regard.documents.inline_markup import match_tags
from regard.documents.line_segments import Line, LineDocument, replace_lines
from regard.documents.srt import SrtDocument
from regard.errors import DataError

_HEADER = re.compile(r"\ufeff?WEBVTT(?:[ \t].*)?")
_TIMES = re.compile(r"(?:\d{2,}:)?\d{2}:\d{2}\.\d{3}[ \t]+-->[ \t]+(?:\d{2,}:)?\d{2}:\d{2}\.\d{3}(?:[ \t].*)?")
_BLOCK = re.compile(r"(NOTE|STYLE|REGION)(?:\s|$)")
_TAG = re.compile(r"<(/?)([^<>]*)>")
_FIX = "correct the cue, or remove the blank line from its text"


class VttDocument(SrtDocument):
    """A WebVTT file."""

    def __init__(self, data: bytes, name: str, languages: LanguagePair, columns: Columns) -> None:
        """Parse the file. Raise DataError if it is not WebVTT, with the line number."""
        LineDocument.__init__(self, data, name)
        self._num_entries = 0
        for number, block in self._groups(lambda text: text not in ("", "\ufeff")):
            first = self._line_text(block[0])
            if not self._has_header:
                if not (_HEADER.fullmatch(first) and number == 1):
                    break
                self._has_header = True
            elif not _BLOCK.match(first):
                self._add_cue(block, number)
        if not self._has_header:
            raise DataError("it does not start with WEBVTT", where=f"{name}:1", fix="check that the file is WebVTT")

    _has_header = False

    def _add_cue(self, cue: list[Line], first: int) -> None:
        times = next((index for index, line in enumerate(cue[:2]) if _TIMES.fullmatch(self._line_text(line))), None)
        if times is None:
            raise DataError(
                "a cue must have a line of times such as 00:01.000 --> 00:02.500",
                where=f"{self.name}:{first}",
                fix=_FIX,
            )
        self._add_text(cue[times + 1 :], first, first + times + 1)

    def _parse_text(self, text: str) -> MarkedText:
        matches = list(_TAG.finditer(text))
        pairs = match_tags(None if match[2][:1].isdigit() else (_tag_name(match), bool(match[1])) for match in matches)
        numbers = {index: pair for pair, indices in enumerate(pairs.items(), start=1) for index in indices}
        parts: list[str] = []
        tags: list[InlineTag] = []
        at = length = 0
        for index, match in enumerate(matches):
            parts.append(html.unescape(text[at : match.start()]))
            length += len(parts[-1])
            tags.append(InlineTag(length, match[0], numbers.get(index, 0), index in pairs))
            at = match.end()
        return MarkedText("".join([*parts, html.unescape(text[at:])]), tuple(tags))

    def check_translation(self, index: int, translation: MarkedText) -> str:
        """Refuse a translation that would be read as times."""
        return "a cue cannot hold -->" if "-->" in render(translation, _escape) else ""

    def _edits(self, index: int, translation: MarkedText) -> list[Edit]:
        return replace_lines(self._lines[index], MarkedText(render(translation, _escape)))


def _tag_name(match: re.Match[str]) -> str:
    """Return the name of a tag without classes and annotation: `c` for `<c.red>`, `v` for `<v Ann>`."""
    return re.split(r"[.\s]", match[2], maxsplit=1)[0]


def _escape(text: str) -> str:
    return (
        html.escape(text, quote=False).replace("\u00a0", "&nbsp;").replace("\u200e", "&lrm;").replace("\u200f", "&rlm;")
    )
