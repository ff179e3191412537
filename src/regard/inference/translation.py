"""What a translator gives for a text, and how the translations of its segments become one."""

from __future__ import annotations

import heapq
import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regard.config.schema import SearchConfig
from regard.evaluation.mbr import mbr_select
from regard.text.segments import Piece, Span, join_pieces


@dataclass(frozen=True)
class Constraints:
    """What one line's translation must and must not have in it, and how it begins, as text."""

    require: tuple[str, ...] = ()
    forbid: tuple[str, ...] = ()
    prefix: str = ""


@dataclass(frozen=True)
class Translation:
    """One hypothesis as text.

    score: what it is ranked by: log_probability (in nats, EOS included) over the length penalty.
    tokens, source_tokens: the written forms of the tokens; the source's end with its EOS. ids: those of `tokens`.
    attention: (T, S) what each of T tokens (and the EOS behind them, where finished) looked at over S
        source tokens; None where it was not asked for or the model does not attend.
    alignment: pairs (source word, target word), counted from 0; empty without attention.
    finished: False where the length limit cut it.
    marks: what tells that it has gone wrong (see regard.evaluation.degenerate_output); mostly none.
    proved: of exact search, whether the model scores no other translation higher; False where exact_steps were too
        few to tell. None of any other search.
    parts: the segments of a text that was divided, in order; empty for a text that was translated as one.
    alternatives: the translations ranked below this one, best first, or further samples in the order drawn; empty
        unless `top_beams` is above 1. They have no alternatives themselves.

    A divided text has its parts' scores and log-probabilities added, their tokens one after another, every mark that
    any of them has, and an alignment of the words of the whole text. It is finished or proved where all parts are.
    Its attention is None: each part has its own.
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
    parts: tuple[Part, ...] = ()
    alternatives: tuple[Translation, ...] = ()

    @property
    def n_best(self) -> tuple[Translation, ...]:
        """Return this translation followed by its alternatives."""
        return (self, *self.alternatives)

    @property
    def attends(self) -> bool:
        """Return whether its attention, or that of every part of it, is there."""
        return all(part.attends for part in self.parts) if self.parts else self.attention is not None


@dataclass(frozen=True)
class Part:
    """A segment of a divided text: its span in the source, its span in the translation, and its own translation."""

    source: Span
    target: Span
    translation: Translation

    @property
    def attends(self) -> bool:
        """Return whether there is attention, where there is anything to attend."""
        return self.translation.attends or not self.translation.tokens


def join(
    source: str, spans: Sequence[Span], found: Sequence[Sequence[Translation]], count: int, *, drawn: bool = False
) -> list[Translation]:
    """Join the translations of a text's segments: at most `count` translations of the whole text, best first.

    found: for each span its translations, best first. The best combinations of them are those with the fewest
    unfinished parts and then the greatest sum of scores. drawn: they are samples instead, in the order drawn, and the
    i-th of each segment make the i-th of the text.
    """
    if drawn:
        return [_joined(source, spans, one) for one in zip(*found, strict=False)][:count]
    return [_joined(source, spans, one) for one in _best(found, count)]


def _best(found: Sequence[Sequence[Translation]], count: int) -> list[tuple[Translation, ...]]:
    """Return the best combinations of one translation from each list, at most `count`.

    The best of all begin with the best of what comes before, so `count` of those suffice at each list.
    """
    best: list[tuple[tuple[int, float], tuple[Translation, ...]]] = [((0, 0.0), ())]
    for translations in found:
        longer = (
            ((cut + (not one.finished), cost - one.score), (*before, one))
            for ((cut, cost), before), one in product(best, translations[:count])
        )
        best = heapq.nsmallest(count, longer, key=lambda entry: entry[0])
    return [parts for _, parts in best]


def _joined(source: str, spans: Sequence[Span], found: Sequence[Translation]) -> Translation:
    pieces = [Piece(*span, one.text, one.alignment) for span, one in zip(spans, found, strict=True)]
    whole = join_pieces(source, pieces)
    aligned = any(one.alignment for one in found)
    proved = {one.proved for one in found}
    return Translation(
        text=whole.text,
        score=sum(one.score for one in found),
        log_probability=sum(one.log_probability for one in found),
        tokens=tuple(token for one in found for token in one.tokens),
        source_tokens=tuple(token for one in found for token in one.source_tokens),
        alignment=whole.alignment if aligned else (),
        finished=all(one.finished for one in found),
        marks=tuple(dict.fromkeys(mark for one in found for mark in one.marks)),
        proved=None if proved == {None} else proved == {True},
        ids=tuple(token for one in found for token in one.ids),
        parts=tuple(Part(*places) for places in zip(spans, whole.spans, found, strict=True)),
    )


def agreed(candidates: Sequence[Translation], search: SearchConfig) -> Translation:
    """The candidate of least risk: draws count alike, what a beam found by its probability.

    What the length limit cut is no candidate of a beam, unless there is no other.
    """
    if search.candidates == "samples":
        return candidates[mbr_select([one.text for one in candidates])]
    listed = [one for one in candidates if one.finished] or candidates
    if len(listed) == 1:  # it may have no probability at all
        return listed[0]
    most = max(one.log_probability for one in listed)
    weights = [math.exp(one.log_probability - most) for one in listed]
    return listed[mbr_select([one.text for one in listed], weights)]
