"""A run's folder: recipe, log, checkpoints, and which of them are the last and the best.

recipe.toml    log.jsonl    lock
finished.json  why and when training ended; not there while there is more to do
checkpoints/step-000500/ ...
last, best     symbolic links into checkpoints/
"""

from __future__ import annotations

import difflib
import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TextIO

from regard.errors import CheckpointError
from regard.files import is_in_place, read_regular_file, write_atomic
from regard.training.training_log import run_is_gone

PREPARED = "prepared.json"  # written last into data/: without it the corpus is prepared again
CHECKPOINTS_KEPT = 2  # checkpoints besides the best: the last, and one to go on from should the last be damaged


@dataclass(frozen=True)
class Finished:
    """Why training ended ("steps", "minutes" or "patience"), after how many steps and seconds of it."""

    end: str
    step: int
    seconds: float


class RunFolder:
    """The names in a run's folder, and the changes to it that have to be whole."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.checkpoints = path / "checkpoints"
        self.recipe = path / "recipe.toml"
        self.log = path / "log.jsonl"
        self.data = path / "data"
        self._finished = path / "finished.json"
        self._locked: TextIO | None = None

    @classmethod
    def create(cls, path: Path) -> RunFolder:
        """A folder for a new run, which must be missing or empty. Raises CheckpointError if it is neither."""
        run = cls(path)
        try:
            run._refuse_another()
            run.checkpoints.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise CheckpointError(
                f"a run cannot be put there: {error.strerror}", where=path, fix="choose another --out"
            ) from None
        return run

    def begin(self, recipe: str) -> None:
        """Write the recipe, which makes the folder a run; under the lock. Raises CheckpointError if it is one."""
        self._refuse_another()
        self.write_recipe(recipe)

    def write_recipe(self, recipe: str) -> None:
        """Write the recipe in the place of the one before; under the lock. Raises CheckpointError."""
        try:
            write_atomic(self.recipe, recipe)
        except OSError as error:
            raise CheckpointError(
                f"the recipe cannot be written: {error.strerror}", where=self.path, fix="make room on the disk"
            ) from None

    def abandon(self) -> None:
        """Make the folder one without a run again, where its corpus could not be prepared; under the lock."""
        self.recipe.unlink(missing_ok=True)
        shutil.rmtree(self.data, ignore_errors=True)

    def _refuse_another(self) -> None:
        there = {entry.name for entry in self.path.iterdir()} if self.path.exists() else set()
        if there & {"recipe.toml", "log.jsonl"}:
            raise CheckpointError(
                "a run is already there",
                where=self.path,
                fix=f"go on with it by `regard train --resume {self.path}`, or choose another --out",
            )
        others = {name for name in there - {"lock", "checkpoints"} if not name.startswith("recipe.toml.")}
        if others:
            raise CheckpointError("the folder is not empty", where=self.path, fix="choose another --out")

    def checkpoint(self, step: int) -> Path:
        """The folder of the checkpoint of a step."""
        return self.checkpoints / f"step-{step:06d}"

    @property
    def last(self) -> Path | None:
        """The checkpoint to go on from, if there is one."""
        return self._follow("last")

    @property
    def best(self) -> Path | None:
        """The checkpoint of the best score, if there is one."""
        return self._follow("best")

    def set_last(self, checkpoint: Path) -> None:
        """Let `last` lead to a checkpoint of this run."""
        self._point("last", checkpoint)

    def set_best(self, checkpoint: Path) -> None:
        """Let `best` lead to a checkpoint of this run."""
        self._point("best", checkpoint)

    @property
    def finished(self) -> Finished | None:
        """How training ended; None where it did not, or was stopped."""
        try:
            return Finished(**json.loads(read_regular_file(self._finished).decode()))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError, RecursionError) as error:
            raise CheckpointError(
                f"the file cannot be read: {error}", where=self._finished, fix="delete it, and resume the run"
            ) from None

    def mark_finished(self, finished: Finished | None) -> None:
        """Say that training has ended, or that it goes on; under the lock."""
        if finished is None:
            self._finished.unlink(missing_ok=True)
            return
        write_atomic(self._finished, json.dumps(asdict(finished)) + "\n")

    def _follow(self, name: str) -> Path | None:
        link = self.path / name
        return link.resolve() if link.is_dir() else None

    def _point(self, name: str, checkpoint: Path) -> None:
        temporary = self.path / f"{name}.tmp-{os.getpid()}"
        try:
            temporary.unlink(missing_ok=True)
            temporary.symlink_to(Path("checkpoints") / checkpoint.name, target_is_directory=True)
            temporary.replace(self.path / name)
        except OSError as error:
            raise CheckpointError(
                f"`{name}` cannot be set: {error.strerror}",
                where=self.path,
                fix="the checkpoints are whole: use a folder that can be written to, on a disk with symbolic links",
            ) from None

    @property
    def job(self) -> str:
        """What whoever locked it last called its job; empty where that is not known."""
        try:
            return (self.path / "lock").read_text(encoding="utf-8").partition("\n")[2].strip()
        except OSError:
            return ""

    @contextmanager
    def lock(self, job: str = "") -> Iterator[None]:
        """Keep every other process out of this run; the lock falls when this process ends, however it does.

        job: what other processes may know this one's work by. Raises CheckpointError if another one is at work.
        """
        path = self.path / "lock"
        try:
            file = path.open("a+", encoding="utf-8")
            _take(file, self.path, job)
            self._end_replacements()
            self._remove_leftovers()
        except OSError as error:
            raise CheckpointError(
                f"the run cannot be locked: {error.strerror}", where=path, fix="see that the folder can be written to"
            ) from None
        self._locked = file
        try:
            with file:
                yield
        finally:
            self._locked = None

    def require_in_place(self) -> None:
        """Raises CheckpointError where the folder that was locked is no longer at its path."""
        if self._locked is None or not is_in_place(self._locked, self.path / "lock"):
            raise run_is_gone(self.path)

    def _remove_leftovers(self) -> None:
        """Delete temporary files of processes that were killed: the lock says that none of them is at work."""
        for name in ("last", "best", "recipe.toml", "log.jsonl", "finished.json"):
            for left in (*self.path.glob(f"{name}.tmp*"), *self.path.glob(f"{name}.part*")):
                left.unlink()

    def _end_replacements(self) -> None:
        """Put back a checkpoint that was moved away for a new one which a kill kept from its place."""
        for old in self.checkpoints.glob("step-*.tmp-*-old"):
            place = old.with_name(old.name.partition(".")[0])
            if not place.exists():
                old.rename(place)

    @property
    def steps(self) -> list[Path]:
        """The checkpoints that there are, earliest first."""
        found = [entry for entry in self.checkpoints.glob("step-*") if re.fullmatch(r"step-\d+", entry.name)]
        return sorted(found, key=_step_of)

    def prune(self) -> None:
        """Delete half-written checkpoints and all whole ones up to the last, but KEPT of them and the best.

        Those after the last are of before the run was taken up from an earlier one; they stay until they
        are reached again. Raises CheckpointError if the folder does not allow it.
        """
        last = -1 if self.last is None else _step_of(self.last)
        upto = [checkpoint for checkpoint in self.steps if _step_of(checkpoint) <= last]
        best = "" if self.best is None else self.best.name
        given_up = {checkpoint.name for checkpoint in upto[:-CHECKPOINTS_KEPT]} - {best}
        try:
            for entry in list(self.checkpoints.iterdir()):
                if entry.name in given_up:
                    # renamed first, so that what is half deleted is not taken for a checkpoint
                    shutil.rmtree(entry.rename(entry.with_name(f"{entry.name}.tmp-{os.getpid()}-pruned")))
                elif re.fullmatch(r"step-\d+\.tmp-.*", entry.name):
                    shutil.rmtree(entry)
        except OSError as error:
            raise CheckpointError(
                f"old checkpoints cannot be deleted: {error.strerror}",
                where=self.checkpoints,
                fix="see that the folder can be written to",
            ) from None


def _step_of(checkpoint: Path) -> int:
    return int(checkpoint.name.removeprefix("step-"))


def _take(file: TextIO, run: Path, job: str) -> None:
    import fcntl  # not on Windows, where the rest of this module is still of use

    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.seek(0)
        holder = file.readline().strip() or "unknown"
        file.close()
        raise CheckpointError(
            f"another process is at work in this run (process {holder})",
            where=run,
            fix="wait for it or stop it, or choose another --out",
        ) from None
    file.truncate(0)
    file.write(f"{os.getpid()}\n{job}\n" if job else f"{os.getpid()}\n")
    file.flush()


def resolve_checkpoint(path: Path) -> Path:
    """The checkpoint that a path means: a checkpoint itself, or a run's best one, else its last.

    Raises CheckpointError if it means none.
    """
    if (path / "config.json").is_file():
        return path
    run = RunFolder(path)
    chosen = run.best or run.last
    if chosen is not None:
        return chosen
    if not path.exists():
        near = difflib.get_close_matches(path.name, _names(path.parent), n=3, cutoff=0.5)
        fix = f"did you mean {' or '.join(near)}?" if near else "give a run's folder or a checkpoint's"
        raise CheckpointError("there is no such folder", where=path, fix=fix)
    if run.recipe.is_file() or run.checkpoints.is_dir():
        raise CheckpointError("the run has no checkpoint yet", where=path, fix="train it until it has one")
    inside = [name for name in _names(path) if (path / name / "config.json").is_file()]
    raise CheckpointError(
        "this is neither a run (no best, no last) nor a checkpoint (no config.json)",
        where=path,
        fix=f"give one of the checkpoints in it: {', '.join(inside[:5])}" if inside else "give a run or a checkpoint",
    )


def _names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir()) if folder.is_dir() else []
