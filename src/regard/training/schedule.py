"""Learning rate schedules."""

from __future__ import annotations

import math
from dataclasses import dataclass

from regard.config.optimization import OptimizationConfig

ROUNDING = 1e-9  # of epochs


@dataclass(frozen=True)
class SchedulePoint:
    """Where training is.

    Attributes:
        step: The number of the step, from 1.
        stage_start: The steps before the current stage.
        epoch: The epochs that are done, with the part of the current one.
        fraction_done: The share of the run that is done, in [0, 1].
        reductions: How often the schedule `plateau` has lowered the rate.
    """

    step: int
    stage_start: int = 0
    epoch: float = 0.0
    fraction_done: float = 0.0
    reductions: int = 0


def rate_factor(config: OptimizationConfig, point: SchedulePoint) -> float:
    """Return the learning rate at a step as a share of its peak.

    All schedules rise linearly over the `warmup_steps` of the stage. Then

    - `inverse_sqrt` falls with 1 / sqrt(step) (Vaswani et al. 2017, equation 3, scaled to its peak),
    - `cosine` falls to 0 at the end of the run (Loshchilov and Hutter 2017, without restarts),
    - `constant` does not change,
    - `halving` halves the rate after `halving_start` epochs or steps, and again after each `halving_interval`
      (Sutskever et al. 2014, section 3.4; Luong et al. 2015, section 4.1; Wu et al. 2016, section 8.3),
    - `plateau` multiplies it by `plateau_factor` for each plateau of the dev loss (Gehring et al. 2017, section 4.2).
    """
    warmup = max(1, config.warmup_steps)
    step = point.step - point.stage_start
    rise = min(1.0, step / warmup)
    match config.schedule:
        case "inverse_sqrt":
            return min(rise, math.sqrt(warmup / step))
        case "cosine":
            return rise * 0.5 * (1 + math.cos(math.pi * min(1.0, point.fraction_done)))
        case "constant":
            return rise
        case "halving":
            return rise * 0.5 ** _count_halvings(config, point)
        case "plateau":
            return rise * config.plateau_factor**point.reductions


def _count_halvings(config: OptimizationConfig, point: SchedulePoint) -> int:
    """Return how often `halving` has halved the rate."""
    assert config.halving_start is not None and config.halving_interval is not None
    position = point.epoch if config.halving_unit == "epochs" else point.step - 1
    since = position - config.halving_start
    return 0 if since < -ROUNDING else 1 + math.floor(since / config.halving_interval + ROUNDING)
