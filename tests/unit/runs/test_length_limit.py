"""A warning where search cannot write targets as long as those of training."""

from __future__ import annotations

from pathlib import Path

from regard.config.schema import SearchConfig
from regard.data.store import PairStore
from regard.runs.length_limit import length_limit_warning


def store(folder: Path, target_lengths: list[int]) -> PairStore:
    """Return a store of pairs whose sources have 10 tokens."""
    return PairStore.write(folder, "train", [([5] * 10, [5] * length) for length in target_lengths])


def test_targets_beyond_the_limit_are_counted_with_eos(tmp_path: Path) -> None:
    targets = [39] * 900 + [40] * 100
    assert length_limit_warning(SearchConfig(), store(tmp_path, [39] * 1_000)) is None
    warning = str(length_limit_warning(SearchConfig(), store(tmp_path, targets)))
    assert warning.startswith("warning: 10.0% of the training targets are longer than a translation may be, 2 S + 20 ")
    assert "--set search.max_length_addend=30" in warning
    assert length_limit_warning(SearchConfig(max_length_addend=30), store(tmp_path, targets)) is None


def test_one_target_in_a_thousand_may_be_longer(tmp_path: Path) -> None:
    assert length_limit_warning(SearchConfig(), store(tmp_path, [10] * 999 + [900])) is None


def test_the_suggested_limit_suffices(tmp_path: Path) -> None:
    pairs = store(tmp_path, [*range(1, 1_000)])
    warning = str(length_limit_warning(SearchConfig(max_length_factor=1.5), pairs))
    addend = int(warning.rpartition("=")[2])
    assert addend == 990
    assert length_limit_warning(SearchConfig(max_length_factor=1.5, max_length_addend=addend), pairs) is None
