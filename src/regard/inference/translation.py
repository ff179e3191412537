"""The translation of a text, and how the translations of its segments are joined."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from regard.special_tokens import EOS, SPECIAL
from regard.terms.glossary import Term
from regard.text.segments import Piece, Span, join_pieces


@dataclass(frozen=True)
class Constraints:
    """Phrases that the translation of a line must and must not contain, and how it begins, as text.

    Attributes:
        require: Phrases that it must contain.
        forbid: Phrases that it must not contain.
        prefix: How it begins. If it ends with a space, its last word is complete: the translation does not continue it.
        terms: Terms in the line, of each of which it must contain a form; usually found by a glossary.
    """

    require: tuple[str, ...] = ()
    forbid: tuple[str, ...] = ()
    prefix: str = ""
    terms: tuple[Term, ...] = ()


class Word(NamedTuple):
    """A word of a translation: its span in the text, and the probability that it is right."""

    start: int
    end: int
    confidence: float


@dataclass(frozen=True, repr=False)
class Translation:
    """A translation of a text. Printed, it is its text; a notebook also shows score, alternatives and attention.

    The translation of a divided text has the sums of its segments' scores and log-probabilities, their tokens in
    order, the union of their marks, and the word alignment of the whole text. It is finished or proved if all segments
    are. Its attention is None: each segment has its own. Its confidence is the lowest of its segments.

    Attributes:
        text: The translation.
        score: What translations are ranked by: the log-probability divided by the length penalty.
        log_probability: In nats, EOS included.
        tokens: The written forms of the target tokens.
        source_tokens: The written forms of the source tokens, with EOS.
        attention: (T, S) the attention of each of T target tokens (and EOS, if finished) over S source tokens; None if
            it was not requested or the model has none.
        alignment: Pairs (source word, target word), counted from 0; empty without attention.
        finished: False if the length limit cut the translation.
        marks: Signs of degenerate output (see regard.evaluation.degenerate_output); usually none.
        proved: After exact search, whether it is proved that the model scores no other translation higher; False if
            `exact_steps` was too small for a proof. None after other searches.
        ids: The ids of `tokens`.
        token_log_probabilities: That of each of `tokens`, and of EOS if finished, in nats, as the search has found
            them; empty for a translation by exact search.
        parts: The segments of a text that was divided, in order; empty for a text translated as one segment.
        confidence: The probability that the translation is right (see docs/confidence.md); None if it was not
            requested. 1 for a text without words.
        words: The words of the translation, each with the probability that it is right; empty unless requested.
        restored: The spans of `text` that were copied from the source after the search: emoji that the model does not
            know, and the numbers and addresses of `keep_numbers`.
        is_withheld: Whether the text, or a segment of it, stays untranslated because its confidence is below
            `min_confidence`.
        alternatives: The translations ranked below this one, best first, or further samples in the order drawn; empty
            unless `top_beams` is above 1. They have no alternatives themselves.
    """

    text: str
    score: float
    log_probability: float
    tokens: tuple[str, ...] = ()
    source_tokens: tuple[str, ...] = ()
    attention: NDArray[np.floating[Any]] | None = None
    alignment: tuple[tuple[int, int], ...] = ()
    finished: bool = True
    marks: tuple[str, ...] = ()
    proved: bool | None = None
    ids: tuple[int, ...] = ()
    token_log_probabilities: tuple[float, ...] = ()
    parts: tuple[Part, ...] = ()
    confidence: float | None = None
    words: tuple[Word, ...] = ()
    restored: tuple[Span, ...] = ()
    is_withheld: bool = False
    alternatives: tuple[Translation, ...] = ()

    @property
    def n_best(self) -> tuple[Translation, ...]:
        """Return this translation followed by its alternatives."""
        return (self, *self.alternatives)

    @property
    def target_tokens(self) -> tuple[str, ...]:
        """Return the tokens of the rows of `attention`, which are `tokens`, and EOS if the translation is finished."""
        return (*self.tokens, SPECIAL[EOS])[: len(self.tokens) if self.attention is None else len(self.attention)]

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return f"Translation({self.text!r}, score={self.score:.3f})"

    def _repr_html_(self) -> str:
        """Return what a notebook shows."""
        from regard.inference.translation_output import render_translation

        return render_translation(self)

    @property
    def attends(self) -> bool:
        """Return whether this translation, or every segment of it, has attention."""
        return all(part.attends for part in self.parts) if self.parts else self.attention is not None


@dataclass(frozen=True)
class Part:
    """A segment of a divided text: its span in the source, its span in the translation, and its own translation."""

    source: Span
    target: Span
    translation: Translation

    @property
    def attends(self) -> bool:
        """Return whether the segment has attention, or no tokens that could attend."""
        return self.translation.attends or not self.translation.tokens


def join(
    source: str, spans: Sequence[Span], segments: Sequence[Sequence[Translation]], count: int, *, drawn: bool = False
) -> list[Translation]:
    """Join the translations of a text's segments into at most `count` translations of the text, best first.

    The best combinations have the fewest unfinished segments and, among these, the greatest sum of scores.

    Args:
        source: The text.
        spans: The spans of its segments.
        segments: The translations of each segment, best first.
        count: The most translations to return.
        drawn: Whether the translations are samples in the order drawn. The i-th samples of all segments are then
            joined into the i-th of the text.
    """
    if drawn:
        return [_join(source, spans, translations) for translations in zip(*segments, strict=False)][:count]
    return [_join(source, spans, translations) for translations in _best_combinations(segments, count)]


def _best_combinations(segments: Sequence[Sequence[Translation]], count: int) -> list[tuple[Translation, ...]]:
    """Return the best combinations of one translation from each segment, at most `count`.

    Each of the best combinations begins with one of the best combinations of the segments before, so `count` of these
    are enough in each step.
    """
    best: list[tuple[tuple[int, float], tuple[Translation, ...]]] = [((0, 0.0), ())]
    for translations in segments:
        longer = (
            ((unfinished + (not last.finished), cost - last.score), (*before, last))
            for ((unfinished, cost), before), last in product(best, translations[:count])
        )
        best = heapq.nsmallest(count, longer, key=lambda entry: entry[0])
    return [combination for _, combination in best]


def _join(source: str, spans: Sequence[Span], segments: Sequence[Translation]) -> Translation:
    pieces = [Piece(*span, segment.text, segment.alignment) for span, segment in zip(spans, segments, strict=True)]
    joined = join_pieces(source, pieces)
    is_aligned = any(segment.alignment for segment in segments)
    proved = {segment.proved for segment in segments}
    confidences = [segment.confidence for segment in segments if segment.confidence is not None]
    return Translation(
        text=joined.text,
        score=sum(segment.score for segment in segments),
        log_probability=sum(segment.log_probability for segment in segments),
        tokens=tuple(token for segment in segments for token in segment.tokens),
        source_tokens=tuple(token for segment in segments for token in segment.source_tokens),
        alignment=joined.alignment if is_aligned else (),
        finished=all(segment.finished for segment in segments),
        marks=tuple(dict.fromkeys(mark for segment in segments for mark in segment.marks)),
        proved=None if proved == {None} else proved == {True},
        ids=tuple(token for segment in segments for token in segment.ids),
        token_log_probabilities=tuple(value for segment in segments for value in segment.token_log_probabilities),
        parts=tuple(Part(*spans_and_segment) for spans_and_segment in zip(spans, joined.spans, segments, strict=True)),
        confidence=min(confidences, default=None),
        words=tuple(
            Word(start + word.start, start + word.end, word.confidence)
            for (start, _), segment in zip(joined.spans, segments, strict=True)
            for word in segment.words
        ),
        restored=tuple(
            (start + first, start + last)
            for (start, _), segment in zip(joined.spans, segments, strict=True)
            for first, last in segment.restored
        ),
        is_withheld=any(segment.is_withheld for segment in segments),
    )
