"""Who is told how training goes: a JSONL file, TensorBoard (regard.training.tensorboard), a terminal (.console)."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

from regard.errors import CheckpointError
from regard.files import is_in_place, read_regular_file, write_atomic

EVERY = 20  # steps between two lines of a log
MAKE_ROOM = "the last checkpoint is whole: make room on the disk, then go on with `regard train --resume`"


@dataclass(frozen=True)
class StepMetrics:
    """How far training is: loss in nats a target token, speed in target tokens a second, padding left out."""

    step: int
    max_steps: int
    epoch: int
    loss: float
    tokens_per_second: float
    learning_rate: float
    seconds: float
    seconds_left: float  # at most; patience may end it earlier


class Reporter(Protocol):
    """Told after every step and every checkpoint."""

    def on_step(self, progress: StepMetrics) -> None:
        """After a step."""

    def on_checkpoint(self, step: int, scores: Mapping[str, float], best: bool) -> None:
        """After a checkpoint with its dev scores."""

    def on_notice(self, step: int, text: str) -> None:
        """What a person should know: a batch that did not fit, a gradient that is no number."""

    def close(self) -> None:
        """When training is over."""


def run_is_gone(folder: Path) -> CheckpointError:
    """Return the error for a run's folder that was removed or renamed while it is trained."""
    return CheckpointError(
        "the run's folder was removed, renamed or replaced during training, which has ended",
        where=folder,
        fix="if it was renamed, go on with `regard train --resume` and its new path",
    )


class JsonLines:
    """`log.jsonl`: an object a line, of a step, a checkpoint or a notice; those after `resumed_at` are taken back."""

    def __init__(self, path: Path, resumed_at: int = 0, judged: int = 0) -> None:
        """judged: the last step whose checkpoint counts; one that was saved as it was may be judged again.

        damaged: the numbers of lines that could not be read, and are gone. Raises CheckpointError.
        """
        self.damaged: list[int] = []
        self._path = path
        try:
            if path.exists():
                self.damaged = _keep_up_to(path, resumed_at, judged)
            self._file = path.open("a", encoding="utf-8", buffering=1)
        except OSError as error:
            raise CheckpointError(f"the log cannot be written: {error.strerror}", where=path, fix=MAKE_ROOM) from None

    def on_step(self, progress: StepMetrics) -> None:
        """Every so many steps."""
        if progress.step % EVERY == 0:
            self._write({"kind": "step", **asdict(progress)})

    def on_checkpoint(self, step: int, scores: Mapping[str, float], best: bool) -> None:
        """Each checkpoint."""
        self._write({"kind": "checkpoint", "step": step, "best": best, **scores})

    def on_notice(self, step: int, text: str) -> None:
        """Each."""
        self._write({"kind": "notice", "step": step, "text": text})

    def _write(self, entry: dict[str, Any]) -> None:
        if not is_in_place(self._file, self._path):
            raise run_is_gone(self._path.parent)
        try:
            self._file.write(json.dumps(entry, ensure_ascii=False) + "\n")
        except OSError as error:
            raise CheckpointError(
                f"the log cannot be written: {error.strerror}", where=self._file.name, fix=MAKE_ROOM
            ) from None

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def read_entries(path: Path) -> tuple[list[dict[str, Any]], list[int]]:
    """Return the entries of a log and the numbers (from 1) of its damaged lines.

    A last line without its end was cut short by a kill: it counts as neither. Raises OSError.
    """
    entries, damaged = [], []
    for number, line in enumerate(read_regular_file(path).splitlines(keepends=True), start=1):
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError):
            entry = None
        if _is_entry(entry):
            entries.append(entry)
        elif line.endswith(b"\n"):
            damaged.append(number)
    return entries, damaged


def _is_entry(entry: object) -> bool:
    """Return whether it has what readers of a log need."""
    if not isinstance(entry, dict) or not isinstance(entry.get("kind"), str):
        return False
    numbers = ("step", "seconds", "tokens_per_second") if entry["kind"] == "step" else ("step",)
    return all(isinstance(entry.get(name), int | float) for name in numbers)


def _keep_up_to(path: Path, step: int, judged: int) -> list[int]:
    """Drop what a killed run logged after the checkpoint that it is resumed from, judgements that do not count, and
    damaged lines, whose numbers are returned."""
    entries, damaged = read_entries(path)
    kept = [entry for entry in entries if entry["step"] <= (judged if entry["kind"] == "checkpoint" else step)]
    write_atomic(path, "".join(f"{json.dumps(entry, ensure_ascii=False)}\n" for entry in kept))
    return damaged


class BestEffort:
    """A reporter whose failed writes never end training: it is dropped after the first, with one notice."""

    def __init__(self, name: str, open_reporter: Callable[[], Reporter], notify: Callable[[str], None]) -> None:
        """name: what the notice calls it."""
        self._name = name
        self._notify = notify
        self._reporter: Reporter | None = None
        with self._tolerant():
            self._reporter = open_reporter()

    @contextmanager
    def _tolerant(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            failed, self._reporter = self._reporter, None
            with suppress(OSError):
                if failed is not None:
                    failed.close()
            with suppress(OSError):  # where it was the terminal that failed
                self._notify(f"{self._name} cannot be written any more ({error.strerror or error}); training goes on")

    def on_step(self, progress: StepMetrics) -> None:
        """After a step."""
        with self._tolerant():
            if self._reporter is not None:
                self._reporter.on_step(progress)

    def on_checkpoint(self, step: int, scores: Mapping[str, float], best: bool) -> None:
        """After a checkpoint."""
        with self._tolerant():
            if self._reporter is not None:
                self._reporter.on_checkpoint(step, scores, best)

    def on_notice(self, step: int, text: str) -> None:
        """After a notice."""
        with self._tolerant():
            if self._reporter is not None:
                self._reporter.on_notice(step, text)

    def close(self) -> None:
        """When training is over."""
        with self._tolerant():
            if self._reporter is not None:
                self._reporter.close()
