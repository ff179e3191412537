"""Random number generators: their states, saved and restored, one for each process."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from regard.training.distributed import ProcessGroup

KINDS = ("cpu", "cuda", "mps")


def get_rng_state(device: torch.device) -> dict[str, Tensor]:
    """By kind: the CPU's, and that of the device where it has its own."""
    state = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        state["cuda"] = torch.cuda.get_rng_state(device)
    if device.type == "mps":
        state["mps"] = torch.mps.get_rng_state()
    return state


def set_rng_state(state: Mapping[str, Tensor], device: torch.device) -> None:
    """What random_state() gave, back; a kind that is not in it, as after a change of device, stays as it is."""
    torch.set_rng_state(state["cpu"].cpu())
    if device.type == "cuda" and "cuda" in state:
        torch.cuda.set_rng_state(state["cuda"].cpu(), device)
    if device.type == "mps" and "mps" in state:
        torch.mps.set_rng_state(state["mps"].cpu())


def seed_per_rank(seed: int, step: int, processes: ProcessGroup) -> None:
    """Seed this process's generators by its number, so that no two draw the same."""
    words = np.random.SeedSequence([seed, step, processes.rank, processes.size]).generate_state(2)
    torch.manual_seed(int(words[0]) << 32 | int(words[1]))


def get_rng_states(device: torch.device, processes: ProcessGroup) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Every process's generators by name, the first one's without a number, and how many processes there are."""
    everyone = processes.gather(get_rng_state(device))
    named = {
        name if rank == 0 else f"{rank}/{name}": state
        for rank, each in enumerate(everyone)
        for name, state in each.items()
    }
    return named, {} if processes.size == 1 else {"processes": processes.size}


def set_rng_states(
    tensors: Mapping[str, Tensor], values: Mapping[str, Any], seed: int, device: torch.device, processes: ProcessGroup
) -> None:
    """What states() gave, back; drawn apart anew where there were more processes, or fewer."""
    if values.get("processes", 1) != processes.size:
        seed_per_rank(seed, values["step"], processes)
        return
    own = "" if processes.is_main else f"{processes.rank}/"
    set_rng_state({kind: tensors[own + kind] for kind in KINDS if own + kind in tensors}, device)
