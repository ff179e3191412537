"""Which characters of a text each of its tokens covers."""

from __future__ import annotations

from collections.abc import Sequence

from regard.terms.glossary import Term
from regard.terms.words import find_phrase
from regard.tokenizers.base import Tokenizer
from regard.tokenizers.pattern import PatternTokenizer
from regard.tokenizers.tagged import TaggedTokenizer
from regard.tokenizers.words import SPACE_MARK

Span = tuple[int, int]


def token_spans(tokenizer: Tokenizer, ids: Sequence[int], text: str) -> list[Span] | None:
    """Return the span of characters of each token, tags excepted; None if the tokens do not spell the text.

    White space is in no span. A byte of a character covers the character.
    """
    inner = tokenizer.inner if isinstance(tokenizer, TaggedTokenizer) else tokenizer
    tokens = [id for id in ids if id < inner.size]
    if inner.kind == "word":
        lengths: list[float] = [len(word) for word in text.split()]
    elif inner.kind in ("character", "byte"):
        units = text if inner.kind == "character" else [character for character in text for _ in character.encode()]
        lengths = [
            0.0 if unit.isspace() else 1.0 if inner.kind == "character" else 1 / len(unit.encode()) for unit in units
        ]
    elif isinstance(inner, PatternTokenizer):
        lengths = [float(len("".join(token.split()))) for token in inner.split(text)]
    else:
        lengths = _piece_lengths(inner.pieces(tokens))
    places = [place for place, character in enumerate(text) if not character.isspace()]
    if len(lengths) != len(tokens) or abs(sum(lengths) - len(places)) > EXACT:
        return None
    spans: list[Span] = []
    total = 0.0
    for length in lengths:
        first, total = int(total + EXACT), total + length
        last = int(total - EXACT)
        spans.append((places[first], places[max(first, last)] + 1) if length and first < len(places) else (0, 0))
    return spans


EXACT = 1e-6  # less than the share of a byte in a character


def _piece_lengths(pieces: Sequence[str]) -> list[float]:
    """Return how many characters each piece spells; a byte spells a share of one."""
    lengths: list[float] = []
    at = 0
    while at < len(pieces):
        byte = _byte(pieces[at])
        if byte is None:
            lengths.append(float(len(pieces[at].replace(SPACE_MARK, ""))))
            at += 1
            continue
        size = 1 if byte < 0x80 else 2 if byte < 0xE0 else 3 if byte < 0xF0 else 4
        lengths += [1 / size] * size
        at += size
    return lengths[: len(pieces)]


def _byte(piece: str) -> int | None:
    return int(piece[3:5], 16) if len(piece) == 6 and piece.startswith("<0x") else None


def find_terms(terms: Sequence[Term], spans: Sequence[Span], text: str) -> list[tuple[Term, slice]]:
    """Return the terms that a text contains, in the order in which they come in it, and the tokens that each covers.

    Args:
        terms: Terms in the order of the text.
        spans: The span of characters of each token.
        text: The text.
    """
    placed: list[tuple[Term, slice]] = []
    lowered, at = _lower(text), 0
    for term in terms:
        start = find_phrase(lowered, _lower(term.source), at)
        if start < 0:
            continue
        at = start + len(term.source)
        covered = [index for index, (begin, end) in enumerate(spans) if begin < at and end > start]
        if covered and (not placed or covered[0] >= placed[-1][1].stop):
            placed.append((term, slice(covered[0], covered[-1] + 1)))
    return placed


def _lower(text: str) -> str:
    """Return a text in lower case, with as many characters; the dotted and the dotless I of Turkish are alike."""
    return text.translate(_ALIKE).lower()


_ALIKE = str.maketrans("İı", "ii")
