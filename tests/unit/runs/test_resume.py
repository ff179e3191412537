"""From which checkpoint a run is resumed, and which keys of its recipe may change."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tests.unit.checkpoints.test_killed_while_saving import checkpoint

from regard.checkpoints.checkpoint import save_checkpoint
from regard.checkpoints.run_folder import RunFolder
from regard.config.overrides import Override
from regard.config.recipe import read_config, to_toml
from regard.config.schema import CorpusConfig, DataConfig, TrainConfig
from regard.errors import CheckpointError, ConfigError
from regard.models import ARCHITECTURES
from regard.runs.resume import extend_command, find_run, load_recipe, load_state, restore_recipe
from regard.training.state import TrainingState


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    """Return a run with three checkpoints, of which the first is the best."""
    run = RunFolder.create(tmp_path.resolve() / "a run")
    run.begin(to_toml(checkpoint(1).config))
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
    contents = path.read_bytes()
    path.write_bytes(contents[:-1] + bytes([contents[-1] ^ 1]))


def test_a_run_is_found_by_its_folder_and_by_its_checkpoints(run: RunFolder) -> None:
    assert (find_run(run.path)[0].path, find_run(run.path)[1]) == (run.path, None)
    for path in (run.checkpoint(1), run.path / "best"):
        folder, checkpoint_path = find_run(path)
        assert (folder.path, checkpoint_path) == (run.path, run.checkpoint(1))
    with pytest.raises(CheckpointError, match="no run to resume"):
        find_run(run.path.parent)
    moved = run.path.parent / "elsewhere"
    shutil.copytree(run.checkpoint(1), moved)
    with pytest.raises(CheckpointError, match="no run to resume"):
        find_run(moved)


def test_a_run_resumes_from_the_last_checkpoint_or_from_the_given_one(run: RunFolder) -> None:
    assert step_of(load_state(run, None)) == 3
    assert step_of(load_state(run, run.checkpoint(2))) == 2
    assert run.last == run.checkpoint(2)
    assert run.steps == [run.checkpoint(number) for number in (1, 2, 3)]


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "training/state.safetensors"])
def test_a_damaged_checkpoint_is_named_with_the_commands_for_the_intact_ones(run: RunFolder, name: str) -> None:
    flip(run.checkpoint(3) / name)
    with pytest.raises(CheckpointError) as caught:
        load_state(run, None)
    assert caught.value.where == str(run.checkpoint(3) / name)
    commands = [f"`regard train --resume '{run.checkpoint(number)}'`" for number in (2, 1)]
    assert caught.value.fix == f"resume from an intact checkpoint: {' or '.join(commands)}"
    (run.checkpoint(2) / "training" / "state.json").unlink()
    with pytest.raises(CheckpointError) as caught:
        load_state(run, None)
    assert caught.value.fix is not None
    assert commands[1] in caught.value.fix
    assert commands[0] not in caught.value.fix
    with pytest.raises(CheckpointError, match=r"state\.json"):
        load_state(run, run.checkpoint(2))
    assert run.last == run.checkpoint(3)
    flip(run.checkpoint(1) / "metrics.json")
    with pytest.raises(CheckpointError, match="the folder is damaged"):
        load_state(run, None)


def test_a_broken_last_link_is_an_error(run: RunFolder) -> None:
    shutil.rmtree(run.checkpoint(3))
    with pytest.raises(CheckpointError, match=r"`last` links to \S*step-000003(.|\n)*step-000002"):
        load_state(run, None)
    (run.path / "last").unlink()
    with pytest.raises(CheckpointError, match=r"no link `last`(.|\n)*from an intact checkpoint"):
        load_state(run, None)


def test_a_run_that_has_lost_all_checkpoints_says_how_to_start_again(run: RunFolder) -> None:
    shutil.rmtree(run.checkpoints)
    with pytest.raises(CheckpointError, match="which does not exist") as caught:
        load_state(run, None)
    command = f"rm '{run.path / 'last'}'; regard train --resume '{run.path}'"
    assert caught.value.fix is not None and command in caught.value.fix


def test_a_run_whose_recipe_has_old_keys_resumes(run: RunFolder) -> None:
    config = load_recipe(run, [])
    old = run.recipe.read_text()
    for new_key, old_key in (("hidden_size", "d_model"), ("ffn_size", "ff"), ("num_heads", "heads")):
        assert f"\n{new_key} = " in old
        old = old.replace(f"\n{new_key} = ", f"\n{old_key} = ")
    run.recipe.write_text(old)
    restore_recipe(run, lambda _: None)
    assert load_recipe(run, []) == config
    assert load_recipe(run, ["train.max_steps=7"]).model == config.model


@pytest.mark.parametrize("damage", [None, b"", b"\0" * 512, b"\n"])
def test_a_missing_or_blank_recipe_is_restored_from_a_checkpoint(run: RunFolder, damage: bytes | None) -> None:
    if damage is None:
        run.recipe.unlink()
    else:
        run.recipe.write_bytes(damage)
    flip(run.checkpoint(3) / "config.json")
    messages: list[str] = []
    assert find_run(run.path)[0].path == run.path
    restore_recipe(run, messages.append)
    assert load_recipe(run, []) == checkpoint(2).config
    assert messages == [f"{run.recipe} was missing or empty: it is restored from step-000002"]
    restore_recipe(run, messages.append)
    assert len(messages) == 1


def test_a_recipe_that_no_checkpoint_has_is_an_error(run: RunFolder) -> None:
    run.recipe.write_bytes(b"")
    for step in run.steps:
        (step / "config.json").unlink()
    with pytest.raises(CheckpointError, match="missing or empty, and no checkpoint has it"):
        restore_recipe(run, lambda _: None)


def test_an_invalid_recipe_can_be_restored(run: RunFolder) -> None:
    run.recipe.write_text(run.recipe.read_text().replace("max_steps", "max_stepz"))
    restore_recipe(run, lambda _: None)
    with pytest.raises(ConfigError, match=r"max_stepz(.|\n)*or delete the file") as caught:
        load_recipe(run, [])
    assert caught.value.where == str(run.recipe)


def test_some_keys_may_change(run: RunFolder) -> None:
    config = load_recipe(run, ["train.max_steps=7", "train.learning_rate=0.5", "search.beam_size=2", "train.seed=1"])
    assert (config.train.max_steps, config.train.learning_rate, config.search.beam_size) == (7, 0.5, 2)
    assert load_recipe(run, []).train.max_steps == TrainConfig().max_steps  # nothing is written yet


@pytest.mark.parametrize(
    ("override", "reason"),
    [
        ("train.seed=2", "order of the batches"),
        ("train.tokens_per_batch=8", "position within the epoch"),
        ("train.optimizer=muon", "to that optimizer"),
        ("train.metric=loss", "of that metric"),
        ("train.average_checkpoints=3", "the saved average of the weights is of that kind"),
        ("data.max_length=9", "corpus was read"),
        ("tokenizer.kind=bpe", "split into tokens"),
        ("model.hidden_size=64", "weights belong to that model"),
        ("train.average_decay=0.5", "the saved average of the weights is of that kind"),
        ("augmentation.typos=0.5", "what the model has seen"),
        ("train.precision=bfloat16", "what has been trained so far depends on it"),
    ],
)
def test_other_keys_may_not_change(run: RunFolder, override: str, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason) as caught:
        load_recipe(run, [override])
    assert caught.value.where == "overrides"
    edit(run, override)
    with pytest.raises(ConfigError, match=reason) as caught:
        load_recipe(run, [])
    assert caught.value.where == str(run.recipe)
    assert caught.value.fix is not None and "again" in caught.value.fix
    for step in run.steps:
        shutil.rmtree(step)
    load_recipe(run, [])


def edit(run: RunFolder, *overrides: str) -> None:
    """Edit the recipe of a run, as with an editor."""
    run.recipe.write_text(to_toml(read_config(run.recipe, ARCHITECTURES, overrides)))


def test_some_keys_of_the_file_may_change(run: RunFolder) -> None:
    edit(run, "train.max_steps=7", "search.beam_size=2", "train.second_stage={after_steps=5, optimizer='sgd'}")
    config = load_recipe(run, [])
    assert (config.train.max_steps, config.search.beam_size) == (7, 2)
    assert config.train.second_stage is not None


def test_the_files_of_the_corpus_may_move(run: RunFolder, tmp_path: Path) -> None:
    old, new = (
        checkpoint(3).config.model_copy(
            update={
                "data": DataConfig(
                    corpora=(CorpusConfig(file=str(tmp_path / folder / "a.tsv")),),
                    dev_file=str(tmp_path / folder / "dev.tsv"),
                )
            }
        )
        for folder in ("old", "new")
    )
    state = TrainingState({"step": torch.tensor(3)}, {"step": 3})
    save_checkpoint(run.checkpoint(3), replace(checkpoint(3), config=old), state)
    run.write_recipe(to_toml(new))
    assert load_recipe(run, []) == new
    edit(run, "data.max_length=9")
    with pytest.raises(ConfigError, match=r"data\.max_length"):
        load_recipe(run, [])


def test_the_file_is_compared_with_the_checkpoint_that_training_resumes_from(run: RunFolder) -> None:
    edit(run, "train.seed=9")
    (run.checkpoint(3) / "config.json").write_text("{}")
    load_recipe(run, [])  # `load_state` reports the damage
    with pytest.raises(ConfigError, match="order of the batches"):
        load_recipe(run, [], run.checkpoint(2))


def test_checkpoints_and_recipes_without_new_keys_resume(run: RunFolder) -> None:
    path = run.checkpoint(3) / "config.json"
    header = json.loads(path.read_text())
    for key in ("momentum", "second_stage", "terms"):
        header["recipe"]["train"].pop(key, None)
    del header["recipe"]["augmentation"]
    path.write_text(json.dumps(header))
    config = load_recipe(run, ["train.max_steps=7"])
    assert config.train.max_steps == 7


TWO_STAGES = "train.second_stage={after_steps=2, optimizer='sgd', learning_rate=0.5}"


@pytest.fixture
def two_stages(run: RunFolder) -> RunFolder:
    """Return the run with a second stage, which the last of its checkpoints is in."""
    edit(run, TWO_STAGES)
    config = read_config(run.recipe, ARCHITECTURES)
    for step in (1, 2, 3):
        state = TrainingState({"step": torch.tensor(step)}, {"step": step})
        save_checkpoint(run.checkpoint(step), replace(checkpoint(step), config=config), state)
    return run


@pytest.mark.parametrize("key", ["learning_rate=0.25", "after_steps=1", "schedule=cosine", "weight_decay=0.1"])
def test_the_rate_of_a_second_stage_may_change(two_stages: RunFolder, key: str) -> None:
    config = load_recipe(two_stages, [f"train.second_stage.{key}"])
    assert config != load_recipe(two_stages, [])
    edit(two_stages, f"train.second_stage.{key}")
    assert load_recipe(two_stages, []) == config


@pytest.mark.parametrize("key", ["optimizer=adam", "momentum=0.5", "after_steps=3"])
def test_the_optimizer_of_a_second_stage_may_change_until_it_begins(two_stages: RunFolder, key: str) -> None:
    override = Override(f"train.second_stage.{key}", "--set")
    for number in (1, 2):
        load_recipe(two_stages, [override], two_stages.checkpoint(number))
    with pytest.raises(ConfigError, match="belongs to the stage that the checkpoint is in") as caught:
        load_recipe(two_stages, [override])
    assert caught.value.where == "--set"
    edit(two_stages, override)
    load_recipe(two_stages, [], two_stages.checkpoint(2))
    with pytest.raises(ConfigError, match="belongs to the stage"):
        load_recipe(two_stages, [])


def test_an_override_of_a_stage_that_has_ended_is_an_error(two_stages: RunFolder) -> None:
    load_recipe(two_stages, ["train.learning_rate=0.25"], two_stages.checkpoint(1))
    for number in (2, 3):
        with pytest.raises(ConfigError, match="which ended after step 2") as caught:
            load_recipe(two_stages, ["train.learning_rate=0.25"], two_stages.checkpoint(number))
        assert caught.value.fix == "set train.second_stage.learning_rate"
    load_recipe(two_stages, ["train.min_learning_rate=0.25"])


@pytest.mark.parametrize(
    ("end", "setting"),
    [("steps", "max_steps=14"), ("minutes", "max_minutes=5"), ("patience", "patience=6")],
)
def test_extend_command_raises_the_limit_that_ended_the_run(end: str, setting: str) -> None:
    train = TrainConfig(max_steps=7, max_minutes=2.5, patience=3)
    expected = f"regard train --resume 'a run' --set train.{setting}"
    assert extend_command(train, end, Path("a run")) == expected
