"""Whether a model is as often right as it is sure: expected calibration error (Naeini et al. 2015, Guo et al. 2017)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regard.errors import DataError

BINS = 10


@dataclass(frozen=True)
class Reliability:
    """Tokens whose probability was above `low` and at most `high`: how many, how sure in the mean, how often right."""

    low: float
    high: float
    tokens: int
    confidence: float
    accuracy: float


@dataclass(frozen=True)
class Calibration:
    """Of N tokens, each with a probability, and right or not.

    error: the mean over bins of probability, each counting by its tokens, of |confidence - accuracy|; 0 to 1.
    confidence, accuracy: the mean of all tokens; where the first is greater the model is too sure of itself.
    bins: those that have a token, by probability.
    """

    tokens: int
    error: float
    confidence: float
    accuracy: float
    bins: tuple[Reliability, ...]


def calibration(probabilities: NDArray[np.floating[Any]], right: NDArray[np.bool_], *, bins: int = BINS) -> Calibration:
    """Of probabilities (N,) and whether each of these predictions was right (N,), in bins of one width.

    Raises DataError for none, for other than one answer each, and for what is no probability.
    """
    if len(probabilities) == 0 or probabilities.shape != right.shape:
        raise DataError(
            f"there are {len(probabilities)} probabilities and {len(right)} answers", fix="give one answer each"
        )
    sure = probabilities.astype(np.float64)
    if not ((sure >= 0) & (sure <= 1 + 1e-6)).all():  # a sum of rounded numbers may exceed 1
        raise DataError("a probability is not between 0 and 1", fix="give probabilities, not their logarithms")
    sure = np.minimum(sure, 1)
    places = np.clip(np.ceil(sure * bins).astype(int) - 1, 0, bins - 1)
    found = [
        Reliability(
            place / bins, (place + 1) / bins, int(inside.sum()), float(sure[inside].mean()), float(right[inside].mean())
        )
        for place in range(bins)
        if (inside := places == place).any()
    ]
    error = sum(one.tokens * abs(one.confidence - one.accuracy) for one in found) / len(sure)
    return Calibration(len(sure), float(error), float(sure.mean()), float(right.mean()), tuple(found))
