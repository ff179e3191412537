"""What training has to remember besides the weights to go on as if it had never stopped."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor


@dataclass(frozen=True)
class TrainingState:
    """Tensors by name (optimizer moments, random states) and JSON values (schedule, loader position)."""

    tensors: dict[str, Tensor]
    values: dict[str, Any]
