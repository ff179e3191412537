"""In what precision training multiplies matrices: by what the machine is faster with."""

from __future__ import annotations

import time
from typing import Literal

import torch
from torch import Tensor

from regard.errors import ConfigError

Precision = Literal["float32", "bfloat16"]

SHAPE = 1024, 512, 512  # rows, inputs, outputs of the products that are tried
TRIES = 8
WORTH = 0.6  # of float32's time: bfloat16 goes without the kernels of regard.nn, and converts weights at each step


def choose_precision(name: str, device: torch.device) -> tuple[Precision, str]:
    """What `auto` means on a device, and why; another name means itself. Raises ConfigError where it cannot be.

    With bfloat16 products take and give 16 bits, while weights, gradients of weights and sums stay in float32.
    """
    if name == "float32":
        return "float32", "as the recipe says"
    if device.type == "cuda":
        able = torch.cuda.is_bf16_supported()
        if name == "bfloat16" and not able:
            raise ConfigError("this GPU has no bfloat16", where="train.precision", fix="say auto or float32")
        return ("bfloat16", "this GPU is faster with it") if able else ("float32", "this GPU has no bfloat16")
    if name == "bfloat16":
        return "bfloat16", "as the recipe says"
    if device.type != "cpu":
        return "float32", f"nothing else is known of {device.type}"
    share = _share()
    why = f"a product in bfloat16 takes {share:.1f} times as long here"
    return ("bfloat16" if share < WORTH else "float32"), why


def _share() -> float:
    """The time of a product in bfloat16, by that in float32."""
    rows, inputs, outputs = SHAPE
    x, weight = torch.ones(rows, inputs), torch.ones(outputs, inputs)
    short = x.bfloat16(), weight.bfloat16()
    return _seconds(*short) / _seconds(x, weight)


def _seconds(x: Tensor, weight: Tensor) -> float:
    best = float("inf")
    for _ in range(TRIES):
        began = time.perf_counter()
        torch.nn.functional.linear(x, weight)
        best = min(best, time.perf_counter() - began)
    return best
