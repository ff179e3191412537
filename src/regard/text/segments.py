"""Split a text into segments that a model translates one at a time, and join their translations.

All callers split text here: `regard translate` for lines and standard input, `Translator.translate`, documents, and
every endpoint of the server. White space and line breaks between segments are kept.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Literal

from sentencex import get_sentence_boundaries

from regard.text.placeholders import find_placeholders

Span = tuple[int, int]
Alignment = tuple[tuple[int, int], ...]
Division = Literal["whole", "lines", "sentences"]
"""What a segment is: the whole text, a line, or a sentence of a line."""
Fits = Callable[[str], bool]
"""Return whether a text is short enough to be one segment."""

CUT_REACH = 1000  # characters around the middle in which a long sentence is cut at a clause or a space

_WORD = re.compile(r"\S+")
_LINE = re.compile(r"[^\r\n]+")
_LETTER = re.compile(r"[^\W\d_]")
_CLAUSE = re.compile(r"[,;:)\u2013\u2014](?=\s)|[，、；：）]")
_SPACE = re.compile(r"\s+")
_ENDS_UNSPACED = re.compile(r"[。！？｡][」』”’）)】》〉]*$")  # needs no white space after it
_ORDINAL = re.compile(r"(?<!\w)\d{1,2}\.$")
_ORDINALS_WITH_A_POINT = re.compile("bs|cs|da|de|et|eu|fi|fo|hr|hu|is|lb|lv|nb|nds|nn|no|pl|sk|sl|sr|tr")
_UNKNOWN = frozenset(["", "und", "mul", "mis", "zxx", "root"])
_JOINERS = "\u200d\ufe0f"  # text is not cut before these, nor after the first


@dataclass(frozen=True)
class Piece:
    """The translation of the characters `start` to `end` of a source, and the alignment of their words (from 0)."""

    start: int
    end: int
    text: str
    alignment: Alignment = ()


@dataclass(frozen=True)
class JoinedTranslation:
    """A translation joined from pieces: its text, the alignment of its words, and the span of each piece."""

    text: str
    alignment: Alignment
    spans: tuple[Span, ...] = ()


def is_language(code: str) -> bool:
    """Return whether a code stands for a single natural language, in which sentences can be found."""
    return re.split("[-_]", code.lower())[0] not in _UNKNOWN


def split_segments(text: str, language: str, division: Division, fits: Fits) -> list[Span]:
    """Return the spans of the segments of a text in order, without white space at their ends.

    A line with at most one sentence is one segment. In a line with several sentences, parts without letters are not in
    any segment and stay as they are. A segment that does not fit is divided into its sentences, or else near its middle
    at the end of a clause, at white space, or between two characters. A character that does not fit, because of many
    combining marks or joiners, is divided, too.
    """
    spans = (
        [_strip(text, 0, len(text))]
        if division == "whole"
        else [_strip(text, *match.span()) for match in _LINE.finditer(text)]
    )
    segments: list[Span] = []
    for span in spans:
        if span[0] == span[1]:
            continue
        segments += _sentences_or_all(text, span, language) if division == "sentences" else [span]
    return [part for span in segments for part in _fit(text, span, language, fits)]


def _strip(text: str, start: int, end: int) -> Span:
    part = text[start:end]
    return (end - len(part.lstrip()), start + len(part.rstrip())) if part.strip() else (start, start)


def _sentences_or_all(text: str, span: Span, language: str) -> list[Span]:
    start, end = span
    protected = [
        (start + placeholder.start, start + placeholder.end)
        for placeholder in find_placeholders(text[start:end])
        if placeholder.kind != "number"
    ]
    parts = list(split_sentences(text, span, language, protected))
    return parts if len(parts) > 1 else [span]


def _fit(text: str, span: Span, language: str, fits: Fits) -> Iterator[Span]:
    if fits(text[slice(*span)]):
        yield span
        return
    for sentence in _sentences_or_all(text, span, language):
        yield from _halve(text, *sentence, fits)


def _halve(text: str, start: int, end: int, fits: Fits) -> Iterator[Span]:
    stack = [(start, end)]
    while stack:
        start, end = stack.pop()
        if start == end:
            continue
        if end - start < 2 or fits(text[start:end]):
            yield start, end
        else:
            cut = _cut(text, start, end)
            stack += [_strip(text, cut, end), _strip(text, start, cut)]


def _cut(text: str, start: int, end: int) -> int:
    """Return the best place to cut a span of two or more code points, near its middle and inside it."""
    middle = (start + end) // 2
    reach = min(CUT_REACH, (end - start) // 4)
    for pattern in (_CLAUSE, _SPACE):
        places = [
            match.end() for match in pattern.finditer(text, middle - reach, middle + reach) if match.end() > start
        ]
        if places:
            return min(places, key=lambda place: abs(place - middle))
    after = (place for place in range(middle, end) if not _is_within_character(text, place))
    before = (place for place in range(middle - 1, start, -1) if not _is_within_character(text, place))
    return next(chain(after, before), middle)  # the middle if the whole span is one character


def _is_within_character(text: str, place: int) -> bool:
    """Return whether the code points on both sides of a place belong to one character, as a letter and its accent."""
    return unicodedata.combining(text[place]) > 0 or text[place] in _JOINERS or text[place - 1] == _JOINERS[0]


def count_sentences(text: str, language: str) -> int:
    """Return the number of sentences with letters in a text."""
    return sum(1 for _ in split_sentences(text, (0, len(text)), language, ()))


def share_with_several_sentences(texts: Iterable[str], language: str) -> float:
    """Return the share of texts with more than one sentence; 0 if there are no texts."""
    several = [count_sentences(text, language) > 1 for text in texts]
    return sum(several) / max(1, len(several))


def has_letters(text: str) -> bool:
    """Return whether there is anything to translate."""
    return _LETTER.search(text) is not None


def split_sentences(text: str, span: Span, language: str, protected: Sequence[Span]) -> Iterator[Span]:
    """Yield the sentences of a span without white space around them; no sentence ends inside a protected span."""
    start, end = span
    flat = text[start:end].translate({10: " ", 13: " "})
    if not has_letters(flat):
        return
    code = re.split("[-_]", language.lower())[0]
    begins = start
    for boundary in get_sentence_boundaries(code or "en", flat):
        last = start + int(boundary["end_index"])
        if last < end and not _is_boundary(text, begins, last, code):
            continue
        index = bisect_left(protected, (last, last))
        if index and protected[index - 1][1] > last:
            continue
        yield from strip_span(text, begins, last)
        begins = last
    yield from strip_span(text, begins, end)


def _is_boundary(text: str, begins: int, last: int, code: str) -> bool:
    """Return whether a sentence ends here: next to white space or after `。` and the like, but not in `3. Mai`."""
    if not (text[last - 1].isspace() or text[last].isspace()):
        return _ENDS_UNSPACED.search(text, max(begins, last - 4), last) is not None
    tail = text[max(begins, last - 8) : last].rstrip()
    return not (_ORDINALS_WITH_A_POINT.fullmatch(code) and _ORDINAL.search(tail))


def strip_span(text: str, start: int, end: int) -> Iterator[Span]:
    """Yield the span without white space at its ends; yield nothing if it has no letters."""
    part = text[start:end]
    if has_letters(part):
        yield start + len(part) - len(part.lstrip()), end - (len(part) - len(part.rstrip()))


def join_pieces(source: str, pieces: Sequence[Piece]) -> JoinedTranslation:
    """Return the source with its pieces translated; the text between them is kept.

    Two pieces with nothing between them, as after a Chinese full stop, are separated by a space, unless the writing
    system of the translation does not use spaces.
    """
    parts: list[str] = []
    length = at = 0
    spans: list[tuple[Span, Span, Alignment | None]] = []  # in the source, in the target
    piece_spans: list[Span] = []

    def add(text: str, start: int, end: int, alignment: Alignment | None) -> None:
        nonlocal length
        spans.append(((start, end), (length, length + len(text)), alignment))
        parts.append(text)
        length += len(text)

    for index, piece in enumerate(pieces):
        gap = source[at : piece.start]
        needs_space = index > 0 and not gap and _needs_space(pieces[index - 1].text, piece.text)
        add(" " if needs_space else gap, at, piece.start, None)
        add(piece.text, piece.start, piece.end, piece.alignment)
        piece_spans.append(spans[-1][1])
        at = piece.end
    add(source[at:], at, len(source), None)
    target = "".join(parts)
    return JoinedTranslation(target, _align(source, target, spans), tuple(piece_spans))


def _needs_space(before: str, after: str) -> bool:
    if not before or not after or before[-1].isspace() or after[0].isspace():
        return False
    return unicodedata.east_asian_width(before[-1]) not in "WF" and unicodedata.east_asian_width(after[0]) not in "WF"


def _align(source: str, target: str, spans: Sequence[tuple[Span, Span, Alignment | None]]) -> Alignment:
    starts = [[match.start() for match in _WORD.finditer(text)] for text in (source, target)]

    def word(side: int, character: int) -> int:
        return max(0, bisect_right(starts[side], character) - 1)

    pairs: set[tuple[int, int]] = set()
    for (first, last), (begins, ends), alignment in spans:
        source_starts = [match.start() + first for match in _WORD.finditer(source[first:last])]
        target_starts = [match.start() + begins for match in _WORD.finditer(target[begins:ends])]
        if alignment is None or not alignment:  # copied text, or an unknown alignment
            alignment = diagonal_alignment(len(source_starts), len(target_starts))
        for source_word, target_word in alignment:
            if source_word < len(source_starts) and target_word < len(target_starts):
                pairs.add((word(0, source_starts[source_word]), word(1, target_starts[target_word])))
    return tuple(sorted(pairs, key=lambda pair: (pair[1], pair[0])))


def diagonal_alignment(source: int, target: int) -> Alignment:
    """Align each of `target` words with the source word at the same relative position."""
    return tuple((word * source // target, word) for word in range(target)) if source else ()
