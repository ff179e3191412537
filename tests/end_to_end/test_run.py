"""Train a recipe into a run folder, and what the folder contains."""

from __future__ import annotations

import json
import platform
import shutil
from pathlib import Path
from unittest import mock

import pytest
import torch
from rich.console import Console
from tests.end_to_end.helpers import Files, call, file_bytes, recipe

import regard
from regard.checkpoints.run_folder import RunFolder
from regard.config.recipe import to_table
from regard.errors import DataError
from regard.reports.compare.systems import ComparedSystem
from regard.reports.compare.training import train_system
from regard.runs import confidence
from regard.training.timing import End
from regard.training.trainer import Trainer
from regard.training.training_log import LOG_EVERY


def test_a_run_folder_has_recipe_log_curves_and_checkpoints(run: Path, files: Files) -> None:
    assert {"recipe.toml", "log.jsonl", "tensorboard", "checkpoints", "last", "best", "data"} <= {
        entry.name for entry in run.iterdir()
    }
    assert to_table(regard.read_recipe(run / "recipe.toml")) == to_table(recipe(files))
    for name in ("last", "best"):
        assert (run / name).is_symlink()
        assert {"config.json", "metrics.json", "model.safetensors"} <= {entry.name for entry in (run / name).iterdir()}
    assert list((run / "tensorboard").glob("events.*"))
    assert json.loads((run / "last" / "config.json").read_text())["step"] == 240


def test_the_log_has_its_steps_and_every_checkpoint(run: Path) -> None:
    entries = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    assert [entry["step"] for entry in entries if entry["kind"] == "step"] == list(range(LOG_EVERY, 241, LOG_EVERY))
    checkpoints = [entry for entry in entries if entry["kind"] == "checkpoint"]
    assert [entry["step"] for entry in checkpoints] == [60, 120, 180, 240]
    assert checkpoints[-1]["exact"] > 50
    assert checkpoints[-1]["loss"] < checkpoints[0]["loss"]


def test_training_from_python_is_training_by_command(files: Files, tmp_path: Path) -> None:
    config, run = recipe(files, max_steps=30, checkpoint_every=15), tmp_path / "run"
    sets = ("--set", "train.max_steps=30", "--set", "train.checkpoint_every=15")
    finished = call("train", files / "tiny.toml", "--out", run, *sets)
    assert finished.code == 0, finished.err
    result = regard.train(config, tmp_path / "again", console=Console(quiet=True))
    assert (result.folder, result.end, result.step) == (tmp_path / "again", "steps", 30)
    best = json.loads((run / "best" / "metrics.json").read_text())
    assert result.scores == best
    for name in ("last/model.safetensors", "last/training/state.safetensors"):
        assert (tmp_path / "again" / name).read_bytes() == (run / name).read_bytes()


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="other processors may not flush denormals")
def test_a_run_is_trained_and_resumed_without_denormals(
    files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    products: list[float] = []

    def run(trainer: Trainer) -> End:
        products.append((torch.full((4,), 1e-30) * 1e-9).max().item())
        return original_run(trainer)

    original_run = Trainer.run
    monkeypatch.setattr(Trainer, "run", run)
    quiet = Console(quiet=True)
    regard.train(recipe(files, max_steps=1), tmp_path / "run", console=quiet)
    regard.resume(tmp_path / "run", console=quiet)
    assert products == [0, 0]
    assert (torch.full((4,), 1e-30) * 1e-9).max() > 0


def test_a_checkpoint_needs_nothing_outside_it(
    run: Path, translator: regard.Translator, files: Files, tmp_path: Path
) -> None:
    moved = tmp_path / "moved"
    shutil.copytree(run / "best", moved)
    assert regard.Translator.load(moved, "cpu").translate(files.test[:9]) == translator.translate(files.test[:9])
    shutil.rmtree(moved / "training")
    assert regard.Translator.load(str(moved)).translate(files.test[:3]) == translator.translate(files.test[:3])


def test_resuming_a_finished_run_changes_no_checkpoint(run: Path, tmp_path: Path) -> None:
    again = tmp_path / "again"
    shutil.copytree(run, again, symlinks=True)
    finished = call("train", "--resume", again)
    assert finished.code == 0, finished.err
    assert file_bytes(again / "checkpoints") == file_bytes(run / "checkpoints")


@pytest.mark.parametrize("average", [1, 2])
def test_resuming_a_finished_run_with_an_early_last_checkpoint_changes_no_checkpoint(
    files: Files, tmp_path: Path, average: int
) -> None:
    config = recipe(files, max_steps=5, checkpoint_every=3, average_checkpoints=average)
    quiet = Console(quiet=True)
    regard.train(config, tmp_path / "run", console=quiet)
    before = file_bytes(tmp_path / "run" / "checkpoints")
    assert regard.resume(tmp_path / "run", console=quiet).step == 5
    assert file_bytes(tmp_path / "run" / "checkpoints") == before


def test_held_out_sources_are_not_trained_on(files: Files, tmp_path: Path) -> None:
    sources = [*files.train[:60], *files.train[:20]]  # a third of the sources come twice
    (tmp_path / "a").write_text("".join(f"{line}\n" for line in sources))
    (tmp_path / "b").write_text("".join(f"{line[::-1]}\n" for line in sources))
    config = recipe(files, max_steps=1)
    data = config.data.model_copy(
        update={
            "source": str(tmp_path / "a"),
            "target": str(tmp_path / "b"),
            "dev_source": None,
            "dev_target": None,
            "held_out": 30,
        }
    )
    regard.train(config.model_copy(update={"data": data}), tmp_path / "run", console=Console(quiet=True))
    dev = [source for source, _ in json.loads((tmp_path / "run/data/prepared.json").read_text())["dev"]]
    assert len(set(dev)) == 30
    assert not set(dev) & set(files.train[:20])
    assert json.loads((tmp_path / "run/data/train.json").read_text())["pairs"] == len(sources) - 30


def test_a_kill_right_after_a_checkpoint_loses_no_line_of_the_log(
    files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, quiet = recipe(files, max_steps=6, checkpoint_every=2), Console(quiet=True)

    def die(*_: object) -> None:
        raise SystemExit

    with monkeypatch.context() as patch:
        patch.setattr(RunFolder, "prune", die)  # the last step of writing a checkpoint
        with pytest.raises(SystemExit):
            regard.train(config, tmp_path / "run", console=quiet)
    regard.resume(tmp_path / "run", console=quiet)
    entries = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert [entry["step"] for entry in entries if entry["kind"] == "checkpoint"] == [2, 4, 6]


def test_a_corpus_that_cannot_be_prepared_leaves_the_folder_free(files: Files, tmp_path: Path) -> None:
    config = recipe(files, max_steps=1)
    too_short = config.model_copy(update={"data": config.data.model_copy(update={"max_length": 1})})
    quiet = Console(quiet=True)
    with pytest.raises(DataError):
        regard.train(too_short, tmp_path / "run", console=quiet)
    assert regard.train(config, tmp_path / "run", console=quiet).step == 1


def test_relative_paths_of_a_config_are_stored_as_absolute_paths(
    files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = recipe(files, max_steps=1)
    monkeypatch.chdir(files.folder)
    data = config.data.model_copy(update={"source": "train.src", "target": "train.tgt"})
    regard.train(config.model_copy(update={"data": data}), tmp_path / "run", console=Console(quiet=True))
    written = regard.read_recipe(tmp_path / "run" / "recipe.toml").data
    assert (written.source, written.target) == (str(files / "train.src"), str(files / "train.tgt"))


def test_a_resumed_run_that_does_not_improve_names_its_best_scores(files: Files, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    before = regard.train(recipe(files, max_steps=4, checkpoint_every=2), folder, quiet=True)
    assert before.scores
    with mock.patch.object(Trainer, "_update_best", return_value=False):
        after = regard.resume(folder, ["train.max_steps=6"], quiet=True)
    assert after.step == 6
    assert after.scores == before.scores


def test_ctrl_c_in_the_fit_of_confidence_leaves_a_finished_run(
    files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(confidence, "calibrate", interrupt)
    monkeypatch.setattr(confidence, "MIN_DEV_CHRF", 0.0)
    recipe(files)
    folder = tmp_path / "run"
    steps = ("--set", "train.max_steps=4", "--set", "train.checkpoint_every=2")
    finished = call("train", files / "tiny.toml", "-o", folder, *steps)
    assert finished.code == 0, finished.err
    assert "confidence: not fitted (stopped); try `regard calibrate" in finished.err
    assert "finished all steps, at step 4; best on dev" in finished.err
    assert "translate:  regard translate" in finished.err
    assert (folder / "README.md").is_file()
    config = recipe(files, max_steps=4, checkpoint_every=2)
    system = ComparedSystem("tiny", tmp_path / "compared", config, train=True)
    with pytest.raises(KeyboardInterrupt):  # a comparison does not go on with the next system
        train_system(system, Console(quiet=True))
    assert RunFolder(system.folder).finished is not None
