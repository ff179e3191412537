"""Choose the precision in which training multiplies matrices."""

from __future__ import annotations

import time
from typing import Literal

import torch
from torch import Tensor

from regard.errors import ConfigError

Precision = Literal["float32", "bfloat16"]

SHAPE = 1024, 512, 512  # rows, inputs and outputs of the timed product
REPEATS = 8
MAX_TIME_RATIO = 0.6  # bfloat16 also has costs: it bypasses the kernels of regard.nn, and converts weights at each step


def choose_precision(name: str, device: torch.device) -> tuple[Precision, str]:
    """Return the precision to train in, and why it was chosen.

    In bfloat16, products take and return 16 bits; weights, their gradients and sums stay in float32.

    Args:
        name: "auto", or the precision itself.
        device: The device to train on. On a CPU, `auto` times a product in both precisions.

    Raises:
        ConfigError: If the device does not support the precision.
    """
    if name == "float32":
        return "float32", "the recipe says so"
    if device.type == "cuda":
        is_supported = torch.cuda.is_bf16_supported()
        if name == "bfloat16" and not is_supported:
            raise ConfigError(
                "this GPU does not support bfloat16", where="train.precision", fix="use auto or float32 instead"
            )
        if not is_supported:
            return "float32", "this GPU does not support bfloat16"
        return "bfloat16", "it is faster on this GPU"
    if name == "bfloat16":
        return "bfloat16", "the recipe says so"
    if device.type != "cpu":
        return "float32", f"it is the default on {device.type}"
    ratio = _time_ratio()
    reason = f"a product in bfloat16 takes {ratio:.1f} times as long here"
    return ("bfloat16" if ratio < MAX_TIME_RATIO else "float32"), reason


def _time_ratio() -> float:
    """Return the time of a product in bfloat16 divided by its time in float32."""
    rows, inputs, outputs = SHAPE
    x, weight = torch.ones(rows, inputs), torch.ones(outputs, inputs)
    return _seconds(x.bfloat16(), weight.bfloat16()) / _seconds(x, weight)


def _seconds(x: Tensor, weight: Tensor) -> float:
    """Return the shortest time that a product takes."""
    shortest = float("inf")
    for _ in range(REPEATS):
        start = time.perf_counter()
        torch.nn.functional.linear(x, weight)
        shortest = min(shortest, time.perf_counter() - start)
    return shortest
