"""The steps that the limits of a run allow, and a schedule that fits them."""

from __future__ import annotations

import math
from dataclasses import dataclass

from regard.config.schema import TrainConfig
from regard.runs.plan import Plan
from regard.runs.preflight import format_duration
from regard.runs.step_timing import StepTiming

STEP_SHARE = 0.8  # of max_minutes; the rest is for validation and checkpoints
WARMUP_DIVISOR = 10  # warm-up takes at most 1 / WARMUP_DIVISOR of the steps
VALIDATION_COST = 2.0  # validation takes as long as training on this many times its tokens, as measured with `modern`
MAX_VALIDATIONS = 6  # in a run whose schedule is fitted
SCARCE = 0.25  # with a smaller share of the steps that the corpus needs, a model learns too little to overfit
POOR = 0.1  # with a smaller share of the steps that the corpus needs, translations are poor


@dataclass(frozen=True)
class Budget:
    """How many steps a run can take, and how many its corpus needs.

    Attributes:
        allowed: Steps that the limits of the run allow.
        needed: Steps that suit the corpus.
        minutes: The time limit, if it allows fewer steps than the other limits do.
        timing: The timing of a step, if one was measured.
    """

    allowed: int
    needed: int
    minutes: float | None = None
    timing: StepTiming | None = None

    @classmethod
    def from_limits(cls, train: TrainConfig, needed: int, epoch_steps: int, timing: StepTiming | None) -> Budget:
        """Return the budget that max_steps, max_epochs and, if a step was timed, max_minutes allow."""
        by_epochs = math.inf if train.max_epochs is None else max(1, math.ceil(train.max_epochs * epoch_steps))
        steps = int(min(train.max_steps, by_epochs))
        if timing is None or train.max_minutes is None:
            return cls(steps, needed)
        by_time = max(1, int(STEP_SHARE * 60 * train.max_minutes / timing.seconds))
        if by_time >= steps:
            return cls(steps, needed, None, timing)
        return cls(by_time, needed, train.max_minutes, timing)

    @property
    def is_short(self) -> bool:
        """Return whether fewer steps are allowed than needed."""
        return self.allowed < self.needed

    @property
    def is_scarce(self) -> bool:
        """Return whether so few steps are allowed that a higher learning rate and less dropout are better."""
        return self.allowed < SCARCE * self.needed

    def describe(self, plan: Plan, pairs: int) -> list[str]:
        """Return the lines of the plan on the steps, if fewer are allowed than needed, and on a measured precision."""
        if not self.is_short:
            return self._describe_precision(plan)
        share = f"{_percent(self.allowed / self.needed)} of the {self.needed:,} that {pairs:,} pairs need"
        poor = "; expect poor translations" if self.allowed < POOR * self.needed else ""
        if self.timing is None or self.minutes is None:
            steps = f"steps: {self.allowed:,} steps are {share}; the schedule is fitted to them{poor}"
            return [steps, *self._describe_precision(plan)]
        minutes = plan.mark("train.max_minutes", _minutes(self.minutes))
        allow = "allows" if self.minutes == 1 else "allow"
        duration = format_duration(self.needed * self.timing.seconds / STEP_SHARE)
        precision = plan.mark("train.precision", self.timing.precision)
        return [
            f"time: {minutes} {allow} about {self.allowed:,} steps of {format_duration(self.timing.seconds)} in "
            f"{precision}, {share} (about {duration} on this machine); the schedule is fitted to the time{poor}"
        ]

    def _describe_precision(self, plan: Plan) -> list[str]:
        if self.timing is None:
            return []
        precision = plan.mark("train.precision", self.timing.precision)
        return [f"precision: {precision}; a step takes {format_duration(self.timing.seconds)} here"]


def fit_schedule(train: TrainConfig, budget: Budget, dev_tokens: float) -> TrainConfig:
    """Return [train] with the measured precision and, for a short budget, a suitable warm-up and validation interval.

    Values that depend on measured time become part of the recipe, so the run does not measure again.

    Args:
        train: The [train] section.
        budget: The allowed and the needed steps.
        dev_tokens: Tokens of the dev set, which is translated in each validation.
    """
    if budget.timing is not None:
        train = train.model_copy(update={"precision": budget.timing.precision})
    if not budget.is_short:
        return train
    validation_steps = VALIDATION_COST * dev_tokens / (train.tokens_per_batch * train.accumulate)
    interval = round(validation_steps * STEP_SHARE / (1 - STEP_SHARE))
    changes = {
        "warmup_steps": min(train.warmup_steps, max(1, budget.allowed // WARMUP_DIVISOR)),
        "checkpoint_every": min(train.checkpoint_every, max(1, budget.allowed // MAX_VALIDATIONS, interval)),
    }
    return train.model_copy(update=changes)


def _percent(share: float) -> str:
    return f"{100 * share:.0f}%" if share >= 0.01 else f"{100 * share:.1g}%"


def _minutes(minutes: float) -> str:
    return "1 minute" if minutes == 1 else f"{minutes:g} minutes"
