"""Markdown: paragraphs, headings and table cells are translated; code, HTML, front matter, URLs and structure stay.

The parser markdown-it finds the lines that are text. A translation is refused if Markdown would see other markup in it
than in its source.
"""

from __future__ import annotations

import re
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
    TextDocument,
    decode_document,
    render,
)
from regard.documents.line_segments import Line, join_line_texts, replace_lines
from regard.documents.markdown_inline import parse_inline
from regard.text.segments import has_letters

_FRONT_MATTER = re.compile(r"(?:\ufeff)?(---|\+\+\+)[ \t]*\r?\n(?:.*\r?\n)*?\1[ \t]*(?:\r?\n|$)")
_LINE = re.compile(r"([^\r\n]*)(?:\r\n?|\n|$)")
_BLOCK_START = re.compile(r"(?:[-+*](?=\s|$)|#{1,6}(?=\s|$)|>|=+\s*$|-+\s*$|```|~~~|\||<(?=[A-Za-z/!?])|:?-+:?\s*\|)")
_LIST_NUMBER = re.compile(r"(\d{1,9})([.)])(?=\s|$)")


@dataclass(frozen=True)
class _Block:
    """The lines of a segment in a block of some kind: paragraph, heading, th or td."""

    kind: str
    lines: list[Line]

    @property
    def is_cell(self) -> bool:
        return self.kind in ("th", "td")


class MarkdownDocument(TextDocument):
    """A Markdown file."""

    def __init__(self, data: bytes, name: str, languages: LanguagePair, columns: Columns) -> None:
        """Parse the file. Raise DataError if it is not UTF-8."""
        super().__init__(decode_document(data, name), name)
        self._blocks: list[_Block] = []  # of each segment
        self._parser = MarkdownIt("commonmark").enable(["table", "strikethrough"])
        self._file_lines: list[Line] = []
        for match in _LINE.finditer(self._text):
            if match.start() < len(self._text):
                self._file_lines.append(Line(match.start(1), match.end(1), match.end()))
        front_matter = _FRONT_MATTER.match(self._text[:100_000])
        body_start = front_matter.end() if front_matter else 0
        body = re.sub(r"[^\r\n]", " ", self._text[:body_start]) + self._text[body_start:]
        environment: dict[str, dict[str, object]] = {}
        tokens = self._parser.parse(body.replace("\ufeff", " ") if body.startswith("\ufeff") else body, environment)
        self._references = environment
        self._labels = frozenset(environment.get("references", {}))
        self._last_cell = (-1, 0)  # the line of the last table cell, and where it ends in that line
        for previous, token in pairwise(tokens):
            if token.type == "inline" and token.map is not None and has_letters(token.content):
                self._add_block(previous, token)

    def _add_block(self, opening: Token, token: Token) -> None:
        """Add a segment for the inline content of a block."""
        kind = opening.type.removesuffix("_open")
        assert token.map is not None
        number = token.map[0]
        lines = self._find_cell(token, number) if kind in ("th", "td") else self._find_lines(token, number, kind)
        if lines is None:
            self.skipped.append(SkippedEntry(number + 1, "its text cannot be located in the file"))
            return
        content = parse_inline(join_line_texts(self._text, lines), self._labels)
        if not has_letters(content.unprotected()):
            return
        has_hard_break = any(child.type == "hardbreak" for child in token.children or ())
        self.segments.append(Segment(content, number + 1, len(self._blocks), is_reflowable=not has_hard_break))
        self._blocks.append(_Block(kind, lines))

    def _find_lines(self, token: Token, number: int, kind: str) -> list[Line] | None:
        """Return the lines of a paragraph or a heading, without the marks around them; None if they are not found."""
        lines = []
        contents = token.content.split("\n")
        for index, content in enumerate(contents):
            if number + index >= len(self._file_lines):
                return None
            file_line, content = self._file_lines[number + index], content.strip()
            text = self._text[file_line.start : file_line.end].rstrip()
            at = text.rfind(content)
            rest = text[at + len(content) :]
            if at < 0 or (rest and (kind != "heading" or rest.strip(" \t#"))):
                return None
            is_last = index == len(contents) - 1
            end = at + len(content if is_last else content.removesuffix("\\"))
            lines.append(Line(file_line.start + at, file_line.start + end, file_line.next))
        return lines

    def _find_cell(self, token: Token, number: int) -> list[Line] | None:
        """Return the text of a table cell as a line; None if it is not found."""
        if number >= len(self._file_lines):
            return None
        file_line = self._file_lines[number]
        search_start = self._last_cell[1] if self._last_cell[0] == number else 0
        at = self._text[file_line.start : file_line.end].find(token.content, search_start)
        if at < 0:
            return None
        end = at + len(token.content)
        self._last_cell = (number, end)
        return [Line(file_line.start + at, file_line.start + end, file_line.next)]

    def _render(self, index: int, translation: MarkedText) -> str:
        """Return a translation as Markdown, with escapes for characters that would start a block or end a cell."""
        text = render(translation)
        if self._blocks[index].is_cell:
            return re.sub(r"(?<!\\)\|", r"\\|", text)
        if self._blocks[index].kind == "heading" and self._is_after_mark(self._blocks[index].lines[0]):
            return text
        return "\n".join(_escape_block_start(line) for line in text.split("\n"))

    def _is_after_mark(self, line: Line) -> bool:
        """Return whether the text of a line comes after `#`."""
        return self._text[max(0, line.start - 20) : line.start].rstrip(" \t").endswith("#")

    def check_translation(self, index: int, translation: MarkedText) -> str:
        """Refuse a translation in which Markdown sees other markup than in its source."""
        before = join_line_texts(self._text, self._blocks[index].lines)
        after = self._render(index, translation)
        if self._markup_of(before) != self._markup_of(after):
            return "its markup would change"
        return ""

    def _markup_of(self, text: str) -> list[tuple[str, ...]]:
        """Return the markup that Markdown sees in a text, sorted."""
        markup = []
        for block in self._parser.parseInline(text, dict(self._references)):
            for token in block.children or ():
                if token.type not in ("text", "softbreak", "hardbreak", "text_special"):
                    content = token.content if token.type in ("code_inline", "html_inline", "image") else ""
                    markup.append((token.type, content, *(str(item) for item in sorted(token.attrs.items()))))
        return sorted(markup)

    def _edits(self, index: int, translation: MarkedText) -> list[Edit]:
        return replace_lines(self._blocks[index].lines, MarkedText(self._render(index, translation)))


def _escape_block_start(line: str) -> str:
    """Return a line with a backslash before characters that would start a block."""
    if _BLOCK_START.match(line):
        return "\\" + line
    return _LIST_NUMBER.sub(r"\1\\\2", line, count=1) if _LIST_NUMBER.match(line) else line
