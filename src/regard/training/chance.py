"""PyTorch's random numbers: where they stand, and back to there."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

KINDS = ("cpu", "cuda", "mps")


def random_state(device: torch.device) -> dict[str, Tensor]:
    """By kind: the CPU's, and that of the device where it has its own."""
    state = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        state["cuda"] = torch.cuda.get_rng_state(device)
    if device.type == "mps":
        state["mps"] = torch.mps.get_rng_state()
    return state


def set_random_state(state: Mapping[str, Tensor], device: torch.device) -> None:
    """What random_state() gave, back; a kind that is not in it, as after a change of device, stays as it is."""
    torch.set_rng_state(state["cpu"].cpu())
    if device.type == "cuda" and "cuda" in state:
        torch.cuda.set_rng_state(state["cuda"].cpu(), device)
    if device.type == "mps" and "mps" in state:
        torch.mps.set_rng_state(state["mps"].cpu())
