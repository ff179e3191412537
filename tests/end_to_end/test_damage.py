"""Files of a run that are damaged, missing or not writable: the run continues, or an error says what to do."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
import torch
from rich.console import Console
from tests.end_to_end.helpers import ONE_THREAD, Files, call, recipe, refused
from tests.end_to_end.test_resume import assert_same_end

import regard
from regard.errors import CheckpointError
from regard.training.step import StepResult, TrainStep
from regard.training.tensorboard import TensorBoard


@pytest.fixture(scope="module")
def run(files: Files, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A short run of two checkpoints: what is resumed here need not have learned anything."""
    config = recipe(files, max_steps=30, checkpoint_every=22, metric="'loss'")
    return regard.train(config, tmp_path_factory.mktemp("short") / "run", console=Console(quiet=True)).folder


@pytest.fixture
def copied(run: Path, tmp_path: Path) -> Path:
    """The run before its last checkpoint."""
    folder = tmp_path / "run"
    shutil.copytree(run, folder, symlinks=True)
    (folder / "last").unlink()
    (folder / "last").symlink_to("checkpoints/step-000022")
    shutil.rmtree(folder / "checkpoints" / "step-000030")
    return folder


def change(path: Path, value: int) -> None:
    """Change the last number of an array of tokens."""
    tokens = np.load(path)
    tokens[-1] = value
    np.save(path, tokens)


@pytest.mark.parametrize("value", [5, 65_535])
def test_a_changed_token_is_an_error_and_the_corpus_can_be_prepared_again(
    copied: Path, run: Path, files: Files, value: int
) -> None:
    path = copied / "data" / "train.target.npy"
    change(path, value)
    finished = call("train", "--resume", copied)
    refused(finished, f"{path}: the training data is damaged", f"rm {copied}/data/prepared.json; regard train --resume")
    refused(call("shortlist", copied), f"{path}: the training data is damaged")
    (copied / "data" / "prepared.json").unlink()  # as the error says
    finished = call("train", "--resume", copied)
    assert finished.code == 0, finished.err
    assert_same_end(run, copied)


def test_another_corpus_instead_of_the_damaged_one_is_refused(copied: Path, tmp_path: Path) -> None:
    (tmp_path / "other").write_text("1\n2\n3\n")
    text = (copied / "recipe.toml").read_text()
    text = re.sub(r'(?m)^(source|target) = ".*"', rf'\1 = "{tmp_path / "other"}"', text)
    (copied / "recipe.toml").write_text(text)
    (copied / "data" / "prepared.json").unlink()
    finished = call("train", "--resume", copied)
    refused(finished, "differs from what the run's last checkpoint was trained on")


def test_a_log_with_a_damaged_line_is_repaired(copied: Path, run: Path) -> None:
    lines = (copied / "log.jsonl").read_bytes().splitlines(keepends=True)
    assert b'"kind": "step"' in lines[0]
    lines[0] = b'{"kind": "st\xff\n'
    (copied / "log.jsonl").write_bytes(b"".join(lines))
    finished = call("train", "--resume", copied)
    assert finished.code == 0, finished.err
    assert "log.jsonl: removed damaged lines, which only reports and plots read: 1" in " ".join(finished.err.split())
    assert_same_end(run, copied)


def test_an_empty_recipe_is_restored(copied: Path, run: Path) -> None:
    (copied / "recipe.toml").write_bytes(b"")
    finished = call("train", "--resume", copied)
    assert finished.code == 0, finished.err
    assert (copied / "recipe.toml").read_text() == (run / "recipe.toml").read_text()
    assert_same_end(run, copied)


def acting(at: int, act: Any) -> Any:
    """Patch TrainStep.run to call `act` before step `at`."""
    step, steps = TrainStep.run, list[None]()

    def acting_step(*arguments: Any) -> StepResult:
        steps.append(None)
        if len(steps) == at:
            act()
        return step(*arguments)

    return mock.patch.object(TrainStep, "run", acting_step)


@pytest.mark.parametrize("every", [10, 1000], ids=["before a checkpoint", "before a line of the log"])
@pytest.mark.parametrize("rename", [True, False])
def test_a_run_whose_folder_is_gone_ends_with_one_error(
    files: Files, tmp_path: Path, rename: bool, every: int, capfd: pytest.CaptureFixture[str]
) -> None:
    folder, renamed = tmp_path / "run", tmp_path / "other"
    config = recipe(files, max_steps=30, checkpoint_every=every, metric="'loss'")
    with (
        acting(15, lambda: folder.rename(renamed) if rename else shutil.rmtree(folder)),
        pytest.raises(CheckpointError, match="was removed, renamed or replaced"),
    ):
        regard.train(config, folder, console=Console(quiet=True))
    assert not folder.exists()
    output = capfd.readouterr()
    assert output.err == output.out == ""
    if rename and every == 10:
        assert regard.resume(renamed, console=Console(quiet=True)).step == 30


def test_event_files_that_cannot_be_written_do_not_end_training(files: Files, tmp_path: Path) -> None:
    recipe(files)

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    options = ("--set", "train.max_steps=41", "--set", "train.metric=loss", "--out", tmp_path / "run")
    with (
        acting(15, lambda: setattr(TensorBoard, "_write", full)),
        mock.patch.object(TensorBoard, "_write", TensorBoard._write),
    ):
        finished = call("train", files / "tiny.toml", *options)
    assert finished.code == 0, finished.err
    notice = "tensorboard cannot be written any more (No space left on device); training continues"
    assert " ".join(finished.err.split()).count(notice) == 1
    assert json.loads((tmp_path / "run" / "finished.json").read_text())["step"] == 41


LACKING = [
    MemoryError(),
    ImportError("libXau-154567c4.so.6.0.0: failed to map segment from shared object"),
    RuntimeError("could not create a primitive"),  # of oneDNN
    RuntimeError("can't start new thread"),
    None,
]


@pytest.mark.parametrize("error", LACKING, ids=repr)
def test_out_of_memory_is_an_error(tmp_path: Path, error: Exception | None) -> None:
    def fail(*_: object, **__: object) -> None:
        if error is not None:
            raise error
        torch.empty(1 << 50, dtype=torch.uint8)

    with mock.patch("regard.runs.training_recipe.choose_recipe", fail):
        refused(call("train", tmp_path / "any.toml"), "out of memory", "tokenizer.vocabulary_size")


@pytest.mark.parametrize(
    "error", [ImportError("no module"), RuntimeError("could not create a primitive descriptor")], ids=repr
)
def test_another_error_is_not_taken_for_a_lack_of_memory(tmp_path: Path, error: Exception) -> None:
    with mock.patch("regard.runs.training_recipe.choose_recipe", side_effect=error), pytest.raises(type(error)):
        call("train", tmp_path / "any.toml")


LIMITED = """
import resource
resource.setrlimit(resource.RLIMIT_AS, (1 << 34, resource.RLIM_INFINITY))
from regard.cli.main import run
run()
"""


def test_a_model_that_does_not_fit_in_memory_is_an_error(files: Files, tmp_path: Path) -> None:
    recipe(files)
    sizes = (
        "--set",
        "model.hidden_size=131072",
        "--set",
        "model.ffn_size=131072",
        "--set",
        "model.encoder_layers=1000",
    )
    arguments = ("train", files / "tiny.toml", *sizes, "--out", tmp_path / "run")
    command = [sys.executable, "-c", LIMITED, *map(str, arguments)]
    process = subprocess.run(command, capture_output=True, text=True, env=ONE_THREAD, check=False)
    assert process.returncode == 1
    assert "out of memory for the model" in process.stderr
    assert "lower the sizes in [model]" in process.stderr
    assert "Traceback" not in process.stderr
