"""A text divided into the segments that a model translates one at a time, and their translations joined again.

This is the one place where text is divided: lines and standard input of `regard translate`, `Translator.translate`,
documents, and every endpoint of the server use it. White space and line breaks between segments stay as they are.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from sentencex import get_sentence_boundaries

from regard.text.placeholders import find_placeholders

Span = tuple[int, int]
Alignment = tuple[tuple[int, int], ...]
Division = Literal["whole", "lines", "sentences"]
"""What is one segment: the whole text, each line of it, or each sentence of each line."""
Fits = Callable[[str], bool]
"""Whether a text is short enough to be one segment."""

CUT_REACH = (
    1000  # characters on either side of the middle in which a text without sentences is cut at a clause or a space
)

_WORD = re.compile(r"\S+")
_LINE = re.compile(r"[^\r\n]+")
_LETTER = re.compile(r"[^\W\d_]")
_CLAUSE = re.compile(r"[,;:)\u2013\u2014](?=\s)|[，、；：）]")
_SPACE = re.compile(r"\s+")
_ENDS_UNSPACED = re.compile(r"[。！？｡][」』”’）)】》〉]*$")  # needs no white space after it
_ORDINAL = re.compile(r"(?<!\w)\d{1,2}\.$")
_ORDINALS_WITH_A_POINT = re.compile("bs|cs|da|de|et|eu|fi|fo|hr|hu|is|lb|lv|nb|nds|nn|no|pl|sk|sl|sr|tr")
_UNKNOWN = frozenset(["", "und", "mul", "mis", "zxx", "root"])
_JOINS = "\u200d\ufe0f"  # a character after or before which no text is cut


@dataclass(frozen=True)
class Piece:
    """Characters start to end of a source, what they became, and which words of both belong together (from 0)."""

    start: int
    end: int
    text: str
    alignment: Alignment = ()


@dataclass(frozen=True)
class JoinedTranslation:
    """A translation, put together of pieces: its text, the alignment of its words, and the span of each piece."""

    text: str
    alignment: Alignment
    spans: tuple[Span, ...] = ()


def is_language(code: str) -> bool:
    """Return whether a code names one natural language, whose sentences can be found."""
    return re.split("[-_]", code.lower())[0] not in _UNKNOWN


def split_segments(text: str, language: str, division: Division, fits: Fits) -> list[Span]:
    """Return the spans of a text to translate one at a time, in order, without white space at their ends.

    A line that holds at most one sentence is one segment, whatever is in it. Of a line that holds several, what has no
    letters is in no segment: it stays as it is. A segment that does not fit is divided: into its sentences, or else
    near its middle, at the end of a clause, at white space, or between two characters.
    """
    spans = (
        [_bare(text, 0, len(text))]
        if division == "whole"
        else [_bare(text, *one.span()) for one in _LINE.finditer(text)]
    )
    found: list[Span] = []
    for span in spans:
        if span[0] == span[1]:
            continue
        found += _sentences_or_all(text, span, language) if division == "sentences" else [span]
    return [part for span in found for part in _fitting(text, span, language, fits)]


def _bare(text: str, start: int, end: int) -> Span:
    part = text[start:end]
    return (end - len(part.lstrip()), start + len(part.rstrip())) if part.strip() else (start, start)


def _sentences_or_all(text: str, span: Span, language: str) -> list[Span]:
    if sum(1 for _ in split_sentences(text, span, language, ())) < 2:
        return [span]
    start, end = span
    kept = [(start + one.start, start + one.end) for one in find_placeholders(text[start:end]) if one.kind != "number"]
    found = list(split_sentences(text, span, language, kept))
    return found if len(found) > 1 else [span]


def _fitting(text: str, span: Span, language: str, fits: Fits) -> Iterator[Span]:
    if fits(text[slice(*span)]):
        yield span
        return
    for one in _sentences_or_all(text, span, language):
        yield from _halved(text, *one, fits)


def _halved(text: str, start: int, end: int, fits: Fits) -> Iterator[Span]:
    waiting = [(start, end)]
    while waiting:
        start, end = waiting.pop()
        if start == end:
            continue
        cut = end if end - start < 2 or fits(text[start:end]) else _cut(text, start, end)
        if cut == end:
            yield start, end
        else:
            waiting += [_bare(text, cut, end), _bare(text, start, cut)]


def _cut(text: str, start: int, end: int) -> int:
    """Return the best place near the middle of a span to cut it at, strictly inside it where it can be cut at all."""
    middle = (start + end) // 2
    reach = min(CUT_REACH, (end - start) // 4)
    for pattern in (_CLAUSE, _SPACE):
        places = [
            match.end() for match in pattern.finditer(text, middle - reach, middle + reach) if match.end() > start
        ]
        if places:
            return min(places, key=lambda place: abs(place - middle))
    while middle < end and (
        unicodedata.combining(text[middle]) or text[middle] in _JOINS or text[middle - 1] == _JOINS[0]
    ):
        middle += 1
    return middle


def count_sentences(text: str, language: str) -> int:
    """Return how many sentences with letters in them a text holds."""
    return sum(1 for _ in split_sentences(text, (0, len(text)), language, ()))


def share_with_several_sentences(texts: Iterable[str], language: str) -> float:
    """Return the share of the texts that hold more than one sentence; 0 where there are no texts."""
    several = [count_sentences(text, language) > 1 for text in texts]
    return sum(several) / max(1, len(several))


def has_letters(text: str) -> bool:
    """Whether there is anything to translate."""
    return _LETTER.search(text) is not None


def split_sentences(text: str, span: Span, language: str, kept: Sequence[Span]) -> Iterator[Span]:
    """The sentences of a span of the text, without the white space around them; none ends within a `kept` span."""
    start, end = span
    flat = text[start:end].translate({10: " ", 13: " "})
    if not has_letters(flat):
        return
    code = re.split("[-_]", language.lower())[0]
    begins = start
    for boundary in get_sentence_boundaries(code or "en", flat):
        last = start + int(boundary["end_index"])
        if last < end and not _ends(text, begins, last, code):
            continue
        place = bisect_left(kept, (last, last))
        if place and kept[place - 1][1] > last:
            continue
        yield from strip_span(text, begins, last)
        begins = last
    yield from strip_span(text, begins, end)


def _ends(text: str, begins: int, last: int, code: str) -> bool:
    """Whether a boundary is one: white space is next to it, or it needs none, and it is no `3.` of `3. Mai`."""
    if not (text[last - 1].isspace() or text[last].isspace()):
        return _ENDS_UNSPACED.search(text, max(begins, last - 4), last) is not None
    tail = text[max(begins, last - 8) : last].rstrip()
    return not (_ORDINALS_WITH_A_POINT.fullmatch(code) and _ORDINAL.search(tail))


def strip_span(text: str, start: int, end: int) -> Iterator[Span]:
    """The span without white space at its ends; nothing, where it has no letters."""
    part = text[start:end]
    if has_letters(part):
        yield start + len(part) - len(part.lstrip()), end - (len(part) - len(part.rstrip()))


def join_pieces(source: str, pieces: Sequence[Piece]) -> JoinedTranslation:
    """The source with its pieces translated, in order; what is between them stays.

    Where nothing is between two pieces, as after a Chinese full stop, a space is put unless the translation needs none.
    """
    parts: list[str] = []
    length = at = 0
    spans: list[tuple[Span, Span, Alignment | None]] = []  # in the source, in the target
    placed: list[Span] = []

    def add(text: str, start: int, end: int, alignment: Alignment | None) -> None:
        nonlocal length
        spans.append(((start, end), (length, length + len(text)), alignment))
        parts.append(text)
        length += len(text)

    for number, piece in enumerate(pieces):
        gap = source[at : piece.start]
        needed = number > 0 and not gap and _needs_space(pieces[number - 1].text, piece.text)
        add(" " if needed else gap, at, piece.start, None)
        add(piece.text, piece.start, piece.end, piece.alignment)
        placed.append(spans[-1][1])
        at = piece.end
    add(source[at:], at, len(source), None)
    target = "".join(parts)
    return JoinedTranslation(target, _aligned(source, target, spans), tuple(placed))


def _needs_space(before: str, after: str) -> bool:
    if not before or not after or before[-1].isspace() or after[0].isspace():
        return False
    return unicodedata.east_asian_width(before[-1]) not in "WF" and unicodedata.east_asian_width(after[0]) not in "WF"


def _aligned(source: str, target: str, spans: Sequence[tuple[Span, Span, Alignment | None]]) -> Alignment:
    starts = [[match.start() for match in _WORD.finditer(text)] for text in (source, target)]

    def word(side: int, character: int) -> int:
        return max(0, bisect_right(starts[side], character) - 1)

    pairs: set[tuple[int, int]] = set()
    for (first, last), (begins, ends), alignment in spans:
        of_source = [match.start() + first for match in _WORD.finditer(source[first:last])]
        of_target = [match.start() + begins for match in _WORD.finditer(target[begins:ends])]
        if alignment is None or not alignment:  # a copy, or nothing is known: along the diagonal
            alignment = diagonal_alignment(len(of_source), len(of_target))
        for one, other in alignment:
            if one < len(of_source) and other < len(of_target):
                pairs.add((word(0, of_source[one]), word(1, of_target[other])))
    return tuple(sorted(pairs, key=lambda pair: (pair[1], pair[0])))


def diagonal_alignment(source: int, target: int) -> Alignment:
    """Each of `target` words with the one as far from the beginning among `source`."""
    return tuple((place * source // target, place) for place in range(target)) if source else ()
