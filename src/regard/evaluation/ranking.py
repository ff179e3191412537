"""How well a value ranks right above wrong: area under the ROC curve, and rank correlation."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray


def area_under_roc(values: NDArray[np.floating[Any]], is_right: NDArray[np.bool_]) -> float:
    """Return the probability that a right item has a greater value than a wrong one; equal values count half.

    It is 0.5 for values that say nothing (Hanley and McNeil 1982), and NaN if all items are right, or none.

    Args:
        values: (N,).
        is_right: (N,).
    """
    right = int(is_right.sum())
    wrong = len(is_right) - right
    if not right or not wrong:
        return math.nan
    return float((_mean_ranks(values)[is_right].sum() - right * (right + 1) / 2) / (right * wrong))


def spearman(first: NDArray[np.floating[Any]], second: NDArray[np.floating[Any]]) -> float:
    """Return Spearman's rank correlation of two sequences (N,), -1 to 1; NaN if one is constant."""
    ranks = [_mean_ranks(values) - (len(values) + 1) / 2 for values in (first, second)]
    norm = math.sqrt(float((ranks[0] ** 2).sum()) * float((ranks[1] ** 2).sum()))
    return float((ranks[0] * ranks[1]).sum()) / norm if norm else math.nan


def _mean_ranks(values: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Return the rank of each value, from 1; equal values share the mean of their ranks."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks: NDArray[np.float64] = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    return ranks
