"""Restore the links `last` and `best` of a run that was copied without its links, or with folders in their place."""

from __future__ import annotations

import math
import os
import shlex
import shutil
from pathlib import Path

from regard.checkpoints.checkpoint import load_config, load_metrics, load_sizes, load_training_state
from regard.checkpoints.run_folder import WRITABLE, RunFolder
from regard.checkpoints.untrusted_files import SUMS
from regard.console import Say
from regard.errors import CheckpointError, raise_on_os_error
from regard.files import read_regular_file


def intact_checkpoints(run: RunFolder) -> list[Path]:
    """Return the checkpoints that training can resume from, newest first."""
    return [checkpoint for checkpoint in reversed(run.steps) if _is_intact(checkpoint)]


def restore_links(run: RunFolder, checkpoint: Path | None, say: Say) -> None:
    """Restore `last` and `best` from the checkpoints of a run. A broken `last` stays: `load_state` reports it.

    A folder in place of a link becomes a checkpoint of the run, or is deleted if it is a copy of one.

    The caller must hold the lock of the run.

    Args:
        run: The run.
        checkpoint: The checkpoint to resume from, which becomes the last one later; None for the last one.
        say: Prints a notice about each link that is restored.

    Raises:
        CheckpointError: A folder is neither a checkpoint nor a copy of one, or a link cannot be set.
    """
    for name in ("last", "best"):
        if is_folder(run.path / name):
            linked = _replace_folder(run, name)
            say(f"{run.path / name} was a folder: it is now a link to {linked.name}")
    lacks_last = checkpoint is None and run.last is None and not (run.path / "last").is_symlink()
    lacks_best = run.best is None
    intact = intact_checkpoints(run) if lacks_last or lacks_best else []
    if intact and lacks_last:
        run.set_last(intact[0])
        say(f"{run.path / 'last'} was missing: it is now a link to {intact[0].name}, the newest intact checkpoint")
    best = _best_of(intact) if lacks_best else None
    if best is not None:
        run.set_best(best)
        say(f"{run.path / 'best'} was missing: it is now a link to {best.name}, the best of the intact checkpoints")


def is_folder(path: Path) -> bool:
    """Return whether a path is a folder, and not a link to one."""
    return path.is_dir() and not path.is_symlink()


def _replace_folder(run: RunFolder, name: str) -> Path:
    """Replace a folder by a link to the checkpoint that it is, or is a copy of. Return the checkpoint."""
    folder = run.path / name
    try:
        checkpoint = run.checkpoint(load_sizes(folder)[0])
        is_copy = checkpoint.exists()
        is_valid = not is_copy or (_sums(folder) == _sums(checkpoint) and _is_intact(checkpoint))
    except (CheckpointError, OSError):
        is_valid = False
    if not is_valid:
        path = shlex.quote(str(folder))
        raise CheckpointError(
            f"`{name}` is a folder, and not a copy of an intact checkpoint of the run",
            where=folder,
            fix=f"move it out of the run (mv {path} ELSEWHERE), and resume again",
        )
    with raise_on_os_error(CheckpointError, f"the folder `{name}` cannot be replaced", where=folder, fix=WRITABLE):
        if not is_copy:
            run.checkpoints.mkdir(exist_ok=True)
            folder.rename(checkpoint)
        else:
            # Rename it first: if this process is killed, the next one that locks the run deletes what is left.
            folder = folder.rename(folder.with_name(f"{name}.tmp-{os.getpid()}-copy"))
    (run.set_last if name == "last" else run.set_best)(checkpoint)
    if is_copy:
        shutil.rmtree(folder, ignore_errors=True)
    return checkpoint


def _sums(checkpoint: Path) -> bytes:
    return read_regular_file(checkpoint / SUMS)


def _best_of(checkpoints: list[Path]) -> Path | None:
    """Return the checkpoint with the best score by its recipe's metric, the earliest of several; None if all are NaN.

    Args:
        checkpoints: The checkpoints, newest first.
    """
    scores = {checkpoint: _score(checkpoint) for checkpoint in reversed(checkpoints)}
    valid = {checkpoint: score for checkpoint, score in scores.items() if not math.isnan(score)}
    return max(valid, key=valid.__getitem__) if valid else None


def _score(checkpoint: Path) -> float:
    """Return the dev score of a checkpoint, higher is better; NaN if it has none."""
    metric = load_config(checkpoint, for_training=True).train.metric
    score = load_metrics(checkpoint).get(metric)
    if not isinstance(score, (int, float)):
        return math.nan
    return -score if metric == "loss" else score


def _is_intact(checkpoint: Path) -> bool:
    try:
        load_training_state(checkpoint)
    except CheckpointError:
        return False
    return True
