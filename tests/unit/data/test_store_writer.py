"""Continue a store whose writer was killed."""

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


def test_a_chunk_can_be_masked() -> None:
    (chunk,) = make_chunks(PAIRS)
    masked = chunk.where(np.array([True, False, False, True]))
    assert (masked.source.tolist(), masked.source_lengths.tolist()) == ([4, 5, 6, 3], [3, 1])
    assert (masked.target.tolist(), masked.target_lengths.tolist(), masked.lines.tolist()) == (
        [7, 4],
        [1, 1],
        [1, 4],
    )


@pytest.fixture
def unfinished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in which a process saved two pairs, wrote a third and was killed."""
    monkeypatch.setattr(module, "SAVE_INTERVAL", 0.0)
    writer = StoreWriter(tmp_path, "train", "these")
    first, second, third = (Chunk.of([source], [target], [line]) for line, (source, target) in enumerate(PAIRS[:3], 1))
    writer.add(first)
    writer.add(second)
    writer.update_progress(read=2, notes=["a"])
    writer.add(third)
    writer.close()
    return tmp_path


def test_writing_continues_after_the_saved_progress(unfinished: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    with open_writer(unfinished, "train", "these") as writer:
        assert (writer.progress.read, writer.progress.notes) == (2, {"notes": ["a"]})
        writer.add(Chunk.of([PAIRS[2][0], PAIRS[3][0]], [PAIRS[2][1], PAIRS[3][1]], [3, 4]))
        writer.finish()
    expected = PairStore.write(tmp_path_factory.mktemp("expected"), "train", PAIRS)
    store = PairStore.open(unfinished, "train")
    assert contents(store) == contents(expected)
    assert store.fingerprint == expected.fingerprint
    assert not list(unfinished.glob(".train-*"))


@pytest.mark.parametrize("damage", ["other", "shorter", "unreadable"])
def test_another_or_a_damaged_store_is_written_from_the_start(unfinished: Path, damage: str) -> None:
    parts = unfinished / ".train-parts"
    if damage == "shorter":
        (parts / "target.npy.raw").write_bytes(b"")
    elif damage == "unreadable":
        (parts / "progress.json").write_text("{")
    with open_writer(unfinished, "train", "others" if damage == "other" else "these") as writer:
        assert writer.progress.read == 0
        writer.add(Chunk.of([[1]], [[2]], [9]))
        writer.finish()
    assert contents(PairStore.open(unfinished, "train")) == [([1], [2], 9)]
