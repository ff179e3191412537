"""Batches from a corpus that is not prepared, but read in pools of pairs that are shuffled one by one."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path

from regard.corpus.corpus import LineOrigins
from regard.data.batch import Batch
from regard.data.loader import NO_PAIRS, BatchSize, Loader, Position, Resample
from regard.data.store import PairStore, open_writer
from regard.data.store_writer import CHUNK_PAIRS, Chunk
from regard.errors import DataError

POOL = 10 * CHUNK_PAIRS  # pairs
MAX_POOLS = 1 << 20  # per epoch, so that each has a unique number
FIX = "check what the corpus contains, and what was skipped"

Read = Callable[[int, int], Iterator[Chunk]]
"""Reads an epoch in chunks of about CHUNK_PAIRS pairs; the arguments are the epoch and the number of chunks to skip."""


@dataclass(frozen=True)
class Stream:
    """A streamed corpus.

    Attributes:
        read: Reads its pairs.
        fingerprint: Identifies the pairs.
    """

    read: Read = field(repr=False)
    fingerprint: str


class StreamLoader:
    """A Loader for a streamed corpus, which is read again in each epoch; only one pool is in memory.

    A pool is shuffled like the store of a Loader, but pairs in different pools are never mixed: shuffle a sorted
    corpus before training. The order is a function of the seed and the position. Arguments are those of Loader;
    `read` reads the corpus, and `origins` gives the corpora that its lines are from.
    """

    def __init__(
        self,
        read: Read,
        batch_size: BatchSize,
        seed: int,
        position: Position = Position(0, 0),
        *,
        rank: int = 0,
        size: int = 1,
        resample: Resample | None = None,
        origins: LineOrigins = LineOrigins(),
    ) -> None:
        self._read = read
        self._batch_size, self._seed = batch_size, seed
        self._rank_and_size = rank, size
        self._resample = resample
        self._origins = origins
        self._position = position
        self._read_ahead: tuple[Position, PairStore] | None = None  # the next pool, if it has been read already

    @property
    def position(self) -> Position:
        """The position of the next batch."""
        return self._position

    @property
    def batches_per_epoch(self) -> int | None:
        """None: it is not known."""
        return None

    def __iter__(self) -> Iterator[Batch]:
        """Yield batches from `position` on, epoch after epoch. Raises DataError if there is no pair."""
        while True:
            start = self._position
            for pool, store in self._pools(start):
                loader = self._loader(store, replace(self._position, pool=pool))
                remaining = loader.batches_per_epoch - self._position.batch
                for number, batch in enumerate(islice(loader, remaining), start=1):
                    if number == remaining:
                        self._position = Position(start.epoch, 0, pool + 1)
                    else:
                        self._position = Position(start.epoch, self._position.batch + 1, pool)
                    yield batch
            if self._position == Position(start.epoch, 0, 0):
                raise DataError(NO_PAIRS, fix=FIX)
            self._position = Position(start.epoch + 1, 0)

    def largest(self) -> list[Batch]:
        """Return the largest batches of the next pool; see Loader."""
        start = self._position
        next_pool = next(self._pools(start), None) or next(self._pools(Position(start.epoch + 1, 0)), None)
        if next_pool is None:
            raise DataError(NO_PAIRS, fix=FIX)
        pool, store = next_pool
        if pool == start.pool:
            self._read_ahead = start, store
        return self._loader(store, replace(start, batch=0, pool=pool)).largest()

    def _pools(self, start: Position) -> Iterator[tuple[int, PairStore]]:
        """Yield the pools of an epoch that are not empty, from `start` on."""
        chunks_per_pool = POOL // CHUNK_PAIRS
        pool = start.pool
        chunks: Iterator[Chunk] | None = None
        while True:
            if self._read_ahead is not None and self._read_ahead[0] == replace(start, pool=pool):
                store, self._read_ahead = self._read_ahead[1], None
            else:
                chunks = self._read(start.epoch, pool * chunks_per_pool) if chunks is None else chunks
                pool_chunks = list(islice(chunks, chunks_per_pool))
                if not pool_chunks:
                    return
                store = _store(pool_chunks, self._origins)
            if len(store):
                yield pool, store
            pool += 1

    def _loader(self, store: PairStore, position: Position) -> Loader:
        rank, size = self._rank_and_size
        unique = Position(position.epoch * MAX_POOLS + position.pool, position.batch)
        return Loader(
            store,
            self._batch_size,
            self._seed,
            unique,
            rank=rank,
            size=size,
            resample=self._resample,
        )


def _store(chunks: list[Chunk], origins: LineOrigins) -> PairStore:
    """Return a temporary store; its deleted files stay readable while they are mapped."""
    with tempfile.TemporaryDirectory(prefix="regard-pool-") as folder:
        with open_writer(Path(folder), "pool") as writer:
            for chunk in chunks:
                writer.add(chunk)
            writer.finish()
        return PairStore.open(Path(folder), "pool", origins)
