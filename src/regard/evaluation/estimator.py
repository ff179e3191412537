"""A calibrated probability from a few features: monotone logistic regression, then isotonic regression.

The weights are not negative, so a greater feature never gives a smaller probability. The isotonic step (Zadrozny and
Elkan 2002) corrects the shape of the curve where there are enough examples.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

L2 = 1.0  # penalty on the squared weights of standardized features
MAX_STEPS = 100  # of Newton's method, which needs about ten
TOLERANCE = 1e-10  # relative decrease of the loss at which it ends
ISOTONIC_EXAMPLES = 2000  # fewer examples are too few for isotonic regression
GROUPS = 100  # of examples with similar probabilities, for isotonic regression

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Estimator:
    """The probability that something with certain features is right.

    Attributes:
        bias: The log-odds if all features are 0.
        weights: The change of the log-odds with each feature.
        curve: Points (probability by the log-odds, corrected probability), neither decreasing; empty: no correction.
        examples: The number of examples that it was fitted on.
        right: The share of right ones among them.
    """

    bias: float
    weights: tuple[float, ...]
    curve: tuple[tuple[float, float], ...]
    examples: int
    right: float

    def predict(self, features: Floats) -> Floats:
        """Return the probability (N,) of each row of features (N, F)."""
        # Row by row, not as a matrix product: the result of a row must not depend on the number of rows.
        probabilities = _sigmoid((features * np.array(self.weights)).sum(1) + self.bias)
        if not self.curve:
            return probabilities
        before, after = zip(*self.curve, strict=True)
        corrected: Floats = np.interp(probabilities, before, after)
        return corrected

    @classmethod
    def from_json(cls, table: Mapping[str, Any], features: int) -> Self:
        """Return the estimator of `features` features that was stored as JSON.

        Raises:
            KeyError, TypeError, ValueError: It is not valid.
        """
        estimator = cls(
            bias=float(table["bias"]),
            weights=tuple(map(float, table["weights"])),
            curve=tuple((float(before), float(after)) for before, after in table["curve"]),
            examples=int(table["examples"]),
            right=float(table["right"]),
        )
        points = np.array(estimator.curve, dtype=np.float64).reshape(-1, 2)
        is_valid = (
            len(estimator.weights) == features
            and all(map(math.isfinite, (estimator.bias, *estimator.weights)))
            and bool(((points >= 0) & (points <= 1)).all() and (np.diff(points, axis=0) >= 0).all())
            and 0 <= estimator.right <= 1
            and estimator.examples >= 0
        )
        if not is_valid:
            raise ValueError("the numbers of an estimator are not valid")
        return estimator


def fit_estimator(features: Floats, is_right: NDArray[np.bool_], *, is_free: tuple[int, ...] = ()) -> Estimator:
    """Fit an estimator. The same examples give the same estimator.

    Args:
        features: (N, F).
        is_right: (N,).
        is_free: The features whose weight may be negative.
    """
    means, scales = features.mean(0), features.std(0)
    scales[scales < 1e-9] = 1
    inputs = np.column_stack([np.ones(len(features)), (features - means) / scales])
    lowest = np.zeros(inputs.shape[1])
    lowest[[0, *(1 + index for index in is_free)]] = -np.inf
    fitted = _fit_logistic(inputs, is_right.astype(np.float64), lowest)
    weights = fitted[1:] / scales
    estimator = Estimator(
        bias=float(fitted[0] - weights @ means),
        weights=tuple(weights.tolist()),
        curve=(),
        examples=len(features),
        right=float(is_right.mean()),
    )
    if len(features) < ISOTONIC_EXAMPLES:
        return estimator
    curve = _isotonic(estimator.predict(features), is_right)
    return Estimator(estimator.bias, estimator.weights, curve, estimator.examples, estimator.right)


def _sigmoid(log_odds: Floats) -> Floats:
    return np.exp(-np.logaddexp(0, -log_odds))


def _fit_logistic(inputs: Floats, targets: Floats, lowest: Floats) -> Floats:
    """Return the weights (F,), none below `lowest`, with the least penalized loss, by projected Newton steps."""
    penalty = np.full(inputs.shape[1], L2)
    penalty[0] = 1e-6  # of the bias; if all targets are equal, it would grow without end
    signs = 2 * targets - 1

    def loss(weights: Floats) -> float:
        return float(np.logaddexp(0, -(inputs @ weights) * signs).sum() + (penalty * weights**2).sum() / 2)

    weights = np.zeros(inputs.shape[1])
    current = loss(weights)
    for _ in range(MAX_STEPS):
        probabilities = _sigmoid(inputs @ weights)
        gradient = inputs.T @ (probabilities - targets) + penalty * weights
        moves = np.flatnonzero((weights > lowest) | (gradient < 0))
        curvature = (inputs * (probabilities * (1 - probabilities))[:, None]).T @ inputs + np.diag(penalty)
        step = np.zeros_like(weights)
        step[moves] = np.linalg.solve(curvature[np.ix_(moves, moves)], gradient[moves])
        previous, size = current, 1.0
        while size > 1e-8:
            candidate = np.maximum(weights - size * step, lowest)
            if (candidate_loss := loss(candidate)) < current:
                weights, current = candidate, candidate_loss
                break
            size /= 2
        if previous - current <= TOLERANCE * previous:
            break
    return weights


def _isotonic(probabilities: Floats, is_right: NDArray[np.bool_]) -> tuple[tuple[float, float], ...]:
    """Return the points of an increasing curve from probabilities (N,) to shares of right ones.

    Pool adjacent violators (Ayer et al. 1955) on groups of equal size. The curve begins at (0, 0) and ends at (1, 1),
    so that probabilities beyond those of the examples still differ.
    """
    blocks: list[tuple[float, int, int]] = []  # sum of the probabilities, right ones, size
    for group in np.array_split(np.argsort(probabilities, kind="stable"), GROUPS):
        blocks.append((float(probabilities[group].sum()), int(is_right[group].sum()), len(group)))
        while len(blocks) > 1 and blocks[-2][1] * blocks[-1][2] >= blocks[-1][1] * blocks[-2][2]:
            last, before = blocks.pop(), blocks.pop()
            blocks.append((last[0] + before[0], last[1] + before[1], last[2] + before[2]))
    shares = np.maximum.accumulate([(right + 1) / (size + 2) for _, right, size in blocks])
    # The means of groups with equal probabilities may differ by a rounding error.
    means = np.maximum.accumulate([total / size for total, _, size in blocks])
    points = [(float(mean), float(share)) for mean, share in zip(means, shares, strict=True)]
    return ((0.0, 0.0), *points, (1.0, 1.0))
