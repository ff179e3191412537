"""The state of training that a checkpoint saves in addition to the weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor


@dataclass(frozen=True)
class TrainingState:
    """Tensors (optimizer moments, generator states) and JSON values (progress, loader position), by name.

    A run that resumes from it continues, on a CPU, exactly as if it had not stopped.
    """

    tensors: dict[str, Tensor]
    values: dict[str, Any]
