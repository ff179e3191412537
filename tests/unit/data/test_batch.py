from pathlib import Path

import torch

from regard.data.batch import Batch, batch_from_store, length_batches, make_batch, pad
from regard.data.store import PairStore
from regard.special_tokens import BOS, EOS, PAD

PAIRS = [([10, 11], [20]), ([12], [21, 22, 23])]


def check(batch: Batch) -> None:
    assert batch.source.tolist() == [[10, 11, EOS], [12, EOS, PAD]]
    assert batch.target_in.tolist() == [[BOS, 20, PAD, PAD], [BOS, 21, 22, 23]]
    assert batch.target_out.tolist() == [[20, EOS, PAD, PAD], [21, 22, 23, EOS]]
    assert (batch.source_tokens, batch.target_tokens) == (5, 6)
    assert {batch.source.dtype, batch.target_in.dtype, batch.target_out.dtype} == {torch.int64}


def test_a_batch_of_pairs() -> None:
    check(make_batch(PAIRS))


def test_a_batch_from_a_store_is_in_the_given_order(tmp_path: Path) -> None:
    store = PairStore.write(tmp_path, "train", [([99], [99]), PAIRS[1], PAIRS[0]])
    check(batch_from_store(store, [2, 1]))


def test_a_batch_moves_to_a_device() -> None:
    moved = make_batch(PAIRS).to("meta")
    assert {moved.source.device.type, moved.target_in.device.type, moved.target_out.device.type} == {"meta"}
    assert (moved.source_tokens, moved.target_tokens) == (5, 6)


def test_empty_sides_have_bos_and_eos() -> None:
    batch = make_batch([([], [])])
    assert (batch.source.tolist(), batch.target_in.tolist(), batch.target_out.tolist()) == ([[EOS]], [[BOS]], [[EOS]])


def test_padding() -> None:
    assert pad([[5, 6], [], [7]]).tolist() == [[5, 6], [PAD, PAD], [7, PAD]]
    assert pad([[5], []], last=EOS).tolist() == [[5, EOS], [EOS, PAD]]
    assert pad([[5], []], first=9).tolist() == [[9, 5], [9, PAD]]
    assert pad([]).shape == (0, 0)


def test_halves_have_no_more_padding_than_needed() -> None:
    pairs = [([10], [20, 21]), ([11, 12, 13], [22]), ([14], [23])]
    first, second = make_batch(pairs).halves()
    for half, part in ((first, pairs[:1]), (second, pairs[1:])):
        expected = make_batch(part)
        for name in ("source", "target_in", "target_out"):
            assert getattr(half, name).tolist() == getattr(expected, name).tolist()
        assert (half.source_tokens, half.target_tokens) == (expected.source_tokens, expected.target_tokens)


def test_a_batch_knows_its_lines(tmp_path: Path) -> None:
    store = PairStore.write(tmp_path, "train", [(*pair, line) for pair, line in zip(PAIRS, (7, 3), strict=True)])
    batch = batch_from_store(store, [1, 0, 1])
    assert batch.lines == batch.to("cpu").lines == (3, 7, 3)
    assert [half.lines for half in batch.halves()] == [(3,), (7, 3)]
    (tmp_path / "train.lines.npy").unlink()
    assert batch_from_store(PairStore.open(tmp_path, "train"), [1]).lines == ()


def test_items_are_batched_by_their_length() -> None:
    def batches(lengths: list[int], **limits: int) -> list[list[int]]:
        return list(length_batches(lengths, lambda length: length, **{"max_tokens": 12, **limits}))

    assert batches([]) == []
    assert batches([1, 2, 4, 4, 4, 13, 13]) == [[1, 2, 4], [4, 4], [13], [13]]
    assert batches([13, 6, 6, 5, 1]) == [[13], [6, 6], [5, 1]]
    assert batches([6, 4, 3, 3, 3, 3]) == [[6, 4], [3, 3, 3, 3]]
    assert batches([2, 2, 2, 1, 1], max_rows=2) == [[2, 2], [2, 1], [1]]
