"""Checks before the first step of a run: disk space, memory, and time."""

from __future__ import annotations

import math
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from regard.checkpoints.run_folder import CHECKPOINTS_KEPT
from regard.config.schema import TrainConfig
from regard.contract import Seq2Seq
from regard.training.microbatches import BatchProbe, describe_shape


def estimate_checkpoint_bytes(model: Seq2Seq, train: TrainConfig) -> int:
    """Estimate the size of a checkpoint: saved and raw weights, two optimizer moments, and weights to average."""
    weights = sum(weight.numel() * weight.element_size() for weight in model.parameters())
    return weights * (4 + train.average_checkpoints - 1 + (train.average_decay > 0))


def free_bytes(folder: Path) -> int:
    """Return the free space of the disk that a folder is on, or will be on once it is created."""
    folder = Path(os.path.realpath(folder))
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free


def disk_space_warning(folder: Path, checkpoint_bytes: int) -> str | None:
    """Return a warning if the disk has no space for the checkpoints that a run keeps."""
    count = CHECKPOINTS_KEPT + 1  # and the best one
    needed, free = count * checkpoint_bytes, free_bytes(folder)
    if needed <= free:
        return None
    return (
        f"not enough disk space: {count} checkpoints need about {format_bytes(needed)}, but only {format_bytes(free)} "
        f"are free at {folder}; free some space, or write the run to another disk"
    )


def format_probes(probes: Sequence[BatchProbe]) -> str:
    """Return a line on the time and the memory that the largest batches take."""
    batches = "; ".join(f"{describe_shape(probe.batch)}, {probe.seconds:.2f} s" for probe in probes)
    memory = max(probe.memory for probe in probes)
    return f"the largest batches fit: {batches}" + (f"; at most {format_bytes(memory)} in use" if memory else "")


def allowed_steps(train: TrainConfig, batches_per_epoch: int | None) -> int:
    """Return how many steps max_steps and max_epochs allow; only max_steps counts if the corpus is streamed."""
    if train.max_epochs is None or batches_per_epoch is None:
        return train.max_steps
    return min(train.max_steps, math.ceil(train.max_epochs * batches_per_epoch / train.accumulate))


def warmup_warning(train: TrainConfig, probes: Sequence[BatchProbe], batches_per_epoch: int | None) -> str | None:
    """Return a warning if warm-up takes more than half of the steps that the limits of a run allow.

    Args:
        train: The [train] section.
        probes: Batches about as large as that of a step, with the seconds that they took.
        batches_per_epoch: None if the corpus is streamed.
    """
    steps = allowed_steps(train, batches_per_epoch)
    seconds = train.accumulate * min(probe.seconds for probe in probes)
    by_time = math.inf if train.max_minutes is None else 60 * train.max_minutes / max(seconds, 1e-9)
    allowed = int(min(steps, by_time))
    if 2 * train.warmup_steps <= allowed:
        return None
    limit = f"train.max_steps={train.max_steps}"
    if steps < train.max_steps:
        limit = f"train.max_epochs={train.max_epochs:g}"
    all_steps = ""
    if allowed < steps:
        limit = f"train.max_minutes={train.max_minutes:g}"
        all_steps = f"; all {steps:,} steps take about {format_duration(steps * seconds)} here"
    return (
        f"too little time to learn: {limit} allows about {allowed:,} steps, and warm-up alone takes "
        f"{train.warmup_steps:,}{all_steps}; raise the limit, or lower train.warmup_steps to about "
        f"{max(1, allowed // 10):,}"
    )


def format_bytes(count: float) -> str:
    """Return for example `1.2 GB`."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 999.5:  # which would be 1e+03
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} TB"


def format_duration(seconds: float) -> str:
    """Return for example `12 s`, `5 min` or `3 h 20 min`."""
    if seconds < 90:
        return f"{seconds:.2g} s" if seconds < 10 else f"{seconds:.0f} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"
