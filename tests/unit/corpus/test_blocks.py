"""Several corpora mixed, block by block."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regard.corpus.blocks import Block, WeightedBlocks, sequential_blocks
from regard.corpus.concat import ConcatCorpus
from regard.corpus.corpus import Pair, PairList, SingleCorpus, SkipReport
from regard.errors import DataError


def corpus(name: str, size: int) -> PairList:
    return PairList(name, [Pair(f"{name}{number}", "x", 2 * number) for number in range(1, size + 1)])


def mixed(sizes: Sequence[int], weights: Sequence[float], block_size: int, seed: int = 1) -> WeightedBlocks:
    concat = ConcatCorpus([corpus(chr(ord("a") + number), size) for number, size in enumerate(sizes)])
    assert len(list(concat)) == sum(sizes)
    assert concat.origins.sizes == tuple(sizes)
    return WeightedBlocks(concat.parts, concat.origins, weights, block_size, seed)


def counted(blocks: Iterator[Block]) -> Counter[str]:
    return Counter(pair.source for block in blocks for pair in block.pairs)


@given(
    st.lists(st.tuples(st.integers(0, 40), st.floats(0.01, 4)), min_size=1, max_size=4),
    st.integers(1, 30),
    st.integers(0, 3),
)
def test_each_pair_appears_as_often_as_its_weight_says(
    corpora: list[tuple[int, float]], block_size: int, epoch: int
) -> None:
    sizes, weights = zip(*corpora, strict=True)
    mix = mixed(sizes, weights, block_size)
    counts = counted(mix.blocks(epoch, 0))
    for number, (size, times) in enumerate(corpora):
        name = chr(ord("a") + number)
        drawn = [counts[f"{name}{place}"] for place in range(1, size + 1)]
        assert sum(drawn) == size * int(times) + round(size * (times % 1))
        assert set(drawn) <= {int(times), int(times) + 1}
    assert sum(block.new for block in mix.blocks(epoch, 0)) == len(counts)
    assert all(len(block.pairs) <= block_size + len(corpora) for block in mix.blocks(epoch, 0))


@given(st.integers(0, 12), st.integers(0, 2))
def test_reading_can_start_at_any_block(begin: int, epoch: int) -> None:
    mix = mixed((3, 50, 20), (2.5, 0.7, 1), 10)
    assert [block.pairs for block in mix.blocks(epoch, begin)] == [block.pairs for block in mix.blocks(epoch, 0)][
        begin:
    ]


def test_every_block_has_the_same_share_of_each_corpus() -> None:
    for block in mixed((1000, 100, 10), (1, 2, 5), 125).blocks(0, 0):
        counts = Counter(pair.source[0] for pair in block.pairs)
        assert counts["a"] == pytest.approx(100, abs=1)
        assert counts["b"] == pytest.approx(20, abs=1)
        assert counts["c"] == pytest.approx(5, abs=1)


def test_a_weight_below_one_draws_other_pairs_in_each_epoch() -> None:
    mix = mixed((100,), (0.5,), 30)
    epochs = [frozenset(counted(mix.blocks(epoch, 0))) for epoch in range(4)]
    assert len(set(epochs)) == 4
    assert set(counted(mixed((100,), (0.5,), 30, seed=2).blocks(0, 0))) != epochs[0]


def test_line_numbers_continue_from_one_corpus_to_the_next() -> None:
    lines = {pair.source: pair.line for block in mixed((3, 2), (1, 1), 10).blocks(0, 0) for pair in block.pairs}
    assert lines == {"a1": 2, "a2": 4, "a3": 6, "b1": 8, "b2": 10}


@dataclass
class Shrinking(SingleCorpus):
    """A corpus that has one pair fewer each time."""

    size: int
    name: str = "shrinking"
    skipped: SkipReport = field(default_factory=SkipReport)

    def __iter__(self) -> Iterator[Pair]:
        self.size -= 1
        return iter([Pair("a", "b", number) for number in range(1, self.size + 1)])


def test_a_corpus_that_has_become_smaller_is_reported() -> None:
    concat = ConcatCorpus([Shrinking(8), corpus("b", 4)])
    list(concat)
    with pytest.raises(DataError, match=r"^shrinking: the corpus has fewer pairs than when it was counted"):
        list(WeightedBlocks(concat.parts, concat.origins, [1, 1], 5, 1).blocks(0, 0))


@pytest.mark.parametrize("begin", [0, 1, 4, 5])
def test_a_single_corpus_is_read_in_order(begin: int) -> None:
    counts = list(sequential_blocks(corpus("a", 42), 10)(0, begin))
    assert [pair.line for block in counts for pair in block.pairs] == list(range(2, 85, 2))[10 * begin :]
    assert all(block.new == len(block.pairs) for block in counts)
