"""Evidence that a pair is a translation: log-likelihood ratios, learned from the corpus and from shuffled pairs.

Every word and every surface feature of a pair is an observation. Its probability in a translation is estimated from
the pairs of the corpus, and its probability in an unrelated pair from the same pairs with shuffled targets. The
evidence is the sum of log(P(observation | translation) / P(observation | unrelated)), in nats. Short pairs, and words
that are often translated freely, contribute little to it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from regard.corpus_checks.surface import Codes, Numbers, agreement, association

EDGES = np.array([-1.8, -1.0, 0.0, 1.0, 2.0])  # boundaries that divide the link score of a word into states
STATES = len(EDGES) + 1
PRIOR = 5.0  # pseudo-counts of the average word, added to the counts of each word
ROUNDS = 2  # of counting: pairs that look unrelated after the first round are excluded from the second
SUSPECT = -5.0  # nats; pairs with less evidence are excluded


@dataclass(frozen=True)
class ScoredWords:
    """The known words of one side of a batch of pairs, concatenated. All arrays are (words,).

    Attributes:
        pair: The index of the pair of each word.
        id: The id of each word.
        score: How strongly each word is linked to the other side.
    """

    pair: NDArray[np.int64]
    id: NDArray[np.int64]
    score: Numbers

    def count_states(self, selected: NDArray[np.bool_], size: int) -> Numbers:
        """Count the states of each word in the selected pairs: (size, STATES)."""
        is_selected = selected[self.pair]
        cells = self.id[is_selected] * STATES + np.searchsorted(EDGES, self.score[is_selected])
        return np.bincount(cells, minlength=size * STATES).reshape(size, STATES).astype(np.float64)

    def sum_ratios(self, ratios: Numbers, num_pairs: int) -> Numbers:
        """Sum the log-likelihood ratios of the words of each pair: (pairs,)."""
        values = ratios[np.minimum(self.id, len(ratios) - 1), np.searchsorted(EDGES, self.score)]
        return np.bincount(self.pair, values, minlength=num_pairs)[:num_pairs].astype(np.float64)


@dataclass(frozen=True)
class Observations:
    """What is observed of a batch of pairs: the words of target and source, and the codes of the surface features."""

    words: tuple[ScoredWords, ScoredWords]
    features: Sequence[tuple[Codes, Codes]]

    def __len__(self) -> int:
        return len(self.features[0][0])


class Evidence:
    """Log-likelihood ratios of words and surface features. Memory: 48 bytes per distinct word of each side."""

    def __init__(self, pairs: Observations, shuffled: Observations) -> None:
        """Estimate the ratios from the pairs of the corpus and from pairs with shuffled targets."""
        selected = np.ones(len(pairs), np.bool_)
        for _ in range(ROUNDS):
            self._ratios = [
                _word_ratios(words, unrelated, selected)
                for words, unrelated in zip(pairs.words, shuffled.words, strict=True)
            ]
            self._tables = [association(source[selected], target[selected]) for source, target in pairs.features]
            selected = self.score(pairs) >= SUSPECT

    def score(self, pairs: Observations) -> Numbers:
        """Return the evidence for each pair, in nats; a pair below 0 looks unrelated: (pairs,)."""
        total = agreement(pairs.features, self._tables)
        for words, ratios in zip(pairs.words, self._ratios, strict=True):
            total += words.sum_ratios(ratios, len(pairs))
        return total


def _word_ratios(words: ScoredWords, unrelated: ScoredWords, selected: NDArray[np.bool_]) -> Numbers:
    """Return log P(state | translation) - log P(state | unrelated) of each word; the last row is for unknown words."""
    size = int(max(words.id.max(initial=0), unrelated.id.max(initial=0))) + 2
    all_pairs = np.ones_like(selected)
    logs = []
    for counts in (words.count_states(selected, size), unrelated.count_states(all_pairs, size)):
        average = (counts.sum(0) + 1) / (counts.sum() + STATES)
        logs.append(np.log((counts + PRIOR * average) / (counts.sum(1, keepdims=True) + PRIOR)))
    ratios: Numbers = logs[0] - logs[1]
    return ratios
