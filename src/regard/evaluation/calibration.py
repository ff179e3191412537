"""Expected calibration error: does confidence match accuracy? (Naeini et al. 2015, Guo et al. 2017)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regard.errors import DataError

BINS = 10


@dataclass(frozen=True)
class ReliabilityBin:
    """Tokens with a probability in (low, high]: their number, mean probability and accuracy."""

    low: float
    high: float
    tokens: int
    confidence: float
    accuracy: float


@dataclass(frozen=True)
class Calibration:
    """Calibration of token predictions.

    Attributes:
        tokens: Number of predictions.
        error: Expected calibration error, 0 to 1: |confidence - accuracy| averaged over bins, weighted by tokens.
        confidence: Mean probability. The model is overconfident if it exceeds the accuracy.
        accuracy: Share of correct predictions.
        bins: The bins that have tokens, by probability.
    """

    tokens: int
    error: float
    confidence: float
    accuracy: float
    bins: tuple[ReliabilityBin, ...]


def compute_calibration(
    probabilities: NDArray[np.floating[Any]], is_correct: NDArray[np.bool_], *, bins: int = BINS
) -> Calibration:
    """Compute the calibration of predictions, with bins of equal width.

    Args:
        probabilities: (N,) the probability of each prediction.
        is_correct: (N,) whether each prediction is correct.
        bins: Number of bins.

    Raises:
        DataError: There are no predictions, the lengths differ, or a probability is not between 0 and 1.
    """
    if len(probabilities) == 0 or probabilities.shape != is_correct.shape:
        raise DataError(
            f"there are {len(probabilities)} probabilities and {len(is_correct)} answers",
            fix="give one answer for each probability, and at least one",
        )
    confidences = probabilities.astype(np.float64)
    if not ((confidences >= 0) & (confidences <= 1 + 1e-6)).all():  # a sum of rounded numbers may exceed 1
        raise DataError("a probability is not between 0 and 1", fix="give probabilities, not their logarithms")
    confidences = np.minimum(confidences, 1)
    bin_indices = np.clip(np.ceil(confidences * bins).astype(int) - 1, 0, bins - 1)
    reliability = [
        ReliabilityBin(
            index / bins,
            (index + 1) / bins,
            int(inside.sum()),
            float(confidences[inside].mean()),
            float(is_correct[inside].mean()),
        )
        for index in range(bins)
        if (inside := bin_indices == index).any()
    ]
    error = sum(part.tokens * abs(part.confidence - part.accuracy) for part in reliability) / len(confidences)
    return Calibration(
        len(confidences), float(error), float(confidences.mean()), float(is_correct.mean()), tuple(reliability)
    )
