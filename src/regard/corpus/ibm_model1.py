"""Which target tokens go with which source token, learned from pairs: IBM Model 1 (Brown et al. 1993).

Each target token comes of one source token of its pair or of none, all places being equally likely:
t(target | source) is what expectation-maximisation makes of that. NULL, the source of what comes of none, is PAD.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regard.special_tokens import PAD

NULL = PAD
ITERATIONS = 5
CHUNK_CELLS = 1 << 21  # of them at a time

Numbers = NDArray[np.int64]
Probabilities = NDArray[np.float64]


@dataclass(frozen=True)
class Lexicon:
    """t(target | source) of the n tokens that occur together; all (n,), by source and then by target."""

    source: Numbers
    target: Numbers
    probability: Probabilities

    def most_probable(self, sources: int, count: int) -> NDArray[np.int32]:
        """The `count` most probable targets of each of so many source ids, best first: (sources, count).

        Of equals the lower id comes first. Where there are fewer, and for NULL, PAD fills the row.
        """
        order = np.lexsort((self.target, -self.probability, self.source))
        source, target = self.source[order], self.target[order]
        rank = np.arange(len(source)) - np.searchsorted(source, source)
        kept = (rank < count) & (self.probability[order] > 0) & (source != NULL)
        table = np.full((sources, count), PAD, dtype=np.int32)
        table[source[kept], rank[kept]] = target[kept]
        return table


@dataclass(frozen=True)
class Sentences:
    """Some pairs: all tokens of each side end to end, and where each sentence begins, (pairs + 1,).

    Each source begins with NULL.
    """

    source: Numbers
    source_offsets: Numbers
    target: Numbers
    target_offsets: Numbers


def concatenate(parts: list[NDArray[Any]], each: int) -> tuple[Numbers, Numbers]:
    """Sentences of so many parts each, end to end, and their offsets."""
    lengths = np.array([len(part) for part in parts], dtype=np.int64).reshape(-1, each).sum(1)
    return np.concatenate([np.empty(0, np.int64), *parts]), np.concatenate([[0], lengths.cumsum()])


@dataclass(frozen=True)
class _Cells:
    """The cells of some pairs: each target token with each source token of its pair, target token by target token."""

    entry: NDArray[Any]  # (cells,) source x V + target; its place among all that occur, once these are known
    first: Numbers  # (target tokens,) the first cell of each

    def expected(self, probability: Probabilities) -> Probabilities:
        """What each entry counts (n,), where a target token is shared by its cells as they are probable."""
        share = probability[self.entry]
        lengths = np.diff(self.first, append=len(share))
        share /= np.repeat(np.add.reduceat(share, self.first), lengths)
        counts: Probabilities = np.bincount(self.entry, share, minlength=len(probability)).astype(
            np.float64, copy=False
        )
        return counts


def ibm_model_1(
    sentences: Sentences, vocabulary: int, iterations: int = ITERATIONS, say: Callable[[str], None] = lambda text: None
) -> Lexicon:
    """The lexicon of some pairs, whose target ids are below `vocabulary`; it begins with all t alike.

    `say` is told of each step. Takes 4 bytes a cell, and 24 for each entry of the lexicon.
    """
    chunks = _chunks(sentences)
    keys = np.empty(0, np.int64)
    for start, end in chunks:
        keys = _distinct(np.concatenate([keys, _cells(sentences, start, end, vocabulary).entry]))
    say(f"{len(sentences.source_offsets) - 1:,} pairs, in which {len(keys):,} pairs of tokens occur")
    every = [_placed(_cells(sentences, start, end, vocabulary), keys) for start, end in chunks]
    source, target = np.divmod(keys, vocabulary)
    probability = np.ones(len(keys))
    for iteration in range(1, iterations + 1):
        counts = np.zeros(len(keys))
        for cells in every:
            counts += cells.expected(probability)
        probability = counts / np.bincount(source, counts)[source]
        say(f"iteration {iteration} of {iterations}")
    return Lexicon(source, target, probability)


def _chunks(sentences: Sentences) -> list[tuple[int, int]]:
    """Where to part the pairs, so that CHUNK cells lie together, or one pair that has more."""
    cells = (np.diff(sentences.source_offsets) * np.diff(sentences.target_offsets)).cumsum()
    ends = np.searchsorted(cells, np.arange(CHUNK_CELLS, cells[-1] + CHUNK_CELLS, CHUNK_CELLS)) + 1
    bounds = [0, *np.unique(ends.clip(max=len(cells))).tolist()]
    return list(pairwise(bounds))


def _cells(sentences: Sentences, start: int, end: int, vocabulary: int) -> _Cells:
    """Of the pairs from `start` to before `end`."""
    source_lengths = np.diff(sentences.source_offsets[start : end + 1])
    target_lengths = np.diff(sentences.target_offsets[start : end + 1])
    each = np.repeat(source_lengths, target_lengths)  # (target tokens,) cells of each
    first = each.cumsum() - each
    of_source = np.repeat(np.repeat(sentences.source_offsets[start:end], target_lengths) - first, each)
    target = sentences.target[sentences.target_offsets[start] : sentences.target_offsets[end]]
    entry = sentences.source[of_source + np.arange(len(of_source))] * vocabulary + np.repeat(target, each)
    return _Cells(entry, first)


def _distinct(numbers: Numbers) -> Numbers:
    """In their order; a sort, which takes a tenth of np.unique's time here."""
    numbers = np.sort(numbers)
    return numbers[np.diff(numbers, prepend=-1) > 0]


def _placed(cells: _Cells, keys: Numbers) -> _Cells:
    return _Cells(np.searchsorted(keys, cells.entry).astype(np.int32), cells.first)
