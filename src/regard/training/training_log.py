"""Reporters of training, and `log.jsonl`, the log that every run writes.

See also regard.training.tensorboard and regard.training.progress (the console).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from regard.errors import CheckpointError, raise_on_os_error
from regard.files import is_in_place, read_regular_file, write_atomic

LOG_EVERY = 20  # steps
FREE_DISK_SPACE = "the last checkpoint is complete: free some disk space, then run `regard train --resume`"


@dataclass(frozen=True)
class StepMetrics:
    """What is reported after a step; the fields are those of a step in `log.jsonl`.

    Attributes:
        step: The number of steps taken.
        max_steps: The step limit.
        epoch: The number of the epoch, from 0.
        loss: The smoothed training loss in nats per target token.
        tokens_per_second: Target tokens per second, without padding, smoothed.
        learning_rate: The learning rate of the step.
        seconds: Training time so far.
        seconds_left: The longest remaining time; early stopping may end training before.
    """

    step: int
    max_steps: int
    epoch: int
    loss: float
    tokens_per_second: float
    learning_rate: float
    seconds: float
    seconds_left: float


class Reporter:
    """Receives what happens in training. This base class ignores it."""

    def on_step(self, metrics: StepMetrics) -> None:
        """Report a step."""

    def on_checkpoint(self, step: int, scores: Mapping[str, float], best: bool) -> None:
        """Report a checkpoint with its dev scores."""

    def on_notice(self, step: int, text: str) -> None:
        """Report something unusual, such as a batch that did not fit in memory."""

    def close(self) -> None:
        """Release resources when training has ended."""


def run_is_gone(folder: Path) -> CheckpointError:
    """Return the error for a run's folder that was removed or renamed while it is trained."""
    return CheckpointError(
        "the run's folder was removed, renamed or replaced during training, which has ended",
        where=folder,
        fix="if it was renamed, run `regard train --resume` with its new path",
    )


class JsonLines(Reporter):
    """Writes `log.jsonl`, with one JSON object per line: a step, a checkpoint or a notice.

    Attributes:
        damaged: The numbers (from 1) of lines that could not be read and were removed.
    """

    def __init__(self, path: Path, resumed_at: int = 0, last_validated_step: int = 0) -> None:
        """Open the log and drop what a killed run has logged since the checkpoint that it is resumed from.

        Args:
            path: The log.
            resumed_at: The step to resume from; later steps and notices are dropped.
            last_validated_step: Later checkpoints are dropped: one that was saved unvalidated is validated again.

        Raises:
            CheckpointError: If the log cannot be written.
        """
        self.damaged: list[int] = []
        self._path = path
        with _write_errors(path):
            if path.exists():
                self.damaged = _truncate(path, resumed_at, last_validated_step)
            self._file = path.open("a", encoding="utf-8", buffering=1)

    def on_step(self, metrics: StepMetrics) -> None:
        """Log every LOG_EVERY steps."""
        if metrics.step % LOG_EVERY == 0:
            self._write({"kind": "step", **asdict(metrics)})

    def on_checkpoint(self, step: int, scores: Mapping[str, float], best: bool) -> None:
        """Log the checkpoint with its dev scores."""
        self._write({"kind": "checkpoint", "step": step, "best": best, **scores})

    def on_notice(self, step: int, text: str) -> None:
        """Log the notice."""
        self._write({"kind": "notice", "step": step, "text": text})

    def _write(self, entry: dict[str, Any]) -> None:
        if not is_in_place(self._file, self._path):
            raise run_is_gone(self._path.parent)
        with _write_errors(self._path):
            self._file.write(json.dumps(entry, ensure_ascii=False) + "\n")

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _write_errors(path: Path) -> AbstractContextManager[None]:
    return raise_on_os_error(CheckpointError, "the log cannot be written", where=path, fix=FREE_DISK_SPACE)


def read_entries(path: Path) -> tuple[list[dict[str, Any]], list[int]]:
    """Return the entries of a log and the numbers (from 1) of its damaged lines.

    A last line without a line break was cut short by a kill and counts as neither. Raises OSError.
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
    """Return whether a JSON value has the fields that readers of a log need."""
    if not isinstance(entry, dict) or not isinstance(entry.get("kind"), str):
        return False
    numbers = ("step", "seconds", "tokens_per_second") if entry["kind"] == "step" else ("step",)
    return all(isinstance(entry.get(name), int | float) for name in numbers)


def _truncate(path: Path, step: int, last_validated_step: int) -> list[int]:
    """Drop later entries and damaged lines; return the numbers of the damaged lines."""
    entries, damaged = read_entries(path)
    limits = {"checkpoint": last_validated_step}
    valid = [entry for entry in entries if entry["step"] <= limits.get(entry["kind"], step)]
    write_atomic(path, "".join(f"{json.dumps(entry, ensure_ascii=False)}\n" for entry in valid))
    return damaged


class BestEffort(Reporter):
    """Wraps a reporter whose OSErrors must not end training: after the first one, it is closed and left out."""

    def __init__(self, name: str, open_reporter: Callable[[], Reporter], notify: Callable[[str], None]) -> None:
        """Open the reporter.

        Args:
            name: What to call the reporter in the notice about its failure.
            open_reporter: Opens the reporter; may raise OSError.
            notify: Called with that notice.
        """
        self._name = name
        self._notify = notify
        self._reporter = Reporter()
        with self._tolerate_errors():
            self._reporter = open_reporter()

    @contextmanager
    def _tolerate_errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            failed, self._reporter = self._reporter, Reporter()
            with suppress(OSError):
                failed.close()
            with suppress(OSError):  # if it was the terminal that failed
                self._notify(f"{self._name} cannot be written any more ({error.strerror or error}); training continues")

    def on_step(self, metrics: StepMetrics) -> None:
        """Report a step."""
        with self._tolerate_errors():
            self._reporter.on_step(metrics)

    def on_checkpoint(self, step: int, scores: Mapping[str, float], best: bool) -> None:
        """Report a checkpoint."""
        with self._tolerate_errors():
            self._reporter.on_checkpoint(step, scores, best)

    def on_notice(self, step: int, text: str) -> None:
        """Report a notice."""
        with self._tolerate_errors():
            self._reporter.on_notice(step, text)

    def close(self) -> None:
        """Close the reporter."""
        with self._tolerate_errors():
            self._reporter.close()
