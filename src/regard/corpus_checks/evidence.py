"""Evidence that a pair is a translation: log-likelihood ratios, learned from the corpus and from shuffled pairs.

Every word and every surface feature of a pair is an observation. How probable it is in a translation is counted over
the pairs of the corpus, how probable it is in an unrelated pair over the same pairs with their targets shuffled. The
sum of log(P(observation | translation) / P(observation | unrelated)) is the evidence, in nats: a short pair, or words
that are often translated freely, contribute little to it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from regard.corpus_checks.surface import Codes, Numbers, agreement, association

EDGES = np.array([-1.8, -1.0, 0.0, 1.0, 2.0])  # of a word's link score: the bounds of its states
STATES = len(EDGES) + 1
PRIOR = 5.0  # observations of the average word, added to those of each word
ROUNDS = 2  # of counting: pairs that look unrelated after the first are left out of the next
SUSPECT = -5.0  # nats, below which a pair is left out


@dataclass(frozen=True)
class Words:
    """The known words of one side of some pairs, end to end: (words,) each."""

    pair: NDArray[np.int64]  # the pair of each word
    id: NDArray[np.int64]
    score: Numbers  # how well it is linked to the other side

    def table(self, chosen: NDArray[np.bool_], size: int) -> Numbers:
        """Count the states of each word in the chosen pairs: (size, STATES)."""
        kept = chosen[self.pair]
        cells = self.id[kept] * STATES + np.searchsorted(EDGES, self.score[kept])
        return np.bincount(cells, minlength=size * STATES).reshape(size, STATES).astype(np.float64)

    def sums(self, ratios: Numbers, pairs: int) -> Numbers:
        """Add up the log-likelihood ratios of each pair's words: (pairs,)."""
        values = ratios[np.minimum(self.id, len(ratios) - 1), np.searchsorted(EDGES, self.score)]
        return np.bincount(self.pair, values, minlength=pairs)[:pairs].astype(np.float64)


@dataclass(frozen=True)
class Observations:
    """What some pairs are judged by: the words of target and source, and the codes of surface features."""

    words: tuple[Words, Words]
    features: Sequence[tuple[Codes, Codes]]

    def __len__(self) -> int:
        return len(self.features[0][0])


class Evidence:
    """Log-likelihood ratios of words and features. Memory: 48 bytes a different word of each side."""

    def __init__(self, pairs: Observations, shuffled: Observations) -> None:
        chosen = np.ones(len(pairs), np.bool_)
        for _ in range(ROUNDS):
            self._ratios = [
                _ratios(right, wrong, chosen) for right, wrong in zip(pairs.words, shuffled.words, strict=True)
            ]
            self._tables = [association(source[chosen], target[chosen]) for source, target in pairs.features]
            chosen = self.of(pairs) >= SUSPECT

    def of(self, pairs: Observations) -> Numbers:
        """Return the evidence for each pair, in nats; below 0 it looks unrelated: (pairs,)."""
        total = agreement(pairs.features, self._tables)
        for words, ratios in zip(pairs.words, self._ratios, strict=True):
            total += words.sums(ratios, len(pairs))
        return total


def _ratios(right: Words, wrong: Words, chosen: NDArray[np.bool_]) -> Numbers:
    """Log P(state | translation) - log P(state | unrelated) of each word; the last row is for unknown words."""
    size = int(max(right.id.max(initial=0), wrong.id.max(initial=0))) + 2
    everything = np.ones_like(chosen)
    logs = []
    for table in (right.table(chosen, size), wrong.table(everything, size)):
        average = (table.sum(0) + 1) / (table.sum() + STATES)
        logs.append(np.log((table + PRIOR * average) / (table.sum(1, keepdims=True) + PRIOR)))
    ratios: Numbers = logs[0] - logs[1]
    return ratios
