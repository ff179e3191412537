"""Markdown: paragraphs, headings and cells; code, HTML, front matter, URLs and every mark of structure stay.

markdown-it says which lines are text. A translation in whose place Markdown would see other markup is not written.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from markdown_it import MarkdownIt
from markdown_it.token import Token

from regard.documents.document import (
    Columns,
    Edit,
    LanguagePair,
    MarkedText,
    Segment,
    SkippedEntry,
    apply_edits,
    decode_document,
    render,
)
from regard.documents.line_segments import Line, join_line_texts, replace_lines
from regard.documents.markdown_inline import parse_inline
from regard.text.segments import has_letters

_FRONT = re.compile(r"(?:\ufeff)?(---|\+\+\+)[ \t]*\r?\n(?:.*\r?\n)*?\1[ \t]*(?:\r?\n|$)")
_LINE = re.compile(r"([^\r\n]*)(?:\r\n?|\n|$)")
_BEGINS_BLOCK = re.compile(r"(?:[-+*](?=\s|$)|#{1,6}(?=\s|$)|>|=+\s*$|-+\s*$|```|~~~|\||<(?=[A-Za-z/!?])|:?-+:?\s*\|)")
_NUMBERED = re.compile(r"(\d{1,9})([.)])(?=\s|$)")


@dataclass(frozen=True)
class _Block:
    kind: str  # paragraph, heading, th, td
    lines: list[Line]


class MarkdownDocument:
    """A Markdown file."""

    def __init__(self, data: bytes, name: str, languages: LanguagePair, columns: Columns) -> None:
        """Raises DataError where it is not UTF-8."""
        self.name = name
        self._text = decode_document(data, name)
        self.segments: list[Segment] = []
        self.skipped: list[SkippedEntry] = []
        self.already_translated = 0
        self._blocks: list[_Block] = []
        self._parser = MarkdownIt("commonmark").enable(["table", "strikethrough"])
        front = _FRONT.match(self._text[:100_000])
        self._raw: list[Line] = []
        blank = front.end() if front else 0
        for match in _LINE.finditer(self._text):
            if match.start() < len(self._text):
                self._raw.append(Line(match.start(1), match.end(1), match.end()))
        body = re.sub(r"[^\r\n]", " ", self._text[:blank]) + self._text[blank:]
        environment: dict[str, dict[str, object]] = {}
        tokens = self._parser.parse(body.replace("\ufeff", " ") if body.startswith("\ufeff") else body, environment)
        self._references = environment
        self._labels = frozenset(environment.get("references", {}))
        self._cursor = (-1, 0)
        for before, token in pairwise(tokens):
            if token.type == "inline" and token.map is not None and has_letters(token.content):
                self._take(before, token)

    def _take(self, before: Token, token: Token) -> None:
        kind = before.type.removesuffix("_open")
        assert token.map is not None
        number = token.map[0]
        lines = self._cell(token, number) if kind in ("th", "td") else self._lines(token, number, kind)
        if lines is None:
            self.skipped.append(SkippedEntry(number + 1, "where its text stands in the file is not clear"))
            return
        own = join_line_texts(self._text, lines)
        marked = parse_inline(own, self._labels)
        breaks = any(child.type == "hardbreak" for child in token.children or ())
        if not has_letters(marked.text) or (marked.protected and not has_letters(_without_atoms(marked))):
            return
        self.segments.append(Segment(marked, number + 1, len(self._blocks), is_reflowable=not breaks))
        self._blocks.append(_Block(kind, lines))

    def _lines(self, token: Token, number: int, kind: str) -> list[Line] | None:
        lines = []
        contents = token.content.split("\n")
        for place, content in enumerate(contents):
            if number + place >= len(self._raw):
                return None
            raw, content = self._raw[number + place], content.strip()
            text = self._text[raw.start : raw.end].rstrip()
            at = text.rfind(content)
            behind = text[at + len(content) :]
            if at < 0 or (behind and (kind != "heading" or behind.strip(" \t#"))):
                return None
            ends = at + len(content.removesuffix("\\") if place < len(contents) - 1 else content)
            lines.append(Line(raw.start + at, raw.start + ends, raw.next))
        return lines

    def _cell(self, token: Token, number: int) -> list[Line] | None:
        raw = self._raw[number] if number < len(self._raw) else None
        start = self._cursor[1] if self._cursor[0] == number else 0
        at = -1 if raw is None else self._text[raw.start : raw.end].find(token.content, start)
        if raw is None or at < 0:
            return None
        self._cursor = (number, at + len(token.content))
        return [Line(raw.start + at, raw.start + at + len(token.content), raw.next)]

    def _written(self, number: int, translation: MarkedText) -> str:
        text = render(translation)
        if self._blocks[number].kind in ("th", "td"):
            return re.sub(r"(?<!\\)\|", r"\\|", text)
        return "\n".join(_guarded(line) for line in text.split("\n"))

    def check_translation(self, number: int, translation: MarkedText) -> str:
        """See Document."""
        before = join_line_texts(self._text, self._blocks[number].lines)
        after = self._written(number, translation)
        if self._shape(before) != self._shape(after):
            return "its markup would not be what it was"
        return ""

    def _shape(self, text: str) -> list[tuple[str, ...]]:
        """The markup that Markdown sees in a text, in any order."""
        shape = []
        for block in self._parser.parseInline(text, dict(self._references)):
            for one in block.children or ():
                if one.type not in ("text", "softbreak", "hardbreak", "text_special"):
                    content = one.content if one.type in ("code_inline", "html_inline", "image") else ""
                    shape.append((one.type, content, *(str(item) for item in sorted(one.attrs.items()))))
        return sorted(shape)

    def fill(self, translations: Sequence[MarkedText | None]) -> bytes:
        """See Document."""
        edits: list[Edit] = []
        for number, translation in enumerate(translations):
            if translation is not None:
                edits += replace_lines(self._blocks[number].lines, MarkedText(self._written(number, translation)))
        return apply_edits(self._text, edits).encode()


def _without_atoms(marked: MarkedText) -> str:
    text = marked.text
    for atom in reversed(marked.protected):
        text = text[: atom.start] + text[atom.end :]
    return text


def _guarded(line: str) -> str:
    """A line that begins no block: what would begin one has a backslash."""
    if _BEGINS_BLOCK.match(line):
        return "\\" + line
    return _NUMBERED.sub(r"\1\\\2", line, count=1) if _NUMBERED.match(line) else line
