"""From which checkpoint a run goes on, and what of its recipe may change."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from tests.unit.checkpoints.killed_while_saving import checkpoint

from regard.checkpoints.checkpoint import save_checkpoint
from regard.checkpoints.run_folder import RunFolder
from regard.config.recipe import to_toml
from regard.config.schema import DataConfig, RunConfig, TrainConfig
from regard.errors import CheckpointError, ConfigError
from regard.models.transformer2017 import Config
from regard.runs.resume import find, how_to_extend, read_state, recipe_of, restore_recipe
from regard.training.state import TrainingState


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    """Of three checkpoints, the first of them the best."""
    run = RunFolder.create(tmp_path.resolve() / "a run")
    run.begin(to_toml(RunConfig(data=DataConfig(corpus="dates"), model=Config())))
    for step in (1, 2, 3):
        state = TrainingState({"step": torch.tensor(step)}, {"step": step})
        save_checkpoint(run.checkpoint(step), checkpoint(step), state)
    run.set_best(run.checkpoint(1))
    run.set_last(run.checkpoint(3))
    return run


def step_of(state: TrainingState | None) -> int:
    assert state is not None
    return int(state.values["step"])


def flip(path: Path) -> None:
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))


def test_a_run_is_found_by_its_folder_and_by_its_checkpoints(run: RunFolder) -> None:
    assert (find(run.path)[0].path, find(run.path)[1]) == (run.path, None)
    for path in (run.checkpoint(1), run.path / "best"):
        found, chosen = find(path)
        assert (found.path, chosen) == (run.path, run.checkpoint(1))
    with pytest.raises(CheckpointError, match="no run to resume"):
        find(run.path.parent)
    moved = run.path.parent / "elsewhere"
    shutil.copytree(run.checkpoint(1), moved)
    with pytest.raises(CheckpointError, match="no run to resume"):
        find(moved)


def test_it_goes_on_from_the_last_or_the_chosen_one_which_then_is_the_last(run: RunFolder) -> None:
    assert step_of(read_state(run, None)) == 3
    assert step_of(read_state(run, run.checkpoint(2))) == 2
    assert run.last == run.checkpoint(2)
    assert run.steps == [run.checkpoint(number) for number in (1, 2, 3)]


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "training/state.safetensors"])
def test_a_damaged_one_is_named_and_the_whole_ones_with_their_commands(run: RunFolder, name: str) -> None:
    flip(run.checkpoint(3) / name)
    with pytest.raises(CheckpointError) as caught:
        read_state(run, None)
    assert caught.value.where == str(run.checkpoint(3) / name)
    commands = [f"`regard train --resume '{run.checkpoint(number)}'`" for number in (2, 1)]
    assert caught.value.fix == f"go on from another checkpoint, which is whole: {' or '.join(commands)}"
    (run.checkpoint(2) / "training" / "state.json").unlink()
    with pytest.raises(CheckpointError) as caught:
        read_state(run, None)
    assert caught.value.fix is not None
    assert commands[1] in caught.value.fix
    assert commands[0] not in caught.value.fix
    with pytest.raises(CheckpointError, match=r"state\.json"):
        read_state(run, run.checkpoint(2))
    assert run.last == run.checkpoint(3)
    flip(run.checkpoint(1) / "metrics.json")
    with pytest.raises(CheckpointError, match="the folder is damaged"):
        read_state(run, None)


def test_a_last_that_leads_nowhere_is_no_beginning(run: RunFolder) -> None:
    shutil.rmtree(run.checkpoint(3))
    with pytest.raises(CheckpointError, match=r"step-000003, where `last` leads to(.|\n)*step-000002"):
        read_state(run, None)
    (run.path / "last").unlink()
    assert read_state(run, None) is None


def test_a_run_without_any_checkpoint_left_says_how_to_begin_again(run: RunFolder) -> None:
    shutil.rmtree(run.checkpoints)
    with pytest.raises(CheckpointError, match="where `last` leads to") as caught:
        read_state(run, None)
    command = f"rm '{run.path / 'last'}'; regard train --resume '{run.path}'"
    assert caught.value.fix is not None and command in caught.value.fix


@pytest.mark.parametrize("damage", [None, b"", b"\0" * 512, b"\n"])
def test_a_recipe_that_is_gone_or_blank_comes_back_from_a_checkpoint(run: RunFolder, damage: bytes | None) -> None:
    if damage is None:
        run.recipe.unlink()
    else:
        run.recipe.write_bytes(damage)
    flip(run.checkpoint(3) / "config.json")
    told: list[str] = []
    assert find(run.path)[0].path == run.path
    restore_recipe(run, told.append)
    assert recipe_of(run, []) == checkpoint(2).config
    assert told == [f"{run.recipe} was missing or empty: it is restored from step-000002"]
    restore_recipe(run, told.append)
    assert len(told) == 1


def test_a_recipe_that_is_gone_with_the_checkpoints_is_told(run: RunFolder) -> None:
    run.recipe.write_bytes(b"")
    for step in run.steps:
        (step / "config.json").unlink()
    with pytest.raises(CheckpointError, match="missing or empty, and no checkpoint has it"):
        restore_recipe(run, lambda _: None)


def test_a_recipe_that_is_wrong_can_be_restored(run: RunFolder) -> None:
    run.recipe.write_text(run.recipe.read_text().replace("max_steps", "max_stepz"))
    restore_recipe(run, lambda _: None)
    with pytest.raises(ConfigError, match=r"max_stepz(.|\n)*or delete the file") as caught:
        recipe_of(run, [])
    assert caught.value.where == str(run.recipe)


def test_what_may_change_changes(run: RunFolder) -> None:
    config = recipe_of(run, ["train.max_steps=7", "train.learning_rate=0.5", "search.beam_size=2", "train.seed=1"])
    assert (config.train.max_steps, config.train.learning_rate, config.search.beam_size) == (7, 0.5, 2)
    assert recipe_of(run, []).train.max_steps == TrainConfig().max_steps  # nothing is written yet


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("train.seed=2", "order of the batches"),
        ("train.tokens_per_batch=8", "place inside the epoch"),
        ("train.optimizer=muon", "of that optimizer"),
        ("train.metric=loss", "of that metric"),
        ("train.average_checkpoints=3", "the mean that was saved is of that kind"),
        ("data.max_length=9", "corpus was read"),
        ("tokenizer.kind=bpe", "divided into tokens"),
        ("model.hidden_size=64", "weights are of that model"),
    ],
)
def test_what_may_not_is_refused_with_the_reason(run: RunFolder, override: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        recipe_of(run, [override])


@pytest.mark.parametrize(
    ("end", "setting"),
    [("steps", "max_steps=14"), ("minutes", "max_minutes=5"), ("patience", "patience=6")],
)
def test_how_to_extend_is_told_by_the_end(end: str, setting: str) -> None:
    train = TrainConfig(max_steps=7, max_minutes=2.5, patience=3)
    expected = f"regard train --resume 'a run' --set train.{setting}"
    assert how_to_extend(train, end, Path("a run")) == expected
