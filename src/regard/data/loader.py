"""Batches without end, of about as many tokens each, in an order that can be taken up anywhere.

What comes when is a function of the seed and the epoch alone, so a position of two numbers is all
that has to be saved to go on with the same stream.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from regard.data.batch import Batch, Ids, make_rank_batch
from regard.data.store import PairStore
from regard.errors import DataError

Pairs = Sequence[tuple[Ids, Ids]]


class Resample(Protocol):
    """Other ids for the same pairs, by chance: the same for the same seed."""

    def __call__(self, pairs: Pairs, /, seed: Sequence[int]) -> Pairs:
        """As many pairs, in their order."""
        ...


NOISE = 2.0  # tokens; more of it mixes the batches of two epochs better and pads them more


@dataclass(frozen=True)
class Position:
    """A place in the stream: the epoch, the batch within it, and of a corpus that is streamed its pool, all from 0."""

    epoch: int
    batch: int  # within the pool
    pool: int = 0


class BatchSource(Protocol):
    """What training takes its batches from."""

    @property
    def position(self) -> Position:
        """Where the next batch stands."""
        ...

    @property
    def batches_per_epoch(self) -> int | None:
        """None where that is not known."""
        ...

    def __iter__(self) -> Iterator[Batch]:
        """Go on from `position`, without end."""
        ...

    def largest(self) -> list[Batch]:
        """Those that take the most memory."""
        ...


@dataclass(frozen=True)
class SamplingWeights:
    """How often each pair comes in an epoch, by where it is from.

    origins: (P,) a number for each pair.
    often: for each such number; 2.5 is twice, and once more for half of the pairs, others in each epoch.
    """

    origins: NDArray[np.int64]
    repeats: Sequence[float]

    def rows(self, random: np.random.Generator) -> NDArray[np.int64]:
        """The pairs of an epoch, those that come twice twice."""
        found = []
        for origin, repeats in enumerate(self.repeats):
            pairs = np.flatnonzero(self.origins == origin)
            found += [pairs] * int(repeats)
            found.append(random.choice(pairs, round(len(pairs) * (repeats - int(repeats))), replace=False))
        return np.concatenate(found)


class _Plan(NamedTuple):
    """The pairs of an epoch in the order in which they are cut into batches, the cuts, and the batches' turns."""

    order: NDArray[np.int64]
    cuts: NDArray[np.int64]
    turns: NDArray[np.int64]

    def rows(self, batch: int) -> NDArray[np.int64]:
        return self.order[self.cuts[batch] : self.cuts[batch + 1]]


class Loader:
    """Every pair of a store exactly once an epoch, or as often as `shares` says; pairs of like lengths together.

    A batch of several rows takes at most `tokens_per_batch` tokens: its rows times its longest
    sequence, EOS included, on either side. A pair longer than that is a batch of its own. Process `rank` of `size`
    gets its share of each batch, so that a position means the same however many processes there are. `resample` may
    change the ids of a batch's pairs (see regard.data.subword_sampling); it then takes somewhat more or fewer tokens.
    """

    def __init__(
        self,
        store: PairStore,
        tokens_per_batch: int,
        seed: int,
        position: Position = Position(0, 0),
        *,
        rank: int = 0,
        size: int = 1,
        resample: Resample | None = None,
        shares: SamplingWeights | None = None,
    ) -> None:
        if not len(store):
            raise DataError("there is no pair to train on", fix="see what cleaning left of the corpus")
        self._store = store
        self._budget = tokens_per_batch
        self._seed = seed
        self._share = rank, size
        self._resample = resample
        self._shares = shares
        self._lengths = store.source_lengths, store.target_lengths
        self._longest = np.maximum(*self._lengths) + 1
        self._planned = position.epoch, self._make_plan(position.epoch)
        self._position = position
        if not 0 <= position.batch < self.batches_per_epoch:
            raise DataError(
                f"batch {position.batch} is not among the {self.batches_per_epoch} of an epoch",
                fix="resume with the corpus and the tokens_per_batch that the run began with",
            )

    @property
    def position(self) -> Position:
        """Where the next batch stands."""
        return self._position

    @property
    def batches_per_epoch(self) -> int:
        """How many batches this epoch has; without `shares` the same number as each."""
        return len(self._plan(self._position.epoch).turns)

    def __iter__(self) -> Iterator[Batch]:
        """Go on from `position`, epoch after epoch."""
        while True:
            epoch = self._position.epoch
            plan = self._plan(epoch)
            for place in range(self._position.batch, len(plan.turns)):
                seed = self._seed, epoch, place
                change = None if self._resample is None else partial(self._resample, seed=seed)
                batch = make_rank_batch(self._store, plan.rows(plan.turns[place]), *self._share, change)
                over = place + 1 == len(plan.turns)
                self._position = Position(epoch + 1, 0) if over else Position(epoch, place + 1)
                yield batch

    def largest(self) -> list[Batch]:
        """Of the epoch's batches the one with the most places, padding too, and the one with the longest row."""
        plan = self._plan(self._position.epoch)
        begins = plan.cuts[:-1]
        widths = [np.maximum.reduceat(lengths[plan.order], begins) + 1 for lengths in self._lengths]
        places = np.diff(plan.cuts) * (widths[0] + widths[1])
        chosen = dict.fromkeys((int(places.argmax()), len(begins) - 1))
        return [make_rank_batch(self._store, plan.rows(one), *self._share) for one in chosen]

    def _plan(self, epoch: int) -> _Plan:
        if self._planned[0] != epoch:
            self._planned = epoch, self._make_plan(epoch)
        return self._planned[1]

    def _make_plan(self, epoch: int) -> _Plan:
        """Pairs are sorted by their longer side and then by how much longer one side is than the other.

        The second goes up and down by turns, so that neighbours across a step of length go together. Noise on it puts
        pairs together otherwise in every epoch; the first one is left alone, so that where all pairs come once the cuts
        are the same in all of them.
        """
        random = np.random.default_rng([self._seed, epoch])
        difference = self._store.source_lengths - self._store.target_lengths
        longest, rows = self._longest, None
        if self._shares is not None:
            rows = self._shares.rows(random)
            difference, longest = difference[rows], longest[rows]
        noisy = difference + random.uniform(0.0, NOISE, len(difference))
        order = np.lexsort((np.where(longest % 2, noisy, -noisy), longest))
        cuts = _cuts(longest[order], self._budget)
        return _Plan(order if rows is None else rows[order], cuts, random.permutation(len(cuts) - 1))


def _cuts(longest: NDArray[np.int64], budget: int) -> NDArray[np.int64]:
    """Where rows of rising length are cut into batches: from 0 to their number."""
    cuts = [0]
    while (start := cuts[-1]) < len(longest):
        window = longest[start : start + max(1, budget // int(longest[start]))]
        fitting = np.count_nonzero(window * np.arange(1, len(window) + 1) <= budget)
        cuts.append(start + max(1, int(fitting)))
    return np.array(cuts)
