"""A store that is written in several goes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from regard.data import store_writer as module
from regard.data.store import PairStore, open_writer
from regard.data.store_writer import Chunk, StoreWriter, make_chunks

PAIRS = [([4, 5, 6], [7]), ([], [8, 9]), ([10], [70_000, 1]), ([3], [4])]


def contents(store: PairStore) -> list[tuple[list[int], list[int], int | None]]:
    return [(store.source(i).tolist(), store.target(i).tolist(), store.line(i)) for i in range(len(store))]


def test_a_chunk_without_some_of_its_pairs() -> None:
    (chunk,) = make_chunks(PAIRS)
    kept = chunk.where(np.array([True, False, False, True]))
    assert (kept.source.tolist(), kept.source_lengths.tolist()) == ([4, 5, 6, 3], [3, 1])
    assert (kept.target.tolist(), kept.target_lengths.tolist(), kept.lines.tolist()) == ([7, 4], [1, 1], [1, 4])


@pytest.fixture
def begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in which a process noted two pairs, wrote a third and was killed."""
    monkeypatch.setattr(module, "EVERY", 0.0)
    writer = StoreWriter(tmp_path, "train", "these")
    first, second, third = (Chunk.of([source], [target], [line]) for line, (source, target) in enumerate(PAIRS[:3], 1))
    writer.add(first)
    writer.add(second)
    writer.note(read=2, left=["one"])
    writer.add(third)
    writer.close()
    return tmp_path


def test_writing_goes_on_behind_what_was_noted(begun: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    with open_writer(begun, "train", "these") as writer:
        assert (writer.done.read, writer.done.notes) == (2, {"left": ["one"]})
        writer.add(Chunk.of([PAIRS[2][0], PAIRS[3][0]], [PAIRS[2][1], PAIRS[3][1]], [3, 4]))
        writer.finish()
    whole = PairStore.write(tmp_path_factory.mktemp("whole"), "train", PAIRS)
    found = PairStore.open(begun, "train")
    assert contents(found) == contents(whole)
    assert found.fingerprint == whole.fingerprint
    assert not list(begun.glob(".train-*"))


@pytest.mark.parametrize("damage", ["other", "shorter", "unreadable"])
def test_what_is_not_a_beginning_of_these_pairs_is_begun_anew(begun: Path, damage: str) -> None:
    parts = begun / ".train-parts"
    if damage == "shorter":
        (parts / "target.npy.raw").write_bytes(b"")
    elif damage == "unreadable":
        (parts / "progress.json").write_text("{")
    with open_writer(begun, "train", "others" if damage == "other" else "these") as writer:
        assert writer.done.read == 0
        writer.add(Chunk.of([[1]], [[2]], [9]))
        writer.finish()
    assert contents(PairStore.open(begun, "train")) == [([1], [2], 9)]
