"""Going on with a run: from which of its checkpoints, and what of its recipe may be other than before."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from regard.checkpoints.checkpoint import load_config, load_fingerprint, load_training_state
from regard.checkpoints.run_folder import PREPARED, RunFolder
from regard.config.recipe import read_config, to_table, to_toml
from regard.config.schema import RunConfig, TrainConfig
from regard.data.store import PairStore, verify_store
from regard.data.streaming import Stream
from regard.errors import CheckpointError, ConfigError, DataError
from regard.models import ARCHITECTURES
from regard.tokenizers.base import Tokenizers
from regard.training.state import TrainingState

MAY_CHANGE = (  # of [train]; and [search], which training does not hang on
    *("max_steps", "max_minutes", "patience", "checkpoint_every", "device"),
    *("learning_rate", "schedule", "warmup_steps", "clip_norm", "weight_decay", "label_smoothing", "accumulate"),
    "parallel",
)
MUCH_DATA = 1 << 30  # bytes; comparing them with their digests takes some seconds
WHY_NOT = {
    "data": "the corpus was read when the run began, and lies in its folder",
    "tokenizer": "the corpus was divided into tokens when the run began",
    "model": "the weights are of that model",
    "train.seed": "the order of the batches hangs on it",
    "train.tokens_per_batch": "the place inside the epoch hangs on it",
    "train.subword_sampling": "what the model has seen hangs on it",
    "train.optimizer": "the state that was saved is of that optimizer",
    "train.freeze": "the state that was saved is of what was trained",
    "train.average_decay": "the mean that was saved is of that kind",
    "train.average_checkpoints": "the mean that was saved is of that kind",
    "start": "the weights that it began from have been trained since",
    "train.metric": "the best score so far is of that metric",
}


def find(path: Path) -> tuple[RunFolder, Path | None]:
    """The run that a path means, and the checkpoint if it means one of a run's. Raises CheckpointError."""
    inside = Path(os.path.realpath(path))
    chosen = inside if (path / "config.json").is_file() and inside.parent.name == "checkpoints" else None
    run = RunFolder(path if chosen is None else inside.parent.parent)
    if not run.recipe.is_file() and not run.steps:
        raise CheckpointError("there is no run to resume: no recipe.toml", where=path, fix="give a run's folder")
    return run, chosen


def restore_recipe(run: RunFolder, say: Callable[[str], None]) -> None:
    """Write a recipe that is missing or blank, as after a power cut, again from the run's newest checkpoint.

    Under the lock. Raises CheckpointError where no checkpoint can be read.
    """
    with suppress(OSError):
        if run.recipe.read_bytes().strip(b"\0 \r\n\t"):
            return
    for checkpoint in reversed(run.steps):
        with suppress(CheckpointError):
            run.write_recipe(to_toml(load_config(checkpoint)))
            say(f"{run.recipe} was missing or empty: it is restored from {checkpoint.name}")
            return
    raise CheckpointError(
        "the run's recipe is missing or empty, and no checkpoint has it",
        where=run.recipe,
        fix="restore the file from a backup, or delete the folder and train from the beginning",
    )


def verify_data(run: RunFolder, say: Callable[[str], None]) -> None:
    """Compare the run's prepared pairs, if it has some, with their digests. Raises DataError, CheckpointError."""
    if not (run.data / PREPARED).is_file() or not (run.data / "train.json").is_file():
        return  # streamed, or not prepared yet
    size = sum(file.stat().st_size for file in run.data.glob("train.*.npy"))
    if size > MUCH_DATA:
        say(f"checking {size / 1e9:.1f} GB of training data")
    tokenizers = Tokenizers.load(run.data)
    try:
        verify_store(run.data, "train", (tokenizers.source.size, tokenizers.target.size))
    except DataError as error:
        commands = f"rm {shlex.quote(str(run.data / PREPARED))}; regard train --resume {shlex.quote(str(run.path))}"
        raise DataError(error.what, where=error.where, fix=f"prepare the corpus again: {commands}") from None


def refuse_other_data(run: RunFolder, train: PairStore | Stream) -> None:
    """Raises DataError where the run's last checkpoint was trained on other pairs: the corpus was prepared again."""
    if run.last is not None and isinstance(train, PairStore) and load_fingerprint(run.last) != train.fingerprint:
        raise DataError(
            "the training data is not what the run's last checkpoint was trained on: the corpus has changed since",
            where=run.data,
            fix="put the corpus back as it was when the run began and prepare it again, "
            "or begin a new run with `--from` and this one",
        )


def read_state(run: RunFolder, chosen: Path | None) -> TrainingState | None:
    """What to go on from: the chosen checkpoint, which then is the last one, or the last; None where there is none.

    Under the lock. Raises CheckpointError, which tells of the whole ones where that one is damaged.
    """
    link = run.path / "last"
    place = chosen or run.last
    try:
        if place is None:
            if link.is_symlink():
                raise CheckpointError(
                    f"there is no {link.readlink()}, where `last` leads to",
                    where=run.path,
                    fix="restore the checkpoint from a backup; or train the run from its beginning: "
                    f"rm {shlex.quote(str(link))}; regard train --resume {shlex.quote(str(run.path))}",
                )
            return None
        state = load_training_state(place)
    except CheckpointError as error:
        others = [step for step in reversed(run.steps) if _whole(step)]
        if not others:
            raise
        commands = [f"`regard train --resume {shlex.quote(str(step))}`" for step in others]
        raise CheckpointError(
            error.what, where=error.where, fix=f"go on from another checkpoint, which is whole: {' or '.join(commands)}"
        ) from None
    if chosen is not None:
        run.set_last(chosen)
    return state


def _whole(checkpoint: Path) -> bool:
    try:
        load_training_state(checkpoint)
    except CheckpointError:
        return False
    return True


def recipe_of(run: RunFolder, overrides: Sequence[str]) -> RunConfig:
    """The run's recipe with overrides. Raises ConfigError for one that may not change any more."""
    try:
        written = read_config(run.recipe, ARCHITECTURES)
    except ConfigError as error:
        restored = "; or delete the file: `regard train --resume` restores it from the last checkpoint"
        raise ConfigError(error.what, where=error.where, fix=f"{error.fix}{restored if run.steps else ''}") from None
    config = read_config(run.recipe, ARCHITECTURES, overrides)
    old, new = to_table(written), to_table(config)
    for section in sorted({*old, *new}):
        before, after = old.get(section, {}), new.get(section, {})
        for key in sorted({*before, *after}):
            if before.get(key) != after.get(key):
                _refuse_fixed(section, key)
    return config


def _refuse_fixed(section: str, key: str) -> None:
    if section == "search" or (section == "train" and key in MAY_CHANGE):
        return
    name = f"{section}.{key}"
    why = WHY_NOT.get(name) or WHY_NOT.get(section) or "what was trained so far hangs on it"
    raise ConfigError(
        f"`{name}` cannot change in a run that has begun: {why}",
        where="--set",
        fix=f"begin a new run with it; here may change search.* and train.{', '.join(MAY_CHANGE)}",
    )


def how_to_extend(train: TrainConfig, end: str, folder: Path) -> str:
    """The command that goes on with a run that has come to its end."""
    setting = {
        "steps": f"train.max_steps={2 * train.max_steps}",
        "minutes": f"train.max_minutes={2 * (train.max_minutes or 0):g}",
        "patience": f"train.patience={2 * train.patience}",
    }[end]
    return f"regard train --resume {shlex.quote(str(folder))} --set {setting}"
