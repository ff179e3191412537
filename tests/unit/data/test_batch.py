from pathlib import Path

import torch

from regard.data.batch import Batch, batch_of, make_batch, pad
from regard.data.store import PairStore
from regard.symbols import BOS, EOS, PAD

PAIRS = [([10, 11], [20]), ([12], [21, 22, 23])]


def check(batch: Batch) -> None:
    assert batch.source.tolist() == [[10, 11, EOS], [12, EOS, PAD]]
    assert batch.target_in.tolist() == [[BOS, 20, PAD, PAD], [BOS, 21, 22, 23]]
    assert batch.target_out.tolist() == [[20, EOS, PAD, PAD], [21, 22, 23, EOS]]
    assert (batch.source_tokens, batch.target_tokens) == (5, 6)
    assert {batch.source.dtype, batch.target_in.dtype, batch.target_out.dtype} == {torch.int64}


def test_a_batch_of_pairs() -> None:
    check(batch_of(PAIRS))


def test_a_batch_from_a_store_in_the_order_asked_for(tmp_path: Path) -> None:
    store = PairStore.write(tmp_path, "train", [([99], [99]), PAIRS[1], PAIRS[0]])
    check(make_batch(store, [2, 1]))


def test_a_batch_moves_whole() -> None:
    moved = batch_of(PAIRS).to("meta")
    assert {moved.source.device.type, moved.target_in.device.type, moved.target_out.device.type} == {"meta"}
    assert (moved.source_tokens, moved.target_tokens) == (5, 6)


def test_empty_sides_keep_their_marks() -> None:
    batch = batch_of([([], [])])
    assert (batch.source.tolist(), batch.target_in.tolist(), batch.target_out.tolist()) == ([[EOS]], [[BOS]], [[EOS]])


def test_pad_adds_only_what_it_is_told_to() -> None:
    assert pad([[5, 6], [], [7]]).tolist() == [[5, 6], [PAD, PAD], [7, PAD]]
    assert pad([[5], []], last=EOS).tolist() == [[5, EOS], [EOS, PAD]]
    assert pad([[5], []], first=9).tolist() == [[9, 5], [9, PAD]]
    assert pad([]).shape == (0, 0)
