"""A text divided into what a model translates at a time, put together again, and wrapped as it was."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sentencex import get_sentence_boundaries

Span = tuple[int, int]
Alignment = tuple[tuple[int, int], ...]

_WORD = re.compile(r"\S+")
_COLUMN_ENDS = re.compile(r"(?<=[^\s])(?: {2,}|[ ]*\t\s*)(?=[^\s])")
_LETTER = re.compile(r"[^\W\d_]")


@dataclass(frozen=True)
class Piece:
    """Characters start to end of a source, what they became, and which words of both belong together (from 0)."""

    start: int
    end: int
    text: str
    alignment: Alignment = ()


@dataclass(frozen=True)
class Whole:
    """A translation, put together of pieces; its alignment is that of its words."""

    text: str
    alignment: Alignment


def has_letters(text: str) -> bool:
    """Whether there is anything to translate."""
    return _LETTER.search(text) is not None


def lines_that_belong_together(text: str) -> Iterator[Span]:
    r"""Spans of lines, their last `\n` not in them: one that begins small goes on with one that does not end."""
    start = at = 0
    before = ""
    for line in text.split("\n"):
        if at and not _goes_on(before, line):
            yield start, at - 1
            start = at
        before = line
        at += len(line) + 1
    yield start, len(text)


def _goes_on(before: str, line: str) -> bool:
    return bool(
        line[:1].islower() and before.strip() and not before.startswith(" ") and before.rstrip()[-1] not in ".:;!?"
    )


def cells(text: str, start: int, end: int) -> Iterator[Span]:
    """What of characters start to end stands in a column of its own: between two or more spaces, or a tab."""
    for match in _COLUMN_ENDS.finditer(text, start, end):
        yield start, match.start()
        start = match.end()
    yield start, end


def sentences(text: str, span: Span, language: str, kept: Sequence[Span]) -> Iterator[Span]:
    """The sentences of a span of the text, without the white space around them; none ends within a `kept` span."""
    start, end = span
    flat = text[start:end].translate({10: " ", 13: " "})
    if not has_letters(flat):
        return
    begins = start
    for boundary in get_sentence_boundaries(language or "en", flat):
        last = start + int(boundary["end_index"])
        if last < end and not (text[last - 1].isspace() or text[last].isspace()):
            continue  # no white space between them: they stay together, as `e.g.` and what follows
        place = bisect_left(kept, (last, last))
        if place and kept[place - 1][1] > last:
            continue
        yield from stripped(text, begins, last)
        begins = last
    yield from stripped(text, begins, end)


def stripped(text: str, start: int, end: int) -> Iterator[Span]:
    """The span without white space at its ends; nothing, where it has no letters."""
    part = text[start:end]
    if has_letters(part):
        yield start + len(part) - len(part.lstrip()), end - (len(part) - len(part.rstrip()))


def between(text: str, start: int, end: int, kept: Sequence[Span]) -> Iterator[Span]:
    """What of characters start to end is in none of the `kept` spans, and has letters."""
    for first, last in kept:
        yield from stripped(text, start, first)
        start = last
    yield from stripped(text, start, end)


def put_together(source: str, pieces: Sequence[Piece]) -> Whole:
    """The source with its pieces translated, in order; what is between them stays."""
    parts: list[str] = []
    length = at = 0
    spans: list[tuple[Span, Span, Alignment | None]] = []  # in the source, in the target

    def add(text: str, start: int, end: int, alignment: Alignment | None) -> None:
        nonlocal length
        spans.append(((start, end), (length, length + len(text)), alignment))
        parts.append(text)
        length += len(text)

    for piece in pieces:
        add(source[at : piece.start], at, piece.start, None)
        add(piece.text, piece.start, piece.end, piece.alignment)
        at = piece.end
    add(source[at:], at, len(source), None)
    target = "".join(parts)
    return Whole(target, _aligned(source, target, spans))


def _aligned(source: str, target: str, spans: Sequence[tuple[Span, Span, Alignment | None]]) -> Alignment:
    starts = [[match.start() for match in _WORD.finditer(text)] for text in (source, target)]

    def word(side: int, character: int) -> int:
        return max(0, bisect_right(starts[side], character) - 1)

    pairs: set[tuple[int, int]] = set()
    for (first, last), (begins, ends), alignment in spans:
        of_source = [match.start() + first for match in _WORD.finditer(source[first:last])]
        of_target = [match.start() + begins for match in _WORD.finditer(target[begins:ends])]
        if alignment is None or not alignment:  # a copy, or nothing is known: along the diagonal
            alignment = diagonal(len(of_source), len(of_target))
        for one, other in alignment:
            if one < len(of_source) and other < len(of_target):
                pairs.add((word(0, of_source[one]), word(1, of_target[other])))
    return tuple(sorted(pairs, key=lambda pair: (pair[1], pair[0])))


def diagonal(source: int, target: int) -> Alignment:
    """Each of `target` words with the one as far from the beginning among `source`."""
    return tuple((place * source // target, place) for place in range(target)) if source else ()


def flattened(text: str) -> str:
    """The same with a space for each line break and the white space around it."""
    return re.sub(r"[^\S\n]*+\n\s*", " ", text)


def wrapped(text: str, lines: int, kept: Sequence[Span] = ()) -> str:
    """A flat text with some spaces made line breaks: so many lines, of like length, as far as it can.

    None is made within a `kept` span.
    """
    inside = {place for start, end in kept for place in range(start, end)}
    spaces = [match.start() for match in re.finditer(r"(?<=\S) (?=\S)", text) if match.start() not in inside]
    characters = list(text)
    first = 0
    for line in range(1, lines):
        if first == len(spaces):
            break
        wanted = len(text) * line / lines
        after = bisect_left(spaces, wanted, first)
        near = [place for place in (after - 1, after) if first <= place < len(spaces)]
        nearest = min(near, key=lambda place: abs(spaces[place] - wanted))
        characters[spaces[nearest]] = "\n"
        first = nearest + 1
    return "".join(characters)
