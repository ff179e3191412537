"""The links `last` and `best` of a run are restored after a copy has lost them or has folders in their place."""

from __future__ import annotations

import math
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tests.unit.checkpoints.test_killed_while_saving import checkpoint

from regard.checkpoints.checkpoint import save_checkpoint
from regard.checkpoints.run_folder import RunFolder
from regard.config.recipe import to_toml
from regard.errors import CheckpointError
from regard.runs.resume import find_run, load_state
from regard.runs.run_links import restore_links
from regard.training.state import TrainingState

SCORES = {1: 3.0, 2: 5.0, 3: 5.0, 4: math.nan}


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    """Return a run with a checkpoint for each of SCORES."""
    run = RunFolder.create(tmp_path.resolve() / "a run")
    run.begin(to_toml(checkpoint(1).config))
    for step, score in SCORES.items():
        state = TrainingState({"step": torch.tensor(step)}, {"step": step})
        save_checkpoint(run.checkpoint(step), replace(checkpoint(step), metrics={"chrf": score}), state)
    run.set_best(run.checkpoint(2))
    run.set_last(run.checkpoint(4))
    return run


def damage(checkpoint: Path) -> None:
    (checkpoint / "training" / "state.json").write_text("{}")


def remove_links(run: RunFolder) -> None:
    for name in ("last", "best"):
        (run.path / name).unlink()


def copy_following_links(run: RunFolder) -> RunFolder:
    return RunFolder(Path(shutil.copytree(run.path, run.path.with_name("copy"), symlinks=False)))


def restored(run: RunFolder, checkpoint_path: Path | None = None) -> list[str]:
    messages: list[str] = []
    with run.lock():
        restore_links(run, checkpoint_path, messages.append)
    return messages


def test_links_that_are_there_stay(run: RunFolder) -> None:
    assert restored(run) == []
    assert (run.last, run.best) == (run.checkpoint(4), run.checkpoint(2))


def test_lost_links_are_restored_from_the_intact_checkpoints(run: RunFolder) -> None:
    remove_links(run)
    damage(run.checkpoint(4))
    messages = restored(run)
    assert (run.last, run.best) == (run.checkpoint(3), run.checkpoint(2))
    assert ["newest intact checkpoint" in message for message in messages] == [True, False]
    state = load_state(run, None)
    assert state is not None and state.values["step"] == 3
    assert restored(run) == []


def test_last_is_not_restored_if_a_checkpoint_is_given(run: RunFolder) -> None:
    remove_links(run)
    assert len(restored(run, run.checkpoint(1))) == 1
    assert (run.last, run.best) == (None, run.checkpoint(2))


def test_a_run_without_links_and_intact_checkpoints_does_not_start_again(run: RunFolder) -> None:
    remove_links(run)
    for step in run.steps:
        damage(step)
    assert restored(run) == []
    with pytest.raises(CheckpointError, match="no checkpoint is intact"):
        load_state(run, None)
    shutil.rmtree(run.checkpoints)
    assert load_state(run, None) is None


def test_folders_in_place_of_the_links_are_replaced(run: RunFolder) -> None:
    copy = copy_following_links(run)
    assert find_run(copy.path / "best")[0].path == copy.path
    assert find_run(copy.path / "best")[1] == copy.checkpoint(2)
    assert len(restored(copy)) == 2
    assert (copy.path / "last").readlink() == Path("checkpoints") / "step-000004"
    assert (copy.path / "best").readlink() == Path("checkpoints") / "step-000002"
    assert {entry.name for entry in copy.path.iterdir()} == {entry.name for entry in run.path.iterdir()} | {"lock"}
    assert [step.name for step in copy.steps] == [step.name for step in run.steps]


def test_a_folder_that_is_the_only_copy_of_a_checkpoint_is_kept(run: RunFolder) -> None:
    copy = copy_following_links(run)
    shutil.rmtree(copy.checkpoints)
    restored(copy)
    assert (copy.last, copy.best) == (copy.checkpoint(4), copy.checkpoint(2))
    assert copy.steps == [copy.checkpoint(2), copy.checkpoint(4)]
    assert load_state(copy, copy.checkpoint(2)) is not None


@pytest.mark.parametrize("name", ["last", "best"])
def test_a_folder_that_is_not_a_copy_of_a_checkpoint_is_an_error(run: RunFolder, name: str) -> None:
    copy = copy_following_links(run)
    folder = copy.path / name
    damage(copy.checkpoint(4 if name == "last" else 2))
    with pytest.raises(CheckpointError, match="not a copy of an intact checkpoint"):
        restored(copy)
    shutil.rmtree(folder)
    folder.mkdir()
    with pytest.raises(CheckpointError, match="not a copy of an intact checkpoint"):
        restored(copy)
    assert folder.is_dir()
