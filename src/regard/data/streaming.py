"""Batches straight from a corpus, which is not prepared: pool after pool of its pairs, each shuffled in itself."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path

from regard.data.batch import Batch
from regard.data.loader import Loader, Position, Resample
from regard.data.store import PairStore, open_writer
from regard.data.store_writer import CHUNK_PAIRS, Chunk
from regard.errors import DataError

POOL = 10 * CHUNK_PAIRS  # pairs that are put in order together
MOST_POOLS = 1 << 20  # of an epoch, so that each has a number of its own

Read = Callable[[int, int], Iterator[Chunk]]
"""Pairs of ids of an epoch, from its beginning without so many chunks, in chunks of about CHUNK_PAIRS pairs."""


@dataclass(frozen=True)
class Stream:
    """A corpus that is read as it comes; fingerprint: tells of which pairs it is."""

    read: Read = field(repr=False)
    fingerprint: str


class StreamLoader:
    """As Loader, of the pairs that `read` gives, which are read again in each epoch; memory holds one pool of them.

    Pairs of like lengths go together, and the batches of a pool come in an order by chance, but what is far apart in
    the corpus is never mixed: one that is sorted should be shuffled before. Which batch comes when is a function of
    the seed and the position alone.
    """

    def __init__(
        self,
        read: Read,
        tokens_per_batch: int,
        seed: int,
        position: Position = Position(0, 0),
        *,
        rank: int = 0,
        size: int = 1,
        resample: Resample | None = None,
    ) -> None:
        self._read = read
        self._budget, self._seed = tokens_per_batch, seed
        self._share = rank, size
        self._resample = resample
        self._position = position
        self._first: tuple[Position, PairStore] | None = None  # the pool from which to go on, where it is known

    @property
    def position(self) -> Position:
        """Where the next batch stands."""
        return self._position

    @property
    def batches_per_epoch(self) -> int | None:
        """Not known before its end."""
        return None

    def __iter__(self) -> Iterator[Batch]:
        """Go on from `position`, epoch after epoch. Raises DataError where there is no pair."""
        while True:
            begin = self._position
            for pool, store in self._pools(begin):
                loader = self._loader(store, replace(self._position, pool=pool))
                left = loader.batches_per_epoch - self._position.batch
                for number, batch in enumerate(islice(loader, left), start=1):
                    over = number == left
                    self._position = (
                        Position(begin.epoch, 0, pool + 1)
                        if over
                        else Position(begin.epoch, self._position.batch + 1, pool)
                    )
                    yield batch
            if self._position == Position(begin.epoch, 0, 0):
                raise DataError(
                    "there is no pair to train on", fix="see what the corpus holds, and what was left aside"
                )
            self._position = Position(begin.epoch + 1, 0)

    def largest(self) -> list[Batch]:
        """Those of Loader, of the next pool."""
        begin = self._position
        found = next(self._pools(begin), None) or next(self._pools(Position(begin.epoch + 1, 0)), None)
        if found is None:
            raise DataError("there is no pair to train on", fix="see what the corpus holds, and what was left aside")
        pool, store = found
        if pool == begin.pool:
            self._first = begin, store
        return self._loader(store, replace(begin, batch=0, pool=pool)).largest()

    def _pools(self, begin: Position) -> Iterator[tuple[int, PairStore]]:
        """The pools of an epoch from one on, that have a pair."""
        each = POOL // CHUNK_PAIRS
        pool = begin.pool
        chunks: Iterator[Chunk] | None = None
        while True:
            if self._first is not None and self._first[0] == replace(begin, pool=pool):
                store, self._first = self._first[1], None
            else:
                chunks = self._read(begin.epoch, pool * each) if chunks is None else chunks
                some = list(islice(chunks, each))
                if not some:
                    return
                store = _stored(some)
            if len(store):
                yield pool, store
            pool += 1

    def _loader(self, store: PairStore, position: Position) -> Loader:
        rank, size = self._share
        number = position.epoch * MOST_POOLS + position.pool
        place = Position(number, position.batch)
        return Loader(store, self._budget, self._seed, place, rank=rank, size=size, resample=self._resample)


def _stored(chunks: list[Chunk]) -> PairStore:
    """A store that goes when it is let go of: what is mapped stays readable when its file is gone."""
    with tempfile.TemporaryDirectory(prefix="regard-pool-") as folder:
        with open_writer(Path(folder), "pool") as writer:
            for chunk in chunks:
                writer.add(chunk)
            writer.finish()
        return PairStore.open(Path(folder), "pool")
