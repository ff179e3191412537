"""How often a program waits for the GPU."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import torch


def count_waits(device: torch.device, work: Callable[[], Any]) -> int | None:
    """Return how many operations of `work` wait for the GPU; None on a CPU."""
    if device.type != "cuda":
        work()
        return None
    with warnings.catch_warnings(record=True) as messages:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        try:
            work()
        finally:
            torch.cuda.set_sync_debug_mode("default")
    return sum("called a synchronizing" in str(message.message) for message in messages)
