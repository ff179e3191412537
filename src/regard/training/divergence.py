"""Detect non-finite gradients and a diverging loss."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from torch import Tensor

from regard.errors import TrainingError

MAX_NONFINITE_STEPS = 20  # in a row, before training gives up
MAX_DIVERGED_STEPS = 1000  # in a row, before training gives up
MARGIN = 1.0  # nats above the lowest loss that are normal
SMOOTHING = 0.95
FIX = "lower train.learning_rate or raise train.warmup_steps, and resume from an earlier checkpoint: regard train "
FIX += "--resume RUN/best --set train.learning_rate=..., or in a second stage train.second_stage.learning_rate=..."


@dataclass
class DivergenceMonitor:
    """Watches losses and gradients, and raises TrainingError if training has diverged; saved in every checkpoint.

    Attributes:
        nonfinite_steps: The number of steps in a row with a non-finite loss or gradient.
        diverged_steps: The number of steps in a row with a smoothed loss above the threshold.
        smoothed_loss: The running mean of the loss in nats per target token; None before the first step.
        lowest_loss: The lowest value of `smoothed_loss`.
    """

    nonfinite_steps: int = 0
    diverged_steps: int = 0
    smoothed_loss: float | None = None
    lowest_loss: float | None = None

    def record_finite(self, loss: float, vocabulary_size: int, *, is_warm: bool, where: str) -> None:
        """Record a step with a finite loss and gradient.

        Args:
            loss: The loss of the step in nats per target token.
            vocabulary_size: The size of the target vocabulary.
            is_warm: Whether warm-up is over; before, no loss counts as diverged.
            where: The step, for error messages.

        Raises:
            TrainingError: If the smoothed loss has been above `divergence_threshold` for MAX_DIVERGED_STEPS steps.
        """
        self.nonfinite_steps = 0
        smoothed = self.smoothed_loss
        self.smoothed_loss = loss if smoothed is None else SMOOTHING * smoothed + (1 - SMOOTHING) * loss
        self.lowest_loss = self.smoothed_loss if self.lowest_loss is None else min(self.lowest_loss, self.smoothed_loss)
        threshold = divergence_threshold(self.lowest_loss, vocabulary_size)
        self.diverged_steps = self.diverged_steps + 1 if is_warm and self.smoothed_loss > threshold else 0
        if self.diverged_steps >= MAX_DIVERGED_STEPS:
            raise TrainingError(
                f"training has diverged: the mean loss has been above {threshold:.2f} for {MAX_DIVERGED_STEPS:,} "
                f"steps; it is {self.smoothed_loss:.2f}, its lowest value was {self.lowest_loss:.2f}, and a uniform "
                f"guess has {math.log(vocabulary_size):.2f}",
                where=where,
                fix=FIX,
            )

    def record_nonfinite(self, loss: float, norm: float, lines: str, *, where: str) -> str | None:
        """Record a step that was skipped; return a notice for the first one in a row.

        Args:
            loss: The loss of the step.
            norm: The norm of its gradient.
            lines: The lines of the corpus that its pairs are from.
            where: The step, for messages.

        Raises:
            TrainingError: After MAX_NONFINITE_STEPS such steps in a row.
        """
        self.nonfinite_steps += 1
        values = f"the loss is {loss:.4g} and the norm of its gradient {norm:.4g}"
        if self.nonfinite_steps >= MAX_NONFINITE_STEPS:
            raise TrainingError(
                f"the loss or its gradient was not finite in {MAX_NONFINITE_STEPS} steps in a row: in the last of "
                f"them {values} ({lines})",
                where=where,
                fix=FIX,
            )
        if self.nonfinite_steps > 1:
            return None
        return f"{where}: {values}; the step is skipped ({lines})"

    def state_dict(self) -> dict[str, Any]:
        """Return the attributes under their keys in state.json."""
        return {
            "bad_steps": self.nonfinite_steps,
            "lost_steps": self.diverged_steps,
            "smooth": self.smoothed_loss,
            "lowest": self.lowest_loss,
        }

    @classmethod
    def from_state_dict(cls, values: Mapping[str, Any]) -> Self:
        """Return the monitor that `state_dict` was called on; earlier versions saved fewer of the values."""
        return cls(values.get("bad_steps", 0), values.get("lost_steps", 0), values.get("smooth"), values.get("lowest"))


def check_finite(weights: Mapping[str, Tensor], *, where: str) -> None:
    """Raise TrainingError if a weight is NaN or infinite; `where` names the step."""
    names = [name for name, weight in weights.items() if not weight.isfinite().all()]
    if names:
        more = f" and {len(names) - 3} others" if len(names) > 3 else ""
        raise TrainingError(
            f"there are NaN or infinite values in the weights {', '.join(names[:3])}{more}; they are not saved, "
            "and earlier checkpoints are kept",
            where=where,
            fix=FIX,
        )


def divergence_threshold(lowest_loss: float, vocabulary_size: int) -> float:
    """Return the loss above which training counts as diverged.

    The model has learned the difference between the loss of a uniform guess, ln V, and its lowest loss. Training has
    diverged if half of that is lost, and MARGIN at least, or if the loss is more than MARGIN above a uniform guess.
    """
    uniform = math.log(vocabulary_size)
    return min(uniform + MARGIN, max(lowest_loss + MARGIN, (lowest_loss + uniform) / 2))
