"""How far training is: when it validates, when it ends, and its learning rate."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from regard.config.schema import TrainConfig
from regard.data.loader import BatchSource
from regard.training.plateau import PlateauMonitor
from regard.training.schedule import ROUNDING, SchedulePoint, rate_factor

End = Literal["steps", "epochs", "minutes", "rate", "patience", "interrupted"]

SMOOTHING = 0.95  # of the reported loss and speed


@dataclass
class Progress:
    """How far training is; saved in every checkpoint."""

    step: int = 0
    last_validated_step: int = 0
    last_validated_epoch: int = 0
    seconds: float = 0.0
    best_score: float | None = None  # higher is better: the negative of a loss
    checkpoints_since_best: int = 0


class Timing:
    """Decides when training validates and when it ends, and gives the learning rate of each step.

    Args:
        config: The [train] section of the recipe.
        loader: The source of batches, which knows the epoch.

    Attributes:
        plateau: The plateaus of the dev loss.
    """

    def __init__(self, config: TrainConfig, loader: BatchSource) -> None:
        self.plateau = PlateauMonitor()
        self._config, self._loader = config, loader

    def rate_factor(self, step: int, progress: Progress) -> float:
        """Return the learning rate of a step, from 1, as a share of the peak of its stage."""
        start = self._config.stage_start(step)
        reductions = self.plateau.reductions if self.plateau.stage_start == start else 0
        point = SchedulePoint(step, start, self._epoch(), self.fraction_done(progress), reductions)
        return rate_factor(self._config.stage(step), point)

    def find_end(self, progress: Progress) -> End | None:
        """Return which limit has ended training, None if none has."""
        config = self._config
        if progress.step >= config.max_steps:
            return "steps"
        if config.max_epochs is not None and self._epoch() >= config.max_epochs - ROUNDING:
            return "epochs"
        if config.max_minutes is not None and progress.seconds >= 60 * config.max_minutes:
            return "minutes"
        if config.min_learning_rate and self._has_low_rate(progress):
            return "rate"
        if config.patience and progress.checkpoints_since_best >= config.patience:
            return "patience"
        return None

    def fraction_done(self, progress: Progress) -> float:
        """Return the share of the limit of steps, epochs or minutes that is used up, whichever is largest."""
        config = self._config
        by_steps = progress.step / config.max_steps
        by_epochs = 0.0 if config.max_epochs is None else self._epoch() / config.max_epochs
        by_time = 0.0 if config.max_minutes is None else progress.seconds / (60 * config.max_minutes)
        return max(by_steps, by_epochs, by_time)

    def is_checkpoint_due(self, progress: Progress) -> bool:
        """Return whether the current step ends with a checkpoint that has not been validated yet."""
        by_steps = progress.step % self._config.checkpoint_every == 0
        is_new_epoch = self._loader.position.epoch > progress.last_validated_epoch
        by_epochs = self._config.checkpoint_each_epoch and is_new_epoch
        return progress.step > progress.last_validated_step and (by_steps or by_epochs)

    def record_scores(self, scores: Mapping[str, float], step: int) -> None:
        """Record the dev scores after a step, whose loss the schedule `plateau` of its stage follows."""
        stage, start = self._config.stage(step), self._config.stage_start(step)
        if stage.schedule != "plateau":
            return
        if self.plateau.stage_start != start:
            self.plateau = PlateauMonitor(stage_start=start)
        self.plateau.update(scores["loss"], stage)

    def _epoch(self) -> float:
        """Return the number of epochs that are done; of a streamed corpus, whole ones."""
        position, batches = self._loader.position, self._loader.batches_per_epoch
        return position.epoch + (position.batch / batches if batches else 0)

    def _has_low_rate(self, progress: Progress) -> bool:
        """Return whether the schedule has lowered the learning rate of the next step below its minimum."""
        step = progress.step + 1
        stage, start = self._config.stage(step), self._config.stage_start(step)
        is_falling = stage.schedule in ("halving", "plateau") and step - start > stage.warmup_steps
        return is_falling and stage.learning_rate * self.rate_factor(step, progress) < self._config.min_learning_rate


@dataclass
class RunningMeans:
    """Smoothed values for reports."""

    loss: float = math.nan
    speed: float = math.nan
    rate: float = 0.0

    def add(self, loss: float, speed: float, rate: float) -> None:
        """Add the values of a step; the learning rate is not smoothed."""
        is_first = math.isnan(self.loss)
        self.loss = loss if is_first else SMOOTHING * self.loss + (1 - SMOOTHING) * loss
        self.speed = speed if is_first else SMOOTHING * self.speed + (1 - SMOOTHING) * speed
        self.rate = rate
