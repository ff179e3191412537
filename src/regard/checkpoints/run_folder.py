"""The folder of a run: recipe, log, checkpoints, and links to the last and the best checkpoint.

recipe.toml    log.jsonl    lock
finished.json  why and when training ended; missing while there is more to do
checkpoints/step-000500/ ...
last, best     symbolic links into checkpoints/
before-NAME    what `best` was before `regard improve` made NAME the best
"""

from __future__ import annotations

import difflib
import json
import os
import re
import shlex
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TextIO

from regard.checkpoints.hub import download, is_hub_name
from regard.errors import CheckpointError, raise_on_os_error
from regard.files import is_in_place, read_regular_file, remove_leftovers, replace_symlink, write_atomic
from regard.training.training_log import run_is_gone

PREPARED = "prepared.json"  # written last into data/: without it, the corpus is prepared again
IMPROVE = "improve"  # folder of what `regard improve` knows of a run that it makes
BEFORE = "before-"  # prefix of links to checkpoints that were the best before they were replaced
CHECKPOINTS_KEPT = 2  # in addition to the best: the last, and one to fall back to if the last is damaged
WRITABLE = "make sure that the folder is writable"


@dataclass(frozen=True)
class Finished:
    """Why training ended ("steps", "minutes" or "patience"), and after how many steps and seconds."""

    end: str
    step: int
    seconds: float


class RunFolder:
    """The paths in the folder of a run, and the changes to it that must be atomic."""

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
        """Create the folder of a new run. Raises CheckpointError if it exists and is not empty."""
        run = cls(path)
        problem, fix = "the folder cannot be created", "choose another folder"
        with raise_on_os_error(CheckpointError, problem, where=path, fix=fix):
            run._check_unused()
            run.checkpoints.mkdir(parents=True, exist_ok=True)
        return run

    def begin(self, recipe: str) -> None:
        """Write the recipe, which makes the folder a run; requires the lock. Raises CheckpointError if it is one."""
        self._check_unused()
        self.write_recipe(recipe)

    def write_recipe(self, recipe: str) -> None:
        """Replace the recipe; requires the lock. Raises CheckpointError."""
        problem, fix = "the recipe cannot be written", "free some disk space"
        with raise_on_os_error(CheckpointError, problem, where=self.path, fix=fix):
            write_atomic(self.recipe, recipe)

    def abandon(self) -> None:
        """Delete the recipe and the data of a run that could not be prepared; requires the lock."""
        self.recipe.unlink(missing_ok=True)
        shutil.rmtree(self.data, ignore_errors=True)

    def _check_unused(self) -> None:
        names = {entry.name for entry in self.path.iterdir()} if self.path.exists() else set()
        if names & {"recipe.toml", "log.jsonl"}:
            raise CheckpointError(
                "the folder already contains a run",
                where=self.path,
                fix=f"resume it with `regard train --resume {shlex.quote(str(self.path))}`, or choose another folder",
            )
        if any(name not in ("lock", "checkpoints", IMPROVE) and not name.startswith("recipe.toml.") for name in names):
            raise CheckpointError("the folder is not empty", where=self.path, fix="choose another folder")

    def checkpoint(self, step: int) -> Path:
        """Return the folder of the checkpoint of a step."""
        return self.checkpoints / f"step-{step:06d}"

    @property
    def last(self) -> Path | None:
        """The checkpoint to resume from, if there is one."""
        return self._follow("last")

    @property
    def best(self) -> Path | None:
        """The checkpoint with the best score, if there is one."""
        return self._follow("best")

    def set_last(self, checkpoint: Path) -> None:
        """Make `last` a link to a checkpoint of this run. Raises CheckpointError."""
        self._set_link("last", checkpoint)

    def set_best(self, checkpoint: Path) -> None:
        """Make `best` a link to a checkpoint of this run. Raises CheckpointError."""
        self._set_link("best", checkpoint)

    @property
    def finished(self) -> Finished | None:
        """How training ended; None if it has not ended or was interrupted. Raises CheckpointError."""
        try:
            return Finished(**json.loads(read_regular_file(self._finished).decode()))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError, RecursionError) as error:
            raise CheckpointError(
                f"the file cannot be read: {error}", where=self._finished, fix="delete it, and resume the run"
            ) from None

    def mark_finished(self, finished: Finished | None) -> None:
        """Record how training has ended, or None when it starts or resumes; requires the lock."""
        if finished is None:
            self._finished.unlink(missing_ok=True)
            return
        write_atomic(self._finished, json.dumps(asdict(finished)) + "\n")

    def _follow(self, name: str) -> Path | None:
        link = self.path / name
        return link.resolve() if link.is_dir() else None

    def _set_link(self, name: str, checkpoint: Path) -> None:
        problem = f"the link `{name}` cannot be set"
        fix = "the checkpoints are complete: use a writable folder on a disk that supports symbolic links"
        with raise_on_os_error(CheckpointError, problem, where=self.path, fix=fix):
            replace_symlink(self.path / name, Path("checkpoints") / checkpoint.name)

    @property
    def job(self) -> str:
        """The job that last locked the run; empty if it is not known."""
        try:
            return (self.path / "lock").read_text(encoding="utf-8").partition("\n")[2].strip()
        except OSError:
            return ""

    @contextmanager
    def lock(self, job: str = "") -> Iterator[None]:
        """Lock the run against other processes, and clean up after processes that were killed.

        The lock is released when this process ends, even if it is killed.

        Args:
            job: Identifies this process to other processes; see `job`.

        Raises:
            CheckpointError: If another process has locked the run.
        """
        path = self.path / "lock"
        with raise_on_os_error(CheckpointError, "the run cannot be locked", where=path, fix=WRITABLE):
            file = path.open("a+", encoding="utf-8")
            _acquire(file, self.path, job)
            self._finish_replacements()
            self._remove_leftovers()
        self._locked = file
        try:
            with file:
                yield
        finally:
            self._locked = None

    def require_in_place(self) -> None:
        """Raise CheckpointError if the locked folder is no longer at its path."""
        if self._locked is None or not is_in_place(self._locked, self.path / "lock"):
            raise run_is_gone(self.path)

    def _remove_leftovers(self) -> None:
        """Delete temporary files of processes that were killed; the lock guarantees that none is running."""
        for name in ("last", "best", "recipe.toml", "log.jsonl", "finished.json"):
            remove_leftovers(self.path / name, is_locked=True)

    def _finish_replacements(self) -> None:
        """Rename a checkpoint back that `atomic_folder` had moved away before it was killed."""
        for old in self.checkpoints.glob("step-*.tmp-*-old"):
            checkpoint = old.with_name(old.name.partition(".")[0])
            if not checkpoint.exists():
                old.rename(checkpoint)

    @property
    def steps(self) -> list[Path]:
        """The checkpoints, earliest first."""
        folders = [entry for entry in self.checkpoints.glob("step-*") if re.fullmatch(r"step-\d+", entry.name)]
        return sorted(folders, key=_step_of)

    def prune(self) -> None:
        """Delete old checkpoints: all up to the last, except CHECKPOINTS_KEPT of them, the best, and those that
        were the best before `regard improve` replaced them.

        Incomplete checkpoints are deleted too. Checkpoints after the last exist if the run was resumed from an earlier
        one; they stay until training has reached them again. Raises CheckpointError.
        """
        last = -1 if self.last is None else _step_of(self.last)
        linked = {self.best, *(link.resolve() for link in self.path.glob(f"{BEFORE}*"))} - {None}
        reached = [checkpoint.name for checkpoint in self.steps if _step_of(checkpoint) <= last]
        outdated = set(reached[:-CHECKPOINTS_KEPT]) - {path.name for path in linked if path is not None}
        problem = "old checkpoints cannot be deleted"
        with raise_on_os_error(CheckpointError, problem, where=self.checkpoints, fix=WRITABLE):
            for entry in list(self.checkpoints.iterdir()):
                if entry.name in outdated:
                    # Rename it first, so that a partly deleted folder is not mistaken for a checkpoint.
                    shutil.rmtree(entry.rename(entry.with_name(f"{entry.name}.tmp-{os.getpid()}-pruned")))
                elif re.fullmatch(r"step-\d+\.tmp-.*", entry.name):
                    shutil.rmtree(entry)


def _step_of(checkpoint: Path) -> int:
    return int(checkpoint.name.removeprefix("step-"))


def _acquire(file: TextIO, run: Path, job: str) -> None:
    """Lock an open lock file and write process and job into it. Raises CheckpointError if it is locked."""
    import fcntl  # not on Windows, where the rest of this module can still be used

    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.seek(0)
        holder = file.readline().strip() or "unknown"
        file.close()
        raise CheckpointError(
            f"another process is using this run (process {holder})",
            where=run,
            fix="wait until it ends, stop it, or choose another folder",
        ) from None
    file.truncate(0)
    file.write(f"{os.getpid()}\n{job}\n" if job else f"{os.getpid()}\n")
    file.flush()


def resolve_checkpoint(path: Path) -> Path:
    """Return the checkpoint at a path: the path itself, or the best, else the last, checkpoint of a run.

    A path such as `hf:OWNER/NAME` is a model on the Hugging Face hub, which is downloaded into its cache.

    Raises:
        CheckpointError: If the path is neither a checkpoint nor a run with a checkpoint.
        ConfigError: If the model is on the hub, and huggingface_hub is not installed.
    """
    if is_hub_name(path):
        path = download(path)
    if (path / "config.json").is_file():
        return path
    run = RunFolder(path)
    checkpoint = run.best or run.last
    if checkpoint is not None:
        return checkpoint
    if not path.exists():
        near = difflib.get_close_matches(path.name, _names(path.parent), n=3, cutoff=0.5)
        fix = f"did you mean {' or '.join(near)}?" if near else "give the folder of a run or of a checkpoint"
        raise CheckpointError("there is no such folder", where=path, fix=fix)
    if run.steps:
        raise CheckpointError(
            "the links `best` and `last` of the run are missing or broken",
            where=path,
            fix=f"give one of its checkpoints: {', '.join(map(str, run.steps))}; or restore the links: "
            f"regard train --resume {shlex.quote(str(path))}",
        )
    if run.recipe.is_file() or run.checkpoints.is_dir():
        raise CheckpointError("the run has no checkpoint yet", where=path, fix="train it until it has one")
    inside = [name for name in _names(path) if (path / name / "config.json").is_file()]
    raise CheckpointError(
        "this is neither a run (it has no best, no last) nor a checkpoint (it has no config.json)",
        where=path,
        fix=f"give one of the checkpoints in it: {', '.join(inside[:5])}" if inside else "give a run or a checkpoint",
    )


def _names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir() if entry.is_dir()) if folder.is_dir() else []
