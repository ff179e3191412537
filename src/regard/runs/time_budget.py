"""How many steps the time allows, and a schedule that fits them."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass

import torch

from regard.config.schema import RunConfig, TrainConfig
from regard.contract import VocabularySizes
from regard.data.batch import Batch, make_batch
from regard.models import build_model
from regard.runs.plan import Plan
from regard.runs.preflight import in_time
from regard.runtime import choose_device
from regard.special_tokens import SPECIAL
from regard.training.precision import Precision, choose_precision
from regard.training.step import TrainStep

STEPS = 3  # timed, after a first one
SECONDS = 5.0  # of timed steps, after which no other is begun
FOR_STEPS = 0.8  # of the time given; the rest is for validation and checkpoints
WARMUP = 10  # the share of the steps that warm-up takes is 1 / WARMUP
AS_STEPS = 2.0  # a validation takes as long as training on so many times its tokens, as measured with `modern`
VALIDATIONS = 6  # in a run whose schedule is fitted
SCARCE = 0.25  # of the steps that the corpus needs: with fewer, a model learns too little to overfit
POOR = 0.1  # of the steps that the corpus needs: with fewer, expect poor translations


@dataclass(frozen=True)
class Timing:
    """Seconds of one training step on this machine, and the precision that they were measured with."""

    seconds: float
    precision: Precision


@dataclass(frozen=True)
class Budget:
    """The steps that a run may take, those that its corpus needs, and the limits and the timing that say so.

    minutes: those that limit it, if any do; a step is also timed where the minutes given are enough.
    """

    allowed: int
    needed: int
    minutes: float | None = None
    timing: Timing | None = None

    @classmethod
    def of(cls, train: TrainConfig, needed: int, timing: Timing | None) -> Budget:
        """Return what `train`'s limits allow: its steps, and its minutes if a step was timed."""
        if timing is None or train.max_minutes is None:
            return cls(train.max_steps, needed)
        by_time = max(1, int(FOR_STEPS * 60 * train.max_minutes / timing.seconds))
        if by_time >= train.max_steps:
            return cls(train.max_steps, needed, None, timing)
        return cls(by_time, needed, train.max_minutes, timing)

    @property
    def is_short(self) -> bool:
        """Return whether it is less than the corpus needs."""
        return self.allowed < self.needed

    @property
    def is_scarce(self) -> bool:
        """Return whether it is so much less that rates should be higher and dropout lower."""
        return self.allowed < SCARCE * self.needed

    def lines(self, plan: Plan, pairs: int) -> list[str]:
        """Return a line on what the limits allow, if that is less than the corpus needs, or on the precision timed."""
        if not self.is_short:
            return self._precision_line(plan)
        share = f"{_percent(self.allowed / self.needed)} of the {self.needed:,} that {pairs:,} pairs need"
        poor = "; expect poor translations" if self.allowed < POOR * self.needed else ""
        if self.timing is None or self.minutes is None:
            steps = f"steps: {self.allowed:,} steps are {share}; the schedule is fitted to them{poor}"
            return [steps, *self._precision_line(plan)]
        minutes = plan.value("train.max_minutes", _minutes(self.minutes))
        whole = in_time(self.needed * self.timing.seconds / FOR_STEPS)
        precision = plan.value("train.precision", self.timing.precision)
        return [
            f"time: {minutes} allow about {self.allowed:,} steps of {in_time(self.timing.seconds)} in {precision}, "
            f"{share} (about {whole} on this machine); the schedule is fitted to the time{poor}"
        ]

    def _precision_line(self, plan: Plan) -> list[str]:
        if self.timing is None:
            return []
        precision = plan.value("train.precision", self.timing.precision)
        return [f"precision: {precision}, in which a step takes {in_time(self.timing.seconds)} here"]


def fit(train: TrainConfig, budget: Budget, dev_tokens: float) -> TrainConfig:
    """Return [train] with a warm-up and validations that suit the steps allowed, and the precision that was timed.

    dev_tokens: of the dev set, which is translated at each validation. What depends on measured time is thereby part
    of the recipe, so that the run, when it begins or is resumed, does not measure again.
    """
    if budget.timing is not None:
        train = train.model_copy(update={"precision": budget.timing.precision})
    if not budget.is_short:
        return train
    validation = AS_STEPS * dev_tokens / (train.tokens_per_batch * train.accumulate)  # in steps
    apart = round(validation * FOR_STEPS / (1 - FOR_STEPS))
    fitted = {
        "warmup_steps": min(train.warmup_steps, max(1, budget.allowed // WARMUP)),
        "checkpoint_every": min(train.checkpoint_every, max(1, budget.allowed // VALIDATIONS, apart)),
    }
    return train.model_copy(update=fitted)


def measure(config: RunConfig, sizes: VocabularySizes, length: float, say: Callable[[str], None]) -> Timing:
    """Time a training step of a recipe on made-up pairs of about `length` tokens, in the faster precision.

    It builds a model for that and throws it away. Random numbers of training stay as they are.
    """
    device = choose_device(config.train.device)
    chosen, _ = choose_precision(config.train.precision, device)
    tried: set[Precision] = {chosen}
    if config.train.precision == "auto" and device.type == "cpu":
        tried.add("float32")
    say("measuring a training step, to fit the schedule to the time given")
    timings = step_times(config, sizes, length, tried, device)
    return min(timings, key=lambda timing: timing.seconds)


def step_times(
    config: RunConfig, sizes: VocabularySizes, length: float, precisions: Collection[Precision], device: torch.device
) -> list[Timing]:
    """Time a training step of a recipe on made-up pairs of about `length` tokens, in each of the precisions."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        return [
            Timing(_seconds(config, sizes, round(length), precision, device), precision)
            for precision in sorted(precisions)
        ]


def _seconds(
    config: RunConfig, sizes: VocabularySizes, length: int, precision: Precision, device: torch.device
) -> float:
    train = config.train.model_copy(update={"precision": precision})
    train_step = TrainStep(build_model(config.model, sizes).to(device), train)
    dice = random.Random(0)
    rows = max(1, train.tokens_per_batch // length)
    taken: list[float] = []
    for step in range(1 + STEPS):
        batches = [_made_up(dice, sizes, rows, max(1, length - 1)) for _ in range(train.accumulate)]
        began = time.monotonic()
        train_step.step(batches, 0.1)  # `.item()` in it waits for a GPU
        if step:
            taken.append(time.monotonic() - began)
        if sum(taken) > SECONDS:
            break
    return min(taken)


def _made_up(dice: random.Random, sizes: VocabularySizes, rows: int, length: int) -> Batch:
    def ids(size: int) -> list[int]:
        return dice.choices(range(min(len(SPECIAL), size - 1), size), k=length)

    return make_batch([(ids(sizes.source), ids(sizes.target)) for _ in range(rows)])


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %" if share >= 0.01 else f"{100 * share:.1g} %"


def _minutes(minutes: float) -> str:
    return "1 minute" if minutes == 1 else f"{minutes:g} minutes"
