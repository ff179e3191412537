import gzip
import tempfile
from collections import Counter
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regard.data.batch import Batch
from regard.data.loader import BatchSize, Loader, Position, SamplingWeights
from regard.data.store import PairStore
from regard.errors import DataError
from regard.special_tokens import EOS, PAD

SHARED = Path(__file__).parents[3] / "../shared/data"

lengths = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), min_size=1, max_size=60)
FIRST = 4  # the first id that is not special


def store_of(sizes: Sequence[tuple[int, int]]) -> PairStore:
    """A store of pairs of given lengths; every token is the number of its pair."""
    pairs = [([FIRST + n] * source, [FIRST + n] * target) for n, (source, target) in enumerate(sizes)]
    with tempfile.TemporaryDirectory() as folder:  # mapped files stay readable after they are deleted
        return PairStore.write(Path(folder), "train", pairs)


def rows(batch: Batch) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    """The pairs of a batch, without padding and EOS."""
    return [
        tuple(tuple(i for i in side.tolist() if i not in (EOS, PAD)) for side in pair)  # type: ignore[misc]
        for pair in zip(batch.source, batch.target_out, strict=True)
    ]


def stream(loader: Loader, count: int) -> list[list[tuple[tuple[int, ...], tuple[int, ...]]]]:
    return [rows(batch) for batch in islice(loader, count)]


def mixed(count: int = 150) -> PairStore:
    return store_of([(n * 7 % 23, n * 5 % 19) for n in range(count)])


@given(sizes=lengths, budget=st.integers(1, 200), seed=st.integers(0, 5))
def test_every_pair_comes_once_an_epoch(sizes: list[tuple[int, int]], budget: int, seed: int) -> None:
    store = store_of(sizes)
    loader = Loader(store, BatchSize(budget), seed)
    stored = Counter((tuple(store.source(n).tolist()), tuple(store.target(n).tolist())) for n in range(len(store)))
    for epoch in range(2):
        assert loader.position == Position(epoch, 0)
        epoch_rows = [row for batch in stream(loader, loader.batches_per_epoch) for row in batch]
        assert Counter(epoch_rows) == stored
    assert loader.position == Position(2, 0)


@given(sizes=lengths, budget=st.integers(1, 200), size=st.integers(1, 5))
def test_processes_share_each_batch(sizes: list[tuple[int, int]], budget: int, size: int) -> None:
    store = store_of(sizes)
    loader = Loader(store, BatchSize(budget), 1)
    shares = [Loader(store, BatchSize(budget), 1, rank=rank, size=size) for rank in range(size)]
    for batch, *parts in islice(zip(loader, *shares, strict=True), loader.batches_per_epoch):
        counted = [rows(part) if part.target_tokens else [] for part in parts]
        assert sorted(row for part in counted for row in part) == sorted(rows(batch))
        assert sum(part.target_tokens for part in parts) == batch.target_tokens
        assert {part.global_target_tokens for part in parts} == {batch.global_target_tokens} == {batch.target_tokens}
        for part in parts:
            assert len(part.source) >= 1
            assert int(part.target_out.ne(PAD).sum()) == part.target_tokens
    assert {share.position for share in shares} == {loader.position}


@given(sizes=lengths, budget=st.integers(1, 200))
def test_a_batch_of_several_rows_keeps_within_the_budget(sizes: list[tuple[int, int]], budget: int) -> None:
    loader = Loader(store_of(sizes), BatchSize(budget), seed=0)
    for batch in islice(loader, loader.batches_per_epoch):
        count = len(batch.source)
        assert count == 1 or count * max(batch.source.shape[1], batch.target_out.shape[1]) <= budget


def test_batches_are_filled() -> None:
    loader = Loader(store_of([(9, 9)] * 25), BatchSize(100), seed=0)
    assert sorted(len(batch.source) for batch in islice(loader, loader.batches_per_epoch)) == [5, 10, 10]


@settings(max_examples=25)
@given(budget=st.integers(20, 300), taken=st.integers(0, 90))
def test_a_loader_resumes_from_a_saved_position(budget: int, taken: int) -> None:
    store = mixed()
    loader = Loader(store, BatchSize(budget), seed=3)
    expected = stream(Loader(store, BatchSize(budget), seed=3), taken + 20)
    assert stream(loader, taken) == expected[:taken]
    resumed = Loader(store, BatchSize(budget), seed=3, position=loader.position)
    assert stream(resumed, 20) == expected[taken:]
    assert stream(loader, 20) == expected[taken:]


def test_the_stream_is_a_function_of_seed_and_epoch() -> None:
    store = mixed()
    loader = Loader(store, BatchSize(100), seed=1)
    epochs = [stream(loader, loader.batches_per_epoch) for _ in range(3)]
    alone = Loader(store, BatchSize(100), seed=1, position=Position(2, 0))
    assert stream(alone, alone.batches_per_epoch) == epochs[2]
    assert epochs[0] != epochs[1] != epochs[2]
    assert stream(Loader(store, BatchSize(100), seed=2), loader.batches_per_epoch) != epochs[0]


def test_batches_have_different_pairs_in_each_epoch() -> None:
    loader = Loader(store_of([(8 + n % 3, 8 + n % 2) for n in range(300)]), BatchSize(100), seed=1)
    first, second = ({frozenset(batch) for batch in stream(loader, loader.batches_per_epoch)} for _ in range(2))
    assert len(first & second) < len(first) / 4


def test_batches_are_not_ordered_by_length() -> None:
    loader = Loader(mixed(), BatchSize(100), seed=1)
    widths = [batch.source.shape[1] for batch in islice(loader, loader.batches_per_epoch)]
    assert widths != sorted(widths)
    assert widths != sorted(widths, reverse=True)


def test_an_empty_store_is_an_error() -> None:
    with pytest.raises(DataError, match="no pair"):
        Loader(store_of([]), BatchSize(100), seed=0)


def test_a_position_beyond_the_epoch_is_an_error() -> None:
    loader = Loader(mixed(), BatchSize(100), seed=0)
    with pytest.raises(DataError, match=f"no batch {loader.batches_per_epoch} in an epoch"):
        Loader(mixed(), BatchSize(100), seed=0, position=Position(0, loader.batches_per_epoch))


@pytest.mark.skipif(not (SHARED / "multi30k").is_dir(), reason="the shared corpora are missing")
def test_little_of_multi30k_is_padding() -> None:
    sides = []
    for language in ("en", "de"):
        with gzip.open(SHARED / f"multi30k/train.{language}.gz", "rt", encoding="utf-8") as lines:
            sides.append([len(line.split()) for line in lines])
    loader = Loader(store_of(list(zip(*sides, strict=True))), BatchSize(4096), seed=1)
    positions = {"source": 0, "target": 0}
    tokens = {"source": 0, "target": 0}
    for batch in islice(loader, loader.batches_per_epoch):
        positions["source"] += batch.source.numel()
        positions["target"] += batch.target_out.numel()
        tokens["source"] += batch.source_tokens
        tokens["target"] += batch.target_tokens
    assert all(tokens[side] / positions[side] > 0.94 for side in positions)


def test_the_largest_batches_have_the_most_positions_and_the_longest_row() -> None:
    loader = Loader(store_of([(40, 2), (1, 1), *[(9, 9)] * 30, *[(19, 3)] * 12]), BatchSize(100), seed=1)
    before = loader.position
    most, longest = loader.largest()
    assert loader.position == before
    batches = list(islice(loader, loader.batches_per_epoch))
    positions = [batch.source.numel() + batch.target_out.numel() for batch in batches]
    assert most.source.numel() + most.target_out.numel() == max(positions)
    assert (longest.source.shape, longest.lines) == ((1, 41), (1,))
    assert len(Loader(store_of([(5, 5)]), BatchSize(100), seed=1).largest()) == 1


def test_pairs_are_repeated_by_the_weight_of_their_corpus() -> None:
    store = store_of([(n % 23 + 1, n % 19 + 1) for n in range(151)])
    origins = np.arange(len(store)) % 3
    loader = Loader(store, BatchSize(100), seed=1, weights=SamplingWeights(origins, [1.0, 2.5, 0.25]))
    epochs = []
    for _ in range(3):
        batches = stream(loader, loader.batches_per_epoch)
        seen = np.bincount([source[0] - FIRST for batch in batches for source, _ in batch], minlength=len(store))
        assert set(seen[origins == 0]) == {1}
        assert set(seen[origins == 1]) == {2, 3}
        assert seen[origins == 1].sum() == 125
        assert set(seen[origins == 2]) == {0, 1}
        assert seen[origins == 2].sum() == 12
        epochs.append(seen.tolist())
    assert epochs[0] != epochs[1] != epochs[2]
    resumed = Loader(
        store, BatchSize(100), seed=1, position=loader.position, weights=SamplingWeights(origins, [1.0, 2.5, 0.25])
    )
    assert stream(resumed, 30) == stream(loader, 30)


@pytest.mark.parametrize(("weight", "count"), [(0.5, 1), (2.5, 5), (40.0, 80)])
def test_a_corpus_smaller_than_a_batch_is_repeated_by_its_weight(weight: float, count: int) -> None:
    store = store_of([(5, 5)] * 52)
    loader = Loader(store, BatchSize(120), seed=1, weights=SamplingWeights(np.array([0] * 50 + [1] * 2), [1.0, weight]))
    for _ in range(2):
        batches = stream(loader, loader.batches_per_epoch)
        seen = np.bincount([source[0] - FIRST for batch in batches for source, _ in batch], minlength=52)
        assert set(seen[:50]) == {1}
        assert seen[50:].sum() == count


def test_batches_of_pairs_have_as_many_pairs_however_long_they_are() -> None:
    loader = Loader(store_of([(1 + n % 30, 1 + n % 7) for n in range(25)]), BatchSize(10, pairs=8), seed=0)
    batches = list(islice(loader, loader.batches_per_epoch))
    assert sorted(len(batch.source) for batch in batches) == [1, 8, 8, 8]
    assert {batch.global_pairs for batch in batches} == {1, 8}
    parts = [Loader(store_of([(3, 3)] * 9), BatchSize(10, pairs=5), 1, rank=rank, size=2) for rank in (0, 1)]
    assert [next(iter(part)).global_pairs for part in parts] in ([5, 5], [4, 4])
