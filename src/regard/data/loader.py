"""Endless batches of about the same number of tokens, in an order that can be resumed anywhere.

The order is a function of the seed and the epoch alone: to resume, only a Position has to be saved.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from regard.data.batch import Batch, Ids, batch_from_store
from regard.data.store import PairStore
from regard.errors import DataError

Pairs = Sequence[tuple[Ids, Ids]]
NOISE = 2.0  # tokens, added to lengths before sorting; more mixes the batches of two epochs better, and pads them more
NO_PAIRS = "there is no pair to train on"


class Resample(Protocol):
    """Replaces the ids of pairs at random, the same for the same seed."""

    def __call__(self, pairs: Pairs, /, seed: Sequence[int]) -> Pairs:
        """Return as many pairs in the same order."""
        ...


class TagTerms(Protocol):
    """Puts tags around terms in the sources of pairs, the same for the same seed."""

    def __call__(self, pairs: Pairs, indices: Sequence[int | None], seed: Sequence[int], /) -> Pairs:
        """Return the pairs in the same order, given the index of each in the store; None: it is another pair."""
        ...


@dataclass(frozen=True)
class ResampleSteps:
    """Replaces the ids of pairs in several steps, in order."""

    steps: Sequence[Resample]

    def __call__(self, pairs: Pairs, /, seed: Sequence[int]) -> Pairs:
        """Return as many pairs in the same order."""
        for step in self.steps:
            pairs = step(pairs, seed=seed)
        return pairs


@dataclass(frozen=True)
class Position:
    """A position in the stream of batches; all numbers start at 0.

    Attributes:
        epoch: The epoch.
        batch: The batch of the epoch; of a streamed corpus, the batch of the pool.
        pool: The pool of a streamed corpus.
    """

    epoch: int
    batch: int
    pool: int = 0


class BatchSource(Protocol):
    """The source of batches for training."""

    @property
    def position(self) -> Position:
        """The position of the next batch."""
        ...

    @property
    def batches_per_epoch(self) -> int | None:
        """The number of batches in an epoch; None if it is not known."""
        ...

    def __iter__(self) -> Iterator[Batch]:
        """Yield batches from `position` on, without end."""
        ...

    def largest(self) -> list[Batch]:
        """Return the batches that need the most memory."""
        ...


@dataclass(frozen=True)
class SamplingWeights:
    """How often pairs are repeated in an epoch, by the corpus that they are from.

    Attributes:
        origins: The number of the corpus of each pair (P,).
        repeats: The repeats for each corpus; 2.5 repeats every pair twice, and a random half of them once more.
    """

    origins: NDArray[np.int64]
    repeats: Sequence[float]

    def sample(self, random: np.random.Generator) -> NDArray[np.int64]:
        """Return the indices of the pairs of an epoch; repeated pairs are in it several times."""
        indices = []
        for origin, repeats in enumerate(self.repeats):
            pairs = np.flatnonzero(self.origins == origin)
            indices += [pairs] * int(repeats)
            indices.append(random.choice(pairs, round(len(pairs) * (repeats - int(repeats))), replace=False))
        return np.concatenate(indices)


class BatchSize(NamedTuple):
    """The size of a batch.

    Attributes:
        tokens: The largest number of tokens: rows times the longest sequence on either side, EOS included. A longer
            pair is a batch alone.
        pairs: The number of pairs; None: `tokens` determines it.
    """

    tokens: int
    pairs: int | None = None

    def bounds(self, longest: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the bounds of batches of rows that are sorted by length, from 0 to the number of rows.

        Args:
            longest: The longer length of each row (R,).
        """
        if self.pairs is not None:
            return np.append(np.arange(0, len(longest), self.pairs), len(longest))
        bounds = [0]
        while (start := bounds[-1]) < len(longest):
            window = longest[start : start + max(1, self.tokens // int(longest[start]))]
            count = np.count_nonzero(window * np.arange(1, len(window) + 1) <= self.tokens)
            bounds.append(start + max(1, int(count)))
        return np.array(bounds)


class _EpochPlan(NamedTuple):
    """The batches of an epoch.

    Attributes:
        indices: The pairs of the epoch, sorted by length.
        bounds: Batch b consists of `indices[bounds[b] : bounds[b + 1]]`.
        order: The batches in the order in which they are used.
    """

    indices: NDArray[np.int64]
    bounds: NDArray[np.int64]
    order: NDArray[np.int64]

    def batch(self, number: int) -> NDArray[np.int64]:
        return self.indices[self.bounds[number] : self.bounds[number + 1]]


class Loader:
    """Batches of pairs of similar length from a store; each pair comes once per epoch.

    Args:
        store: The pairs.
        batch_size: The size of a batch.
        seed: Determines the order.
        position: Where to start.
        rank: The number of this process, which gets its share of each batch. Positions are the same for any number of
            processes.
        size: The number of processes.
        resample: Replaces the ids of pairs, as subword sampling does. Batches may then be somewhat larger.
        weights: How often pairs are repeated in an epoch.

    Attributes:
        tag_terms: Puts tags around terms in pairs that `resample` has not changed. Batches may then be somewhat larger.

    Raises:
        DataError: If the store is empty, or there is no batch at the position.
    """

    def __init__(
        self,
        store: PairStore,
        batch_size: BatchSize,
        seed: int,
        position: Position = Position(0, 0),
        *,
        rank: int = 0,
        size: int = 1,
        resample: Resample | None = None,
        weights: SamplingWeights | None = None,
    ) -> None:
        if not len(store):
            raise DataError(NO_PAIRS, fix="check what cleaning has left of the corpus")
        self._store = store
        self._batch_size = batch_size
        self._seed = seed
        self._rank_and_size = rank, size
        self._resample = resample
        self.tag_terms: TagTerms | None = None
        self._weights = weights
        self._longest = np.maximum(store.source_lengths, store.target_lengths) + 1
        self._planned = position.epoch, self._make_plan(position.epoch)
        self._position = position
        if not 0 <= position.batch < self.batches_per_epoch:
            raise DataError(
                f"there is no batch {position.batch} in an epoch of {self.batches_per_epoch} batches",
                fix="resume with the same corpus and the same size of batches",
            )

    @property
    def position(self) -> Position:
        """The position of the next batch."""
        return self._position

    @property
    def batches_per_epoch(self) -> int:
        """The number of batches in the current epoch; with `weights`, epochs may differ."""
        return len(self._plan(self._position.epoch).order)

    def __iter__(self) -> Iterator[Batch]:
        """Yield batches from `position` on, epoch after epoch."""
        while True:
            epoch = self._position.epoch
            plan = self._plan(epoch)
            for number in range(self._position.batch, len(plan.order)):
                indices = plan.batch(plan.order[number])
                change = None
                if self._resample is not None or self.tag_terms is not None:
                    change = partial(self._change, indices=indices.tolist(), seed=(self._seed, epoch, number))
                batch = batch_from_store(self._store, indices, *self._rank_and_size, change)
                is_last = number + 1 == len(plan.order)
                self._position = Position(epoch + 1, 0) if is_last else Position(epoch, number + 1)
                yield batch

    def _change(self, pairs: Pairs, *, indices: Sequence[int], seed: Sequence[int]) -> Pairs:
        resampled = pairs if self._resample is None else self._resample(pairs, seed=seed)
        if self.tag_terms is None:
            return resampled
        is_same = (all(map(np.array_equal, old, new)) for old, new in zip(pairs, resampled, strict=True))
        stored = [index if same else None for index, same in zip(indices, is_same, strict=True)]
        return self.tag_terms(resampled, stored, seed)

    def largest(self) -> list[Batch]:
        """Return the batch of the epoch with the most positions, padding included, and the one with the longest row."""
        plan = self._plan(self._position.epoch)
        starts = plan.bounds[:-1]
        sides = (self._store.source_lengths, self._store.target_lengths)
        widths = [np.maximum.reduceat(lengths[plan.indices], starts) + 1 for lengths in sides]
        positions = np.diff(plan.bounds) * (widths[0] + widths[1])
        numbers = dict.fromkeys((int(positions.argmax()), len(starts) - 1))
        return [batch_from_store(self._store, plan.batch(number), *self._rank_and_size) for number in numbers]

    def _plan(self, epoch: int) -> _EpochPlan:
        if self._planned[0] != epoch:
            self._planned = epoch, self._make_plan(epoch)
        return self._planned[1]

    def _make_plan(self, epoch: int) -> _EpochPlan:
        """Sort the pairs by their longer side, then by how much longer the source is than the target.

        The second key alternates between rising and falling, so that neighbors of different lengths are similar in
        it. It has noise, which mixes the pairs differently in every epoch. The first key has none: the bounds of
        batches are the same in all epochs, unless pairs are repeated.
        """
        random = np.random.default_rng([self._seed, epoch])
        difference = self._store.source_lengths - self._store.target_lengths
        longest, sample = self._longest, None
        if self._weights is not None:
            sample = self._weights.sample(random)
            difference, longest = difference[sample], longest[sample]
        noisy = difference + random.uniform(0.0, NOISE, len(difference))
        indices = np.lexsort((np.where(longest % 2, noisy, -noisy), longest))
        bounds = self._batch_size.bounds(longest[indices])
        return _EpochPlan(indices if sample is None else sample[indices], bounds, random.permutation(len(bounds) - 1))
