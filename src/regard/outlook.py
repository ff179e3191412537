"""What a run will take of the machine, as far as that can be known before its first step."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from regard.config import TrainConfig
from regard.contract import Seq2Seq
from regard.runfolder import KEPT
from regard.training.memory import Tried, shape_of


def checkpoint_bytes(model: Seq2Seq, train: TrainConfig) -> int:
    """About how many bytes a checkpoint has: weights kept and going on, two moments of each, what a mean is made of."""
    weights = sum(weight.numel() * weight.element_size() for weight in model.parameters())
    return weights * (4 + train.average_checkpoints - 1 + (train.average_decay > 0))


def free_bytes(folder: Path) -> int:
    """What the disk of a folder, which need not be there yet, has room for."""
    folder = folder.resolve()
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free


def lacks_room(folder: Path, checkpoint: int) -> str | None:
    """A warning where the disk has no room for the checkpoints that a run keeps; checkpoint: bytes of one."""
    needed, free = (KEPT + 1) * checkpoint, free_bytes(folder)
    if needed <= free:
        return None
    return (
        f"the disk may not do: {KEPT + 1} checkpoints take about {in_bytes(needed)}, and {in_bytes(free)} are free "
        f"at {folder}; make room, or choose another --out"
    )


def told(tried: Sequence[Tried]) -> str:
    """A line on the batches that were tried."""
    batches = "; ".join(f"{shape_of(each.batch)}, {each.seconds:.2f} s" for each in tried)
    memory = max(each.memory for each in tried)
    return f"the largest batches go: {batches}" + (f"; at most {in_bytes(memory)} in use" if memory else "")


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
