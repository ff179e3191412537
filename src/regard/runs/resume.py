"""Resume a run: find its checkpoint, check its data, and check which keys of its recipe may change."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from regard.checkpoints.checkpoint import load_config, load_fingerprint, load_sizes, load_training_state
from regard.checkpoints.run_folder import PREPARED, RunFolder
from regard.checkpoints.untrusted_files import TRAINING
from regard.config.optimization import OptimizationConfig
from regard.config.overrides import OVERRIDES, PATHS, override_origins
from regard.config.recipe import read_config, to_table, to_toml
from regard.config.schema import RunConfig, TrainConfig
from regard.console import Say
from regard.data.loader import Position
from regard.data.store import PairStore, verify_store
from regard.data.streaming import Stream
from regard.errors import CheckpointError, ConfigError, DataError, PluginError
from regard.models import ARCHITECTURES
from regard.runs.run_links import intact_checkpoints, is_folder
from regard.tokenizers.base import Tokenizers
from regard.training.state import TrainingState

CHANGEABLE_TRAIN_KEYS = (  # of [train]; all of [search] may change too, because training does not depend on it
    *("max_steps", "max_epochs", "max_minutes", "patience", "checkpoint_every", "checkpoint_each_epoch", "device"),
    *("learning_rate", "schedule", "warmup_steps", "halving_start", "halving_interval", "halving_unit"),
    *("plateau_factor", "plateau_patience", "plateau_every_checkpoint", "min_learning_rate"),
    *("clip_norm", "loss_per", "weight_decay", "label_smoothing", "accumulate"),
    "parallel",
)
SECOND_STAGE = "train.second_stage"  # any key may change before it begins; then `after_steps` and those of [train]
NEW_RUN = "start a new run with it"
LARGE_DATA = 1 << 30  # bytes; verifying this much takes some seconds
WHY_FIXED = {
    "data": "the corpus was read when the run started, and is stored in its folder",
    "tokenizer": "the corpus was split into tokens when the run started",
    "model": "the saved weights belong to that model",
    "train.seed": "the order of the batches depends on it",
    "train.tokens_per_batch": "the position within the epoch depends on it",
    "train.pairs_per_batch": "the position within the epoch depends on it",
    "train.subword_sampling": "what the model has seen depends on it",
    "train.terms": "what the model has seen depends on it",
    "train.optimizer": "the saved optimizer state belongs to that optimizer",
    "train.freeze": "the saved optimizer state belongs to the parameters that were trained",
    "train.average_decay": "the saved average of the weights is of that kind",
    "train.average_checkpoints": "the saved average of the weights is of that kind",
    "augmentation": "what the model has seen depends on it",
    "start": "the initial weights have been trained since",
    "train.metric": "the best score so far is of that metric",
}


def find_run(path: Path) -> tuple[RunFolder, Path | None]:
    """Return the run that a path means; if the path is a checkpoint of a run, also the checkpoint.

    Raises:
        CheckpointError: The path is neither a run nor a checkpoint of one.
    """
    resolved = Path(os.path.realpath(path))
    has_config = (path / "config.json").is_file()
    is_checkpoint = has_config and resolved.parent.name == "checkpoints"
    if has_config and path.name in ("last", "best") and is_folder(path) and RunFolder(path.parent).recipe.is_file():
        run = RunFolder(path.parent)  # a copy that followed links; `restore_links` makes the folder a link
        return run, run.checkpoint(load_sizes(path)[0])
    if has_config and not is_checkpoint:
        raise CheckpointError(
            "no run to resume: this is a checkpoint without its run",
            where=path,
            fix=f"train a new run from it: regard train --from {shlex.quote(str(path))} --source FILE --target FILE",
        )
    run = RunFolder(resolved.parent.parent if is_checkpoint else path)
    if not run.recipe.is_file() and not run.steps:
        raise CheckpointError("no run to resume: recipe.toml is missing", where=path, fix="give the folder of a run")
    return run, resolved if is_checkpoint else None


def restore_recipe(run: RunFolder, say: Say) -> None:
    """Restore a missing or blank recipe, as after a power failure, from the newest readable checkpoint.

    The caller must hold the lock of the run. Raise CheckpointError if no checkpoint can be read.
    """
    with suppress(OSError):
        if run.recipe.read_bytes().strip(b"\0 \r\n\t"):
            return
    for checkpoint in reversed(run.steps):
        with suppress(CheckpointError):
            run.write_recipe(to_toml(load_config(checkpoint, for_training=True)))
            say(f"{run.recipe} was missing or empty: it is restored from {checkpoint.name}")
            return
    raise CheckpointError(
        "the run's recipe is missing or empty, and no checkpoint has it",
        where=run.recipe,
        fix="restore the file from a backup, or delete the folder and train from scratch",
    )


def verify_data(run: RunFolder, say: Say) -> None:
    """Compare the stored training pairs of a run with their checksums. Raise DataError or CheckpointError."""
    if not (run.data / PREPARED).is_file() or not (run.data / "train.json").is_file():
        return  # a streamed corpus, or not prepared yet
    size = sum(file.stat().st_size for file in run.data.glob("train.*.npy"))
    if size > LARGE_DATA:
        say(f"verifying {size / 1e9:.1f} GB of training data")
    tokenizers = Tokenizers.load(run.data)
    try:
        verify_store(run.data, "train", (tokenizers.source.size, tokenizers.target.size))
    except DataError as error:
        commands = f"rm {shlex.quote(str(run.data / PREPARED))}; regard train --resume {shlex.quote(str(run.path))}"
        raise DataError(error.message, where=error.where, fix=f"prepare the corpus again: {commands}") from None


def check_same_data(run: RunFolder, train: PairStore | Stream) -> None:
    """Raise DataError if the run's last checkpoint was trained on other pairs, because the corpus has changed."""
    if run.last is not None and isinstance(train, PairStore) and load_fingerprint(run.last) != train.fingerprint:
        raise DataError(
            "the training data differs from what the run's last checkpoint was trained on: the corpus has changed",
            where=run.data,
            fix="restore the corpus and prepare it again, or start a new run from this one with [start]",
        )


def load_state(run: RunFolder, checkpoint: Path | None) -> TrainingState | None:
    """Load the training state to continue from; None if the run has no checkpoint yet.

    The caller must hold the lock of the run, and have restored its links.

    Args:
        run: The run.
        checkpoint: The checkpoint to continue from, which becomes the last one; by default the last one.

    Raises:
        CheckpointError: The checkpoint is damaged; the error lists those that are not.
    """
    link = run.path / "last"
    path = checkpoint or run.last
    try:
        if path is None:
            if link.is_symlink():
                raise CheckpointError(
                    f"`last` links to {link.readlink()}, which does not exist",
                    where=run.path,
                    fix="restore the checkpoint from a backup; or train the run from its beginning: "
                    f"rm {shlex.quote(str(link))}; regard train --resume {shlex.quote(str(run.path))}",
                )
            if run.steps:
                raise CheckpointError(
                    "the run has no link `last`",
                    where=run.path,
                    fix="no checkpoint is intact: restore one from a backup; or train the run from its beginning: "
                    f"rm -r {shlex.quote(str(run.checkpoints))}; regard train --resume {shlex.quote(str(run.path))}",
                )
            return None
        state = load_training_state(path)
    except CheckpointError as error:
        intact = intact_checkpoints(run)
        if not intact:
            raise
        commands = [f"`regard train --resume {shlex.quote(str(step))}`" for step in intact]
        raise CheckpointError(
            error.message, where=error.where, fix=f"resume from an intact checkpoint: {' or '.join(commands)}"
        ) from None
    if checkpoint is not None:
        run.set_last(checkpoint)
    return state


def position_of(state: TrainingState) -> Position:
    """Return the position of the next batch. States written before there were pools have none."""
    return Position(state.values["epoch"], state.values["batch"], state.values.get("pool", 0))


def load_recipe(run: RunFolder, overrides: Sequence[str], checkpoint: Path | None = None) -> RunConfig:
    """Return a run's recipe with overrides.

    Args:
        run: The run.
        overrides: `section.key=value`.
        checkpoint: The checkpoint to resume from; by default the last one. Its recipe is what has been trained so far.

    Raises:
        ConfigError: The recipe or an override is not valid, or changes a key that may not change.
    """
    try:
        written = read_config(run.recipe, ARCHITECTURES)
    except PluginError:
        raise
    except ConfigError as error:
        advice = "; or delete the file: `regard train --resume` restores it from the last checkpoint"
        raise ConfigError(error.message, where=error.where, fix=f"{error.fix}{advice if run.steps else ''}") from None
    config = read_config(run.recipe, ARCHITECTURES, overrides)
    step, trained = _load_trained(checkpoint or run.last)
    if trained is not None:
        _check_edits(trained, written, step, str(run.recipe))
    origins = override_origins(overrides, config.model.architecture)
    for name, _ in _changes(to_table(written), to_table(config)):
        where = origins.get(name) or origins.get(".".join(name.split(".")[:2]), OVERRIDES)
        _check_changeable(name, (written.train, config.train), step, where, NEW_RUN)
        _check_has_effect(name, config.train, step, where)
    return config


def _load_trained(checkpoint: Path | None) -> tuple[int, RunConfig | None]:
    """Return the steps and the recipe of a checkpoint; 0 and None if it is missing, damaged, or not of this run."""
    if checkpoint is not None and (checkpoint / TRAINING).is_dir():
        with suppress(CheckpointError):  # `load_state` reports it
            return load_sizes(checkpoint)[0], load_config(checkpoint, for_training=True)
    return 0, None


def _check_edits(trained: RunConfig, written: RunConfig, step: int, where: str) -> None:
    """Raise ConfigError if a key of the recipe's file has changed since a checkpoint, and may not."""
    for name, value in _changes(_without_paths(to_table(trained)), _without_paths(to_table(written))):
        old = "leave it out" if value is None else f"set it to {json.dumps(value, ensure_ascii=False)}"
        _check_changeable(name, (trained.train, written.train), step, where, f"{old} again, or {NEW_RUN}")


def _without_paths(table: dict[str, Any]) -> dict[str, Any]:
    """Return the table of a recipe without its paths: files may move, and `check_same_data` compares their pairs."""
    sections = dict(table)
    for name, keys in PATHS.items():
        if name in sections:
            sections[name] = {key: value for key, value in sections[name].items() if key not in keys}
    if corpora := sections["data"].get("corpora"):
        keys = PATHS["data"]
        parts = [{key: value for key, value in corpus.items() if key not in keys} for corpus in corpora]
        sections["data"]["corpora"] = parts
    return sections


def _changes(old: Mapping[str, Any], new: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the dotted name and the old value of each key that differs, None if there was none."""
    for key in sorted({*old, *new}):
        before, after = old.get(key), new.get(key)
        if isinstance(before or after, Mapping) and isinstance(after or before, Mapping):
            yield from _changes(before or {}, after or {}, f"{prefix}{key}.")
        elif before != after:
            yield f"{prefix}{key}", before


def _check_changeable(name: str, trains: tuple[TrainConfig, TrainConfig], step: int, where: str, fix: str) -> None:
    """Raise ConfigError if a key may not change.

    Args:
        name: The dotted name of the key.
        trains: [train] before and after the change.
        step: The steps that have been trained.
        where: Where the change is made.
        fix: What to do instead.
    """
    section, _, key = name.partition(".")
    if section == "search" or (section == "train" and key in CHANGEABLE_TRAIN_KEYS):
        return
    reason = WHY_FIXED.get(name) or WHY_FIXED.get(section) or "what has been trained so far depends on it"
    if name.startswith(f"{SECOND_STAGE}."):
        are_in_second = {_is_in_second_stage(train, step) for train in trains}
        key = name.removeprefix(f"{SECOND_STAGE}.")
        if are_in_second == {False} or (are_in_second == {True} and key in (*CHANGEABLE_TRAIN_KEYS, "after_steps")):
            return
        reason = f"after {step:,} steps, the saved optimizer state belongs to the stage that the checkpoint is in"
    raise ConfigError(
        f"`{name}` cannot change after a run has started: {reason}",
        where=where,
        fix=f"{fix}; only search.* and train.{', '.join(CHANGEABLE_TRAIN_KEYS)} can change",
    )


def _check_has_effect(name: str, train: TrainConfig, step: int, where: str) -> None:
    """Raise ConfigError if a key is of the first stage, and the second has started."""
    section, _, key = name.partition(".")
    end = train.stage_start(step + 1)
    if section == "train" and key in OptimizationConfig.model_fields and end > 0:
        raise ConfigError(
            f"`{name}` is of the first stage of training, which ended after step {end:,}",
            where=where,
            fix=f"set {SECOND_STAGE}.{key}",
        )


def _is_in_second_stage(train: TrainConfig, step: int) -> bool:
    """Return whether the optimizer that has taken a step is that of the second stage."""
    return train.second_stage is not None and step > train.second_stage.after_steps


def extend_command(train: TrainConfig, end: str, folder: Path) -> str:
    """Return the command that continues a run beyond the limit that has ended it."""
    setting = {
        "steps": f"train.max_steps={2 * train.max_steps}",
        "epochs": f"train.max_epochs={2 * (train.max_epochs or 0):g}",
        "rate": f"train.min_learning_rate={train.min_learning_rate / 10:g}",
        "minutes": f"train.max_minutes={2 * (train.max_minutes or 0):g}",
        "patience": f"train.patience={2 * train.patience}",
    }[end]
    return f"regard train --resume {shlex.quote(str(folder))} --set {setting}"
