"""How the learning rate goes up and down."""

import math

from regard.config.schema import TrainConfig


def rate_factor(config: TrainConfig, step: int, progress: float) -> float:
    """The share of the peak learning rate at a step (counted from 1).

    progress: the share of the run that is over, in [0, 1]; only cosine asks for it. All schedules
    rise linearly over warmup_steps. Then inverse_sqrt falls with 1 / sqrt(step) (Vaswani et al.
    2017, equation 3, scaled to its peak), cosine falls to 0 at the end of the run (Loshchilov and
    Hutter 2017, without restarts), and constant stays.
    """
    warmup = max(1, config.warmup_steps)
    rise = min(1.0, step / warmup)
    if config.schedule == "inverse_sqrt":
        return min(rise, math.sqrt(warmup / step))
    if config.schedule == "cosine":
        return rise * 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))
    return rise
