"""The training and the dev corpus of a recipe; without a dev set, pairs are held out of training."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from regard.config.schema import RunConfig
from regard.corpus.corpus import Corpus, LineOrigins, Pair, SingleCorpus, SkipReport
from regard.corpus.paths import open_corpora
from regard.errors import DataError
from regard.runs.corpus_scan import scan_corpus

MAX_HELD_OUT = 1000  # pairs, if data.held_out is 0


def split_corpus(config: RunConfig) -> tuple[Corpus, Corpus]:
    """Return the training corpus and the dev corpus of a recipe.

    If the recipe names no dev set, a random choice of pairs is held out of training. The source of a held-out pair
    occurs only once in the corpus, so training never sees it.

    Raises:
        DataError: The corpus cannot be read, or is too small to hold pairs out.
    """
    train, dev = open_corpora(config.data, config.train.seed, len(config.tokenizer.source_columns))
    return _hold_out(train, config) if dev is None else (train, dev)


def held_out_size(pairs: int) -> int:
    """Return the default number of pairs to hold out: a twentieth, at least 1 and at most MAX_HELD_OUT."""
    return max(1, min(MAX_HELD_OUT, pairs // 20))


class ExcludedPairs:
    """A corpus without the pairs at some positions.

    Attributes:
        corpus: The whole corpus.
        excluded: The excluded pairs; None until the corpus has been iterated over to its end.
    """

    def __init__(self, corpus: Corpus, positions: frozenset[int]) -> None:
        """`positions`: of the pairs to exclude, counted from 0."""
        self.corpus, self._positions = corpus, positions
        self.excluded: list[Pair] | None = None

    @property
    def name(self) -> str:
        """The name of the whole corpus."""
        return self.corpus.name

    @property
    def skipped(self) -> SkipReport:
        """What the reader of the whole corpus skipped."""
        return self.corpus.skipped

    @property
    def parts(self) -> Sequence[Corpus]:
        """The parts of the whole corpus."""
        return self.corpus.parts

    @property
    def origins(self) -> LineOrigins:
        """The origins of lines of the whole corpus."""
        return self.corpus.origins

    def check(self) -> None:
        """Check the whole corpus."""
        self.corpus.check()

    def __iter__(self) -> Iterator[Pair]:
        excluded = []
        for position, pair in enumerate(self.corpus):
            if position in self._positions:
                excluded.append(pair)
            else:
                yield pair
        self.excluded = excluded


class HeldOutPairs(SingleCorpus):
    """The pairs that an `ExcludedPairs` leaves out.

    They are collected while the other pairs are read for another purpose; if that has not happened, they are read now.
    """

    def __init__(self, rest: ExcludedPairs) -> None:
        self.name, self.skipped = f"{rest.name}, held out of training", SkipReport()
        self._rest = rest

    def __iter__(self) -> Iterator[Pair]:
        if self._rest.excluded is None:
            deque(self._rest, maxlen=0)
        return iter(self._rest.excluded or ())


def _hold_out(corpus: Corpus, config: RunConfig) -> tuple[Corpus, Corpus]:
    scan = scan_corpus(config.data, config.train.seed)
    count = config.data.held_out or held_out_size(scan.pairs)
    if count >= scan.pairs:
        raise DataError(
            f"cannot hold {count:,} pairs out as dev set: the corpus has only {scan.pairs:,}",
            where=corpus.name,
            fix="lower data.held_out" if config.data.held_out else "give more pairs, or a dev set",
        )
    candidates = _positions_of_unique(scan.source_digests)
    if not len(candidates):
        raise DataError(
            "every source occurs more than once, so no pair can be held out", where=corpus.name, fix="give a dev set"
        )
    rng = np.random.default_rng(config.train.seed)
    positions = rng.choice(candidates, size=min(count, len(candidates)), replace=False)
    rest = ExcludedPairs(corpus, frozenset(positions.tolist()))
    return rest, HeldOutPairs(rest)


def _positions_of_unique(digests: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Return the positions, in order, of the digests that occur once."""
    _, first, counts = np.unique(digests, return_index=True, return_counts=True)
    return np.sort(first[counts == 1])
