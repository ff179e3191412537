"""Make an improved checkpoint the best one of the old run, which a running server then loads; and the way back."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from regard.checkpoints.added_files import add_json, read_json
from regard.checkpoints.checkpoint import load_checkpoint, save_checkpoint
from regard.checkpoints.run_folder import BEFORE, RunFolder
from regard.errors import CheckpointError, raise_on_os_error
from regard.files import replace_symlink
from regard.inference.confidence import FILE
from regard.runs.improvement.record import IMPROVEMENTS, Record, RecordFolder

NAME = "improved-"


def check_best(run: RunFolder, checkpoint: Path) -> Path:
    """Return the best checkpoint of a run. Raise CheckpointError if it is not the one that is improved."""
    if run.best != checkpoint:
        raise CheckpointError(
            f"its best checkpoint is not {checkpoint.name}, the one that is improved",
            where=run.path,
            fix="improve the run's best checkpoint, or leave out --replace",
        )
    return checkpoint


def install(run: RunFolder, checkpoint: Path, folder: RecordFolder, record: Record) -> str:
    """Copy an improved checkpoint into the old run and make it the best one, in one atomic step.

    The former best checkpoint stays, and a link in the run names it.

    Args:
        run: The old run.
        checkpoint: The improved checkpoint.
        folder: The record folder of the improvement.
        record: The record.

    Returns:
        The name of the checkpoint in the old run.

    Raises:
        CheckpointError: The run is being trained, its best checkpoint has changed since, or writing fails.
    """
    with run.lock():
        name = _name(run, record)
        if run.best == run.checkpoints.resolve() / name:
            return name  # it was interrupted after the last step
        best = check_best(run, Path(record.checkpoint))
        folder.copy_corrections(RecordFolder(run.path / IMPROVEMENTS / name), replace(record, installed=name))
        old, new = load_checkpoint(best), load_checkpoint(checkpoint)
        # What the run has learned from its own training data, such as a shortlist, still belongs to the checkpoint.
        improved = replace(old, model=new.model, step=old.step + new.step, metrics=new.metrics)
        save_checkpoint(run.checkpoints / name, improved)
        if (confidence := read_json(checkpoint, FILE)) is not None:
            add_json(run.checkpoints / name, FILE, confidence)
        with raise_on_os_error(CheckpointError, "a link cannot be set", where=run.path, fix="free some disk space"):
            replace_symlink(run.path / f"{BEFORE}{name}", Path("checkpoints") / best.name)
        run.set_best(run.checkpoints / name)
    return name


def _name(run: RunFolder, record: Record) -> str:
    """Return the name of the new checkpoint: that of an attempt that was interrupted, or the next one."""
    numbers = [0]
    for path in (*run.checkpoints.glob(f"{NAME}*[0-9]"), *(run.path / IMPROVEMENTS).glob(f"{NAME}*[0-9]")):
        copied = RecordFolder(run.path / IMPROVEMENTS / path.name)
        if copied.exists and copied.read() == replace(record, installed=path.name):
            return path.name
        numbers.append(int(path.name.removeprefix(NAME)))
    return f"{NAME}{max(numbers) + 1:03d}"


def undo(run: RunFolder) -> tuple[str, str]:
    """Make the checkpoint the best again that was the best before the last replacement.

    Returns:
        The names of the checkpoint that was the best, and of the one that is the best now.

    Raises:
        CheckpointError: The best checkpoint of the run is not an improved one.
    """
    with run.lock():
        best = run.best
        link = None if best is None else run.path / f"{BEFORE}{best.name}"
        if best is None or link is None or not link.is_symlink():
            raise CheckpointError(
                "its best checkpoint has not replaced another one", where=run.path, fix="there is nothing to undo"
            )
        former = link.resolve()
        if not (former / "config.json").is_file():
            raise CheckpointError(f"the former checkpoint {former.name} is missing", where=link, fix="restore it")
        run.set_best(former)
        link.unlink()
    return best.name, former.name
