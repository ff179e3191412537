"""Learning rate schedules."""

import math

from regard.config.schema import TrainConfig


def rate_factor(config: TrainConfig, step: int, progress: float) -> float:
    """Return the learning rate at a step as a share of its peak.

    All schedules rise linearly over `warmup_steps`. Then `inverse_sqrt` falls with 1 / sqrt(step) (Vaswani et al.
    2017, equation 3, scaled to its peak), `cosine` falls to 0 at the end of the run (Loshchilov and Hutter 2017,
    without restarts), and `constant` does not change.

    Args:
        config: The [train] section of the recipe.
        step: The number of the step, from 1.
        progress: The share of the run that is done, in [0, 1]; only `cosine` uses it.
    """
    warmup = max(1, config.warmup_steps)
    rise = min(1.0, step / warmup)
    if config.schedule == "inverse_sqrt":
        return min(rise, math.sqrt(warmup / step))
    if config.schedule == "cosine":
        return rise * 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))
    return rise
