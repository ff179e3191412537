"""What a run will take of the machine, as far as that can be known before its first step."""

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


def checkpoint_bytes(model: Seq2Seq, train: TrainConfig) -> int:
    """About how many bytes a checkpoint has: weights kept and going on, two moments of each, what a mean is made of."""
    weights = sum(weight.numel() * weight.element_size() for weight in model.parameters())
    return weights * (4 + train.average_checkpoints - 1 + (train.average_decay > 0))


def free_bytes(folder: Path) -> int:
    """What the disk of a folder, which need not be there yet, has room for."""
    folder = Path(os.path.realpath(folder))
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free


def lacks_room(folder: Path, checkpoint: int) -> str | None:
    """A warning where the disk has no room for the checkpoints that a run keeps; checkpoint: bytes of one."""
    needed, free = (CHECKPOINTS_KEPT + 1) * checkpoint, free_bytes(folder)
    if needed <= free:
        return None
    return (
        f"the disk may not do: {CHECKPOINTS_KEPT + 1} checkpoints take about {in_bytes(needed)}, "
        f"and {in_bytes(free)} are free at {folder}; make room, or choose another --out"
    )


def told(tried: Sequence[BatchProbe]) -> str:
    """A line on the batches that were tried."""
    batches = "; ".join(f"{describe_shape(each.batch)}, {each.seconds:.2f} s" for each in tried)
    memory = max(each.memory for each in tried)
    return f"the largest batches go: {batches}" + (f"; at most {in_bytes(memory)} in use" if memory else "")


def too_little_time(train: TrainConfig, tried: Sequence[BatchProbe]) -> str | None:
    """Return a warning if warm-up takes more than half of the steps that the run's limits allow.

    tried: batches of about the size of a step's, with the seconds that they took.
    """
    seconds = train.accumulate * min(each.seconds for each in tried)
    by_time = math.inf if train.max_minutes is None else 60 * train.max_minutes / max(seconds, 1e-9)
    allowed = int(min(train.max_steps, by_time))
    if 2 * train.warmup_steps <= allowed:
        return None
    limit = f"train.max_steps={train.max_steps}"
    whole = ""
    if allowed < train.max_steps:
        limit = f"train.max_minutes={train.max_minutes:g}"
        whole = f"; all {train.max_steps:,} steps take about {in_time(train.max_steps * seconds)} here"
    return (
        f"too little time to learn: {limit} allows about {allowed:,} steps, and warm-up alone takes "
        f"{train.warmup_steps:,}{whole}; raise the limit, or lower train.warmup_steps to about "
        f"{max(1, allowed // 10):,}"
    )


def in_bytes(count: float) -> str:
    """`1.2 GB`."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} TB"


def in_time(seconds: float) -> str:
    """`12 s`, `5 min`, `3 h 20 min`."""
    if seconds < 90:
        return f"{seconds:.2g} s" if seconds < 10 else f"{seconds:.0f} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"
