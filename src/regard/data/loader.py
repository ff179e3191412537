"""Batches without end, of about as many tokens each, in an order that can be taken up anywhere.

What comes when is a function of the seed and the epoch alone, so a position of two numbers is all
that has to be saved to go on with the same stream.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from regard.data.batch import Batch, Ids, make_share
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
    """A place in the stream: the epoch, and the batch within it, both from 0."""

    epoch: int
    batch: int


class Loader:
    """Every pair of a store exactly once an epoch, pairs of like lengths together.

    A batch of several rows takes at most `tokens_per_batch` tokens: its rows times its longest
    sequence, EOS included, on either side. A pair longer than that is a batch of its own. Process `rank` of `size`
    gets its share of each batch, so that a position means the same however many processes there are. `resample` may
    change the ids of a batch's pairs (see regard.data.sampling); it then takes somewhat more or fewer tokens.
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
    ) -> None:
        if not len(store):
            raise DataError("there is no pair to train on", fix="see what cleaning left of the corpus")
        self._store = store
        self._seed = seed
        self._share = rank, size
        self._resample = resample
        self._lengths = store.source_lengths, store.target_lengths
        self._longest = np.maximum(*self._lengths) + 1
        self._cuts = _cuts(np.sort(self._longest), tokens_per_batch)
        if not 0 <= position.batch < self.batches_per_epoch:
            raise DataError(
                f"batch {position.batch} is not among the {self.batches_per_epoch} of an epoch",
                fix="resume with the corpus and the tokens_per_batch that the run began with",
            )
        self._position = position

    @property
    def position(self) -> Position:
        """Where the next batch stands."""
        return self._position

    @property
    def batches_per_epoch(self) -> int:
        """How many batches an epoch has, the same number in each."""
        return len(self._cuts) - 1

    def __iter__(self) -> Iterator[Batch]:
        """Go on from `position`, epoch after epoch."""
        while True:
            epoch = self._position.epoch
            order, turns = self._plan(epoch)
            for place in range(self._position.batch, len(turns)):
                turn = turns[place]
                rows = order[self._cuts[turn] : self._cuts[turn + 1]]
                seed = self._seed, epoch, place
                change = None if self._resample is None else partial(self._resample, seed=seed)
                batch = make_share(self._store, rows, *self._share, change)
                over = place + 1 == len(turns)
                self._position = Position(epoch + 1, 0) if over else Position(epoch, place + 1)
                yield batch

    def largest(self) -> list[Batch]:
        """Of the epoch's batches the one with the most places, padding too, and the one with the longest row."""
        order, _ = self._plan(self._position.epoch)
        begins = self._cuts[:-1]
        widths = [np.maximum.reduceat(lengths[order], begins) + 1 for lengths in self._lengths]
        places = np.diff(self._cuts) * (widths[0] + widths[1])
        chosen = dict.fromkeys((int(places.argmax()), len(begins) - 1))
        return [make_share(self._store, order[self._cuts[one] : self._cuts[one + 1]], *self._share) for one in chosen]

    def _plan(self, epoch: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The pairs in the order in which they are cut into batches, and the batches' turns.

        Pairs are sorted by their longer side and then by how much longer one side is than the
        other, up and down by turns so that neighbours across a step of length go together. Noise
        on the second key puts pairs together otherwise in every epoch; the first one is left
        alone, so the cuts are the same in all of them.
        """
        random = np.random.default_rng([self._seed, epoch])
        difference = self._store.source_lengths - self._store.target_lengths
        noisy = difference + random.uniform(0.0, NOISE, len(difference))
        order = np.lexsort((np.where(self._longest % 2, noisy, -noisy), self._longest))
        return order, random.permutation(self.batches_per_epoch)


def _cuts(longest: NDArray[np.int64], budget: int) -> NDArray[np.int64]:
    """Where rows of rising length are cut into batches: from 0 to their number."""
    cuts = [0]
    while (start := cuts[-1]) < len(longest):
        window = longest[start : start + max(1, budget // int(longest[start]))]
        fitting = np.count_nonzero(window * np.arange(1, len(window) + 1) <= budget)
        cuts.append(start + max(1, int(fitting)))
    return np.array(cuts)
