"""Plateaus of the dev loss, at which the schedule `plateau` lowers the learning rate."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from regard.config.optimization import OptimizationConfig


@dataclass
class PlateauMonitor:
    """Counts the plateaus of the dev loss in a stage of training.

    Attributes:
        stage_start: The steps before the stage.
        best_loss: The lowest dev loss so far.
        checkpoints_since_best: Consecutive checkpoints without a lower dev loss since the last reduction.
        reductions: How often the learning rate has been lowered.
    """

    stage_start: int = 0
    best_loss: float = math.inf
    checkpoints_since_best: int = 0
    reductions: int = 0

    def update(self, loss: float, config: OptimizationConfig) -> bool:
        """Record the dev loss of a checkpoint, and return whether the learning rate falls from here on."""
        if loss < self.best_loss:
            self.best_loss, self.checkpoints_since_best = loss, 0
        else:
            self.checkpoints_since_best += 1
        is_plateau = self.checkpoints_since_best > config.plateau_patience
        if not is_plateau and not (config.plateau_every_checkpoint and self.reductions):
            return False
        self.checkpoints_since_best = 0
        self.reductions += 1
        return True

    def state_dict(self) -> dict[str, Any]:
        """Return the values to save, as JSON."""
        best = None if math.isinf(self.best_loss) else self.best_loss
        return {
            "plateau_stage_start": self.stage_start,
            "plateau_best": best,
            "plateau_since_best": self.checkpoints_since_best,
            "reductions": self.reductions,
        }

    @classmethod
    def from_state_dict(cls, values: dict[str, Any], stage_start: int) -> PlateauMonitor:
        """Restore what `state_dict` returned. Older states lack some values: their stage is that of `stage_start`."""
        best = values.get("plateau_best")
        return cls(
            values.get("plateau_stage_start", stage_start),
            math.inf if best is None else best,
            values.get("plateau_since_best", 0),
            values.get("reductions", 0),
        )
