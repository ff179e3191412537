"""What `regard train` prints when a second Ctrl-C stops it at once."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from regard.checkpoints.run_folder import Finished, RunFolder
from regard.cli.train import _say_stopped


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return RunFolder.create(tmp_path.resolve() / "a run")


def stop(path: Path) -> str:
    console = Console(file=io.StringIO(), width=1000)
    _say_stopped(path, console, "")
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def add_checkpoint(run: RunFolder) -> Path:
    folder = run.checkpoint(20)
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    run.set_last(folder)
    return folder


def test_before_there_is_a_checkpoint(run: RunFolder) -> None:
    assert stop(run.path) == "stopped before training began\n"
    run.begin("")
    assert stop(run.path) == f"stopped before training began\ncontinue:   regard train --resume '{run.path}'\n"
    run.log.touch()
    assert stop(run.path).startswith("stopped before the first checkpoint\ncontinue: ")


def test_the_last_checkpoint_is_named(run: RunFolder) -> None:
    run.begin("")
    checkpoint = add_checkpoint(run)
    expected = f"stopped; the last checkpoint is step-000020\ncontinue:   regard train --resume '{run.path}'\n"
    assert stop(run.path) == expected
    assert stop(checkpoint) == expected


def test_after_the_end_of_training(run: RunFolder) -> None:
    run.begin("")
    add_checkpoint(run)
    run.mark_finished(Finished("steps", 20, 1.0))
    lines = stop(run.path).splitlines()
    assert lines[0] == "stopped after the end of training; the last checkpoint is step-000020"
    assert lines[1].startswith(f"translate:  regard translate '{run.path}'")
