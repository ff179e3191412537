"""Save and restore the states of random number generators, one set for each process."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from regard.training.distributed import ProcessGroup

DEVICE_TYPES = ("cpu", "cuda", "mps")


def get_rng_state(device: torch.device) -> dict[str, Tensor]:
    """Return the states of the CPU's generator and of the device's generator, by device type."""
    state = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        state["cuda"] = torch.cuda.get_rng_state(device)
    if device.type == "mps":
        state["mps"] = torch.mps.get_rng_state()
    return state


def set_rng_state(state: Mapping[str, Tensor], device: torch.device) -> None:
    """Restore what `get_rng_state` returned; a device type that it lacks keeps its state."""
    torch.set_rng_state(state["cpu"].cpu())
    if device.type == "cuda" and "cuda" in state:
        torch.cuda.set_rng_state(state["cuda"].cpu(), device)
    if device.type == "mps" and "mps" in state:
        torch.mps.set_rng_state(state["mps"].cpu())


def seed_per_rank(seed: int, step: int, processes: ProcessGroup) -> None:
    """Seed the generators of this process differently from those of all others."""
    words = np.random.SeedSequence([seed, step, processes.rank, processes.size]).generate_state(2)
    torch.manual_seed(int(words[0]) << 32 | int(words[1]))


def get_rng_states(device: torch.device, processes: ProcessGroup) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return the states of all processes, as `cpu` for the main process and `RANK/cpu` for others, and JSON values."""
    states = processes.gather(get_rng_state(device))
    named = {
        name if rank == 0 else f"{rank}/{name}": tensor
        for rank, state in enumerate(states)
        for name, tensor in state.items()
    }
    return named, {} if processes.size == 1 else {"processes": processes.size}


def set_rng_states(
    tensors: Mapping[str, Tensor], values: Mapping[str, Any], seed: int, device: torch.device, processes: ProcessGroup
) -> None:
    """Restore what `get_rng_states` returned; if the number of processes has changed, seed each of them again."""
    if values.get("processes", 1) != processes.size:
        seed_per_rank(seed, values["step"], processes)
        return
    prefix = "" if processes.is_main else f"{processes.rank}/"
    set_rng_state({kind: tensors[prefix + kind] for kind in DEVICE_TYPES if prefix + kind in tensors}, device)
