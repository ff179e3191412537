"""Whether training is well: gradients that are no numbers, and a loss that has run away."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from regard.errors import TrainingError

BAD_STEPS = 20  # gradients that are no numbers, one after another, before training gives up
LOST_STEPS = 1000  # with a loss that has run away, one after another, before it does
MARGIN = 1.0  # nats above a loss that are no cause for alarm
SMOOTHING = 0.95
FIX = "lower train.learning_rate or raise train.warmup_steps, and go on from a checkpoint before it: regard train "
FIX += "--resume RUN/best --set train.learning_rate=..."


@dataclass
class DivergenceMonitor:
    """What is remembered of the losses; all of it is saved.

    smooth: the running mean of the loss, in nats a target token.
    lowest: the lowest that it was.
    """

    bad_steps: int = 0
    lost_steps: int = 0
    smooth: float | None = None
    lowest: float | None = None

    def record_finite(self, loss: float, vocabulary: int, *, warm: bool, at: str) -> None:
        """A step whose loss is a number. Raises TrainingError where it has long been far above what it was.

        Far is above `bound`. vocabulary: the size of the target's. warm: whether warm-up is over. at: the step.
        """
        self.bad_steps = 0
        self.smooth = loss if self.smooth is None else SMOOTHING * self.smooth + (1 - SMOOTHING) * loss
        self.lowest = self.smooth if self.lowest is None else min(self.lowest, self.smooth)
        limit = bound(self.lowest, vocabulary)
        self.lost_steps = self.lost_steps + 1 if warm and self.smooth > limit else 0
        if self.lost_steps >= LOST_STEPS:
            raise TrainingError(
                f"the loss has run away: for {LOST_STEPS:,} steps its mean has been above {limit:.2f}; it is "
                f"{self.smooth:.2f}, its lowest was {self.lowest:.2f}, and a guess among all tokens alike has "
                f"{math.log(vocabulary):.2f}",
                where=at,
                fix=FIX,
            )

    def record_nonfinite(self, loss: float, norm: float, lines: str, *, at: str) -> str | None:
        """A step that changed nothing; what to tell of the first in a row. Raises TrainingError after BAD_STEPS.

        lines: where its pairs stand, in words.
        """
        self.bad_steps += 1
        seen = f"the loss is {loss:.4g} and the norm of its gradient {norm:.4g}"
        if self.bad_steps >= BAD_STEPS:
            raise TrainingError(
                f"loss or gradient were no numbers in {BAD_STEPS} steps on end: in the last of them {seen} ({lines})",
                where=at,
                fix=FIX,
            )
        if self.bad_steps > 1:
            return None
        return f"{at}: {seen}; the weights stay as they are ({lines})"


def refuse_non_finite(weights: Mapping[str, Tensor], *, at: str) -> None:
    """Raise TrainingError where a weight is NaN or infinite; `at` names the step."""
    broken = [name for name, weight in weights.items() if not weight.isfinite().all()]
    if broken:
        more = f" and {len(broken) - 3} others" if len(broken) > 3 else ""
        raise TrainingError(
            f"there are NaN or infinite values in the weights {', '.join(broken[:3])}{more}; they are not saved, "
            "and earlier checkpoints are kept",
            where=at,
            fix=FIX,
        )


def bound(lowest: float, vocabulary: int) -> float:
    """The loss above which training has gone astray: half of what was learned is lost, and MARGIN at least.

    What was learned is how far the lowest loss is below that of a guess among all tokens alike, ln V; more than
    MARGIN above that is astray in any case.
    """
    guess = math.log(vocabulary)
    return min(guess + MARGIN, max(lowest + MARGIN, (lowest + guess) / 2))
