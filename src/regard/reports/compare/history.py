"""The course of a training, read from the log of its run."""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass

import numpy as np

from regard.checkpoints.run_folder import RunFolder
from regard.errors import CheckpointError, raise_on_os_error
from regard.reports.compare.results import DevPoint
from regard.training.training_log import read_entries


@dataclass(frozen=True)
class TrainingHistory:
    """Total steps and minutes, median speed (0 if the log has no steps) and dev scores of a training."""

    steps: int
    minutes: float
    tokens_per_second: float
    curve: tuple[DevPoint, ...]


def read_training_history(run: RunFolder) -> TrainingHistory:
    """Read the history of a run. The time of a checkpoint is interpolated between the logged steps around it.

    Raises:
        CheckpointError: The run has no log.
    """
    problem, fix = "the training log cannot be read", "give a run's folder with its log"
    with raise_on_os_error(CheckpointError, problem, where=run.log, fix=fix):
        entries, _ = read_entries(run.log)
    logged = [entry for entry in entries if entry["kind"] == "step"]
    clock = [(0, 0.0), *((entry["step"], entry["seconds"]) for entry in logged)]
    if run.finished is not None:
        clock.append((run.finished.step, run.finished.seconds))
    steps, seconds = zip(*clock, strict=True)
    curve = []
    for entry in entries:
        scores = {name: entry.get(name, math.nan) for name in ("bleu", "chrf", "loss")}
        if entry["kind"] == "checkpoint" and all(map(math.isfinite, scores.values())):
            minutes = float(np.interp(entry["step"], steps, seconds)) / 60
            curve.append(DevPoint(step=entry["step"], minutes=minutes, exact=entry.get("exact"), **scores))
    return TrainingHistory(
        steps=max([steps[-1], *(entry["step"] for entry in entries)]),
        minutes=seconds[-1] / 60,
        tokens_per_second=statistics.median([entry["tokens_per_second"] for entry in logged] or [0.0]),
        curve=tuple(curve),
    )
