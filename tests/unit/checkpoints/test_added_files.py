"""A file that is added to a checkpoint is checked like the others, and the checkpoint always loads."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from tests.unit.checkpoints.test_checkpoint import checkpoint

from regard import files
from regard.checkpoints import added_files
from regard.checkpoints.added_files import MAX_BYTES, add_json, read_json
from regard.checkpoints.checkpoint import load_checkpoint, save_checkpoint
from regard.checkpoints.untrusted_files import SUMS
from regard.errors import CheckpointError

NAME = "more.json"


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    folder = tmp_path / "step-000500"
    save_checkpoint(folder, checkpoint())
    return folder


def test_a_file_is_added_and_replaced(saved: Path) -> None:
    assert read_json(saved, NAME) is None
    for value in (1, 2):
        assert add_json(saved, NAME, {"value": value}) == saved / NAME
        assert read_json(saved, NAME) == {"value": value}
        assert load_checkpoint(saved).step == checkpoint().step
    assert NAME in (saved / SUMS).read_text()


@pytest.mark.parametrize("writes", [0, 1, 2])
def test_a_checkpoint_loads_after_a_crash_at_any_write(
    saved: Path, writes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_json(saved, NAME, {"value": 1})
    remaining, write = [writes], files.write_atomic

    def crash(path: Path, data: Any) -> None:
        if not remaining[0]:
            raise KeyboardInterrupt
        remaining[0] -= 1
        write(path, data)

    monkeypatch.setattr(added_files, "write_atomic", crash)
    with pytest.raises(KeyboardInterrupt):
        add_json(saved, NAME, {"value": 2})
    load_checkpoint(saved)
    assert read_json(saved, NAME) == ({"value": 1} if not writes else None)


def test_a_file_of_another_checkpoint_is_not_used(saved: Path) -> None:
    (saved / NAME).write_text("{}")
    assert read_json(saved, NAME) is None
    (saved / SUMS).unlink()  # an old checkpoint, or one that was changed on purpose
    assert read_json(saved, NAME) == {}


@pytest.mark.parametrize("content", ["[]", "{", "[" * 100_000, "{}" + " " * MAX_BYTES, "\ufeff"])
def test_a_damaged_file_is_refused(saved: Path, content: str) -> None:
    add_json(saved, NAME, {"value": 1})
    (saved / NAME).write_text(content)
    with pytest.raises(CheckpointError, match="changed"):
        read_json(saved, NAME)
    (saved / SUMS).unlink()
    with pytest.raises(CheckpointError, match=r"cannot be read|not a JSON object"):
        read_json(saved, NAME)


def test_links_and_fifos_are_refused(saved: Path) -> None:
    (saved.parent / "outside").write_text("{}")
    (saved / NAME).symlink_to("../outside")
    with pytest.raises(CheckpointError, match="leads out"):
        read_json(saved, NAME)
    (saved / NAME).unlink()
    os.mkfifo(saved / NAME)
    with pytest.raises(CheckpointError, match="not a regular file"):
        read_json(saved, NAME)


def test_a_folder_that_cannot_be_written_is_named(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(path: Path, data: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(added_files, "write_atomic", fail)
    with pytest.raises(CheckpointError, match="Permission denied"):
        add_json(saved, NAME, {})
