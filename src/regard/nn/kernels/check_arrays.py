"""Arrays for the known-answer tests of the kernels."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]

TOLERANCE = 1e-4  # relative to the largest value; correct kernels are within 1e-6


def sine_values(*shape: int, seed: int = 0) -> Floats:
    """Return values in (-1, 1) that depend on the shape and the seed."""
    count = int(np.prod(shape))
    values: Floats = np.sin(np.arange(1 + seed, 1 + seed + count) * 12.9898, dtype=np.float32).reshape(shape)
    return values


def blank(*shape: int) -> Floats:
    """Return an array of NaN, for a kernel to fill."""
    return np.full(shape, np.nan, np.float32)


def is_near(actual: NDArray[Any], expected: NDArray[Any]) -> bool:
    """Return whether values are within TOLERANCE of the expected ones."""
    return bool(np.abs(actual - expected).max() <= TOLERANCE * max(1.0, float(np.abs(expected).max())))


def addresses(*arrays: NDArray[Any] | None) -> list[int | None]:
    """Return the address of each array."""
    return [None if array is None else array.ctypes.data for array in arrays]


def softmax(scores: Doubles) -> Doubles:
    """Return the softmax over the last axis."""
    powers = np.exp(scores - scores.max(-1, keepdims=True))
    exact: Doubles = powers / powers.sum(-1, keepdims=True)
    return exact
