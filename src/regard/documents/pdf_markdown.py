"""Write the lines of a PDF as Markdown: paragraphs, headings, list items and code; headers and footers are left out."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

from markdown_it import MarkdownIt

_MONOSPACED = re.compile(r"mono|monl|courier|cmtt|consol|typewriter|code|menlo", re.IGNORECASE)
_BULLET = re.compile(r"(?:[•◦▪‣●○■–—*∙·]|-(?=\s))\s*(?=\S)")
_NUMBER = re.compile(r"(\d{1,3})[.)]\s+(?=\S)")
_LIGATURES = {"ﬀ": "ff", "ﬁ": "fi", "ﬂ": "fl", "ﬃ": "ffi", "ﬄ": "ffl", "ﬅ": "st", "ﬆ": "st"}
_HYPHEN = re.compile(r"([^\W\d_]+)[-\u00ad\u2010]$")
_SENTENCE_END = re.compile(r"""[.!?:;…。！？]["'”’»)\]]*$""")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\ufffe\uffff\ud800-\udfff]")
_ESCAPE_OR_ENTITY = re.compile(r"\\(?=[!-/:-@\[-`{-~])|&(?=#?\w{1,31};)")
_MARKUP = {  # the characters that start each kind of inline markup, in the order in which they are escaped
    "code_inline": "`",
    "html_inline": "<",
    "image": "!",
    "link_open": r"\[",
    "em_open": "*_",
    "strong_open": "*_",
}
_BLOCK_START = re.compile(r"(?=>|(?:[-+]|#{1,6})(?:\s|$)|-{3}|_{3}|~{3}|\*\s)|(?<!\S)(\d{1,9})(?=[.)](?:\s|$))")
_LEADER = re.compile(r"(?:\s*\.){4,}\s*(?=[\divxlc]+$)")
GAP = 1.3  # of the usual distance between lines: a larger one separates paragraphs
HEADING = 1.15  # of the usual font size
MAX_HEADING_LINES = 3
MARGIN_LINES = 2  # at the top and the bottom of a page that may be headers and footers


@dataclass(frozen=True)
class PdfLine:
    """A line: its text, where it starts, its font size, and whether its font is monospaced."""

    text: str
    x: float
    y: float
    size: float
    is_code: bool


@dataclass
class _Block:
    """Lines that belong together, on pages from `page` on, counted from 1."""

    page: int
    lines: list[PdfLine] = field(default_factory=list)

    @property
    def size(self) -> float:
        return self.lines[0].size

    @property
    def is_code(self) -> bool:
        return all(line.is_code for line in self.lines)


def make_line(text: str, x: float, y: float, size: float, font: str) -> PdfLine:
    """Return a line with its ligatures resolved and its control characters removed."""
    for ligature, letters in _LIGATURES.items():
        text = text.replace(ligature, letters)
    return PdfLine(_CONTROL.sub("", text).strip(), x, y, size, _MONOSPACED.search(font) is not None)


def write_markdown(pages: Sequence[Sequence[PdfLine]]) -> tuple[str, list[tuple[int, int]]]:
    """Return the text of all pages as Markdown, and for each block its first line number and its page."""
    pages = _remove_margins(pages)
    body_size = _usual_size(pages)
    blocks: list[_Block] = []
    for number, lines in enumerate(pages, start=1):
        for block in _split_page(lines, number):
            if blocks and _continues(blocks[-1], block):
                blocks[-1].lines += block.lines
            elif blocks and blocks[-1].is_code and block.is_code:
                blocks[-1].lines += [replace(block.lines[0], text=""), *block.lines]
            else:
                blocks.append(block)
    words = Counter(word.lower() for lines in pages for line in lines for word in re.findall(r"[\w-]+", line.text))
    levels = sorted({round(block.size) for block in blocks if _is_heading(block, body_size)}, reverse=True)
    parser = MarkdownIt("commonmark")
    texts: list[str] = []
    starts: list[tuple[int, int]] = []
    line_number = 1
    for block in blocks:
        level = levels.index(round(block.size)) + 1 if _is_heading(block, body_size) else 0
        text = _write_block(block, level, words, parser)
        starts.append((line_number, block.page))
        texts.append(text)
        line_number += text.count("\n") + 2
    return "\n\n".join(texts) + ("\n" if texts else ""), starts


def _remove_margins(pages: Sequence[Sequence[PdfLine]]) -> list[list[PdfLine]]:
    """Remove page numbers, and headers and footers: lines that many pages have, but for their digits."""

    def margins(lines: Sequence[PdfLine]) -> set[int]:
        last = len(lines) - 1
        return {
            index for index in (*range(MARGIN_LINES), *range(last - MARGIN_LINES + 1, last + 1)) if 0 <= index <= last
        }

    def key(line: PdfLine) -> tuple[str, int]:
        return re.sub(r"\d+|\b[ivxlc]+\b", "#", line.text), round(line.y / 4)

    def offsets(line: PdfLine, page: int) -> set[int]:
        numbers = re.findall(r"^\d{1,5}(?=\s|$)|(?<!\S)\d{1,5}$", line.text)
        return {int(number) - page for number in numbers}

    counts = Counter(key(lines[index]) for lines in pages for index in margins(lines))
    least = max(3, len(pages) // 4)
    common: Counter[int] = Counter()  # the differences between numbers in the margins and the number of the page
    for page, lines in enumerate(pages):
        common.update(offset for index in margins(lines) for offset in offsets(lines[index], page))
    page_offsets = {offset for offset, count in common.items() if count >= least}
    remaining = []
    for page, lines in enumerate(pages):
        edges = margins(lines)
        is_margin = [
            index in edges and (counts[key(line)] >= least or bool(offsets(line, page) & page_offsets))
            for index, line in enumerate(lines)
        ]
        remaining.append([line for line, is_dropped in zip(lines, is_margin, strict=True) if not is_dropped])
    return remaining


def _usual_size(pages: Sequence[Sequence[PdfLine]]) -> float:
    sizes: Counter[float] = Counter()
    for lines in pages:
        for line in lines:
            sizes[round(line.size, 1)] += len(line.text)
    return sizes.most_common(1)[0][0] if sizes else 0.0


def _split_page(lines: Sequence[PdfLine], page: int) -> Iterator[_Block]:
    """Yield the blocks of a page."""
    gaps = Counter(
        round(first.y - second.y, 0)
        for first, second in pairwise(lines)
        if 0 < first.y - second.y < 3 * max(first.size, 1) and abs(first.size - second.size) < 0.5
    )
    usual_gap = gaps.most_common(1)[0][0] if gaps else 0.0
    block = _Block(page)
    for line in lines:
        if block.lines and _starts_block(block, line, usual_gap):
            yield block
            block = _Block(page)
        block.lines.append(line)
    if block.lines:
        yield block


def _starts_block(block: _Block, line: PdfLine, usual_gap: float) -> bool:
    previous = block.lines[-1]
    gap = previous.y - line.y
    is_same_font = abs(previous.size - line.size) <= 0.1 * max(previous.size, 1) and previous.is_code == line.is_code
    if not is_same_font or gap > max(GAP * usual_gap, 0.9 * line.size):
        return not is_same_font or gap > max(GAP * usual_gap, GAP * line.size)
    if line.is_code:
        return False
    if _LEADER.search(line.text) or _LEADER.search(previous.text):  # an entry of a table of contents
        return True
    if gap < -line.size:  # the top of the next column
        return not _is_unfinished(previous.text, line.text)
    is_indented = line.x - previous.x > 0.7 * line.size
    has_list_mark = _BULLET.match(block.lines[0].text) or _NUMBER.match(block.lines[0].text)
    if _BULLET.match(line.text) or (_NUMBER.match(line.text) and _SENTENCE_END.search(previous.text)):
        return True
    return is_indented and not has_list_mark and len(block.lines) > 1


def _is_unfinished(before: str, after: str) -> bool:
    return after[:1].islower() and not _SENTENCE_END.search(before)


def _continues(before: _Block, after: _Block) -> bool:
    """Return whether a block on another page continues a block."""
    if before.page == after.page:
        return False
    is_same = abs(before.size - after.size) <= 0.1 * max(before.size, 1) and before.is_code == after.is_code
    return is_same and not before.is_code and _is_unfinished(before.lines[-1].text, after.lines[0].text)


def _is_heading(block: _Block, body_size: float) -> bool:
    return block.size > HEADING * body_size and len(block.lines) <= MAX_HEADING_LINES and not block.is_code


def _write_block(block: _Block, level: int, words: Counter[str], parser: MarkdownIt) -> str:
    """Return a block as Markdown; a heading if it has a level."""
    if block.is_code:
        margin = min(line.x for line in block.lines)
        width = max(block.size * 0.6, 1.0)  # of a character
        lines = [" " * min(60, round((line.x - margin) / width)) + line.text for line in block.lines]
        fence = "`" * max(3, 1 + max((len(run) for line in lines for run in re.findall("`+", line)), default=0))
        return "\n".join([fence, *lines, fence])
    text = join_lines([_LEADER.sub(" … ", line.text) for line in block.lines], words)
    if level:
        return f"{'#' * min(level, 6)} {_escape(text, parser)}"
    if bullet := _BULLET.match(text):
        return f"- {_escape_start(_escape(text[bullet.end() :], parser))}"
    if number := _NUMBER.match(text):
        return f"{number[1]}. {_escape_start(_escape(text[number.end() :], parser))}"
    return _escape_start(_escape(text, parser))


def join_lines(lines: Sequence[str], words: Counter[str]) -> str:
    """Join the lines of a paragraph, without the hyphens of divided words.

    A hyphen stays if the document has the word with a hyphen elsewhere, and does not have it without.
    """
    text = lines[0]
    for line in lines[1:]:
        first, second = _HYPHEN.search(text), re.match(r"[^\W\d_]+", line)
        if first is None or second is None or not second[0][0].islower():
            text = f"{text} {line}"
            continue
        before, after = first[1].lower(), second[0].lower()
        keeps_hyphen = words[f"{before}-{after}"] > 0 and not words[before + after]
        text = text[: first.end(1)] + ("-" if keeps_hyphen else "") + line
    return re.sub(r"\s+", " ", text.replace("\u00ad", ""))


def _escape(text: str, parser: MarkdownIt) -> str:
    """Escape the characters of a text that Markdown would read as markup. URLs in angle brackets stay."""
    text = _ESCAPE_OR_ENTITY.sub(lambda match: "\\" + match[0], text)
    for kind, characters in _MARKUP.items():
        if kind in _markup_kinds(text, parser):
            text = re.sub(f"([{characters}])", r"\\\1", text)
    return text


def _escape_start(text: str) -> str:
    """Escape the start of a paragraph that Markdown would read as a list, a heading or a quotation."""
    match = _BLOCK_START.match(text)
    return text if match is None else f"{match[0]}\\{text[match.end() :]}"


def _markup_kinds(text: str, parser: MarkdownIt) -> set[str]:
    tokens = parser.parseInline(text)[0].children or ()
    return {token.type for token in tokens if token.markup != "autolink"}
