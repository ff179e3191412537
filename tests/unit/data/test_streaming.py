"""Batches from a streamed corpus."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import islice, takewhile

import numpy as np
import pytest

from regard.data import streaming
from regard.data.loader import BatchSize, Position
from regard.data.store_writer import Chunk
from regard.data.streaming import StreamLoader
from regard.errors import DataError

FIRST = 4


class Corpus:
    """Pairs whose tokens are the number of the pair, in chunks of 10; those in `without` are skipped."""

    def __init__(self, pairs: int, without: range = range(0)) -> None:
        self.pairs, self.without = pairs, without
        self.chunks_read = 0

    def __call__(self, _: int, chunks: int) -> Iterator[Chunk]:
        for begin in range(10 * chunks, self.pairs, 10):
            self.chunks_read += 1
            numbers = list(range(begin, min(begin + 10, self.pairs)))
            rows = [[FIRST + number] * (number % 7 + 1) for number in numbers]
            chunk = Chunk.of(rows, rows, [number + 1 for number in numbers])
            yield chunk.where(np.array([number not in self.without for number in numbers]))


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streaming, "CHUNK_PAIRS", 10)
    monkeypatch.setattr(streaming, "POOL", 30)


def test_every_pair_comes_once_an_epoch_in_different_batches() -> None:
    corpus = Corpus(95, without=range(30, 60))  # a full pool
    loader = StreamLoader(corpus, BatchSize(60), seed=1)
    epochs: list[list[list[int]]] = [[], [], [], []]
    for batch in loader:
        epochs[loader.position.epoch].append([int(row[0]) - FIRST for row in batch.source])
        if loader.position.epoch == 3:
            break
    for batches in epochs[:3]:
        assert Counter(number for batch in batches for number in batch) == Counter([*range(30), *range(60, 95)])
    assert epochs[0] != epochs[1]


@pytest.mark.parametrize("steps", [0, 1, 5, 9, 20])
def test_it_resumes_from_any_position(steps: int) -> None:
    loader = StreamLoader(Corpus(95), BatchSize(60), seed=1)
    batches = iter(loader)
    for _ in range(steps):
        next(batches)
    position = loader.position
    expected = [next(batches).source.tolist() for _ in range(25)]
    corpus = Corpus(95)
    resumed = StreamLoader(corpus, BatchSize(60), seed=1, position=position)
    resumed.largest()  # called first when a run is resumed
    batches_after = [batch.source.tolist() for batch in islice(resumed, 25)]
    assert batches_after == expected


@pytest.mark.parametrize("corpus", [Corpus(95), Corpus(90), Corpus(7), Corpus(90, without=range(60, 90))])
@pytest.mark.parametrize("offset", [-1, 0, 1])
def test_it_resumes_near_the_end_of_an_epoch(corpus: Corpus, offset: int) -> None:
    loader = StreamLoader(corpus, BatchSize(60), seed=1)
    ends = sum(1 for _ in takewhile(lambda _: loader.position.epoch == 0, loader))  # batches of the first epoch
    loader = StreamLoader(corpus, BatchSize(60), seed=1)
    batches = iter(loader)
    assert len(list(islice(batches, ends + offset))) == ends + offset
    resumed = StreamLoader(corpus, BatchSize(60), seed=1, position=loader.position)
    resumed.largest()
    expected = [next(batches).source.tolist() for _ in range(2 * ends)]
    assert [batch.source.tolist() for batch in islice(resumed, 2 * ends)] == expected


def test_earlier_pools_are_not_read_again() -> None:
    corpus = Corpus(95)
    next(iter(StreamLoader(corpus, BatchSize(60), seed=1, position=Position(4, 0, 2))))
    assert corpus.chunks_read == 3


def test_processes_share_each_batch() -> None:
    expected = [batch.target_tokens for batch in islice(StreamLoader(Corpus(95), BatchSize(60), seed=1), 12)]
    parts = [
        [
            batch.target_tokens
            for batch in islice(StreamLoader(Corpus(95), BatchSize(60), seed=1, rank=rank, size=2), 12)
        ]
        for rank in (0, 1)
    ]
    assert [sum(tokens) for tokens in zip(*parts, strict=True)] == expected


@pytest.mark.parametrize("corpus", [Corpus(0), Corpus(50, without=range(50))])
def test_a_corpus_without_pairs_is_an_error(corpus: Corpus) -> None:
    with pytest.raises(DataError, match="no pair to train on"):
        next(iter(StreamLoader(corpus, BatchSize(60), seed=1)))
    with pytest.raises(DataError, match="no pair to train on"):
        StreamLoader(corpus, BatchSize(60), seed=1).largest()
