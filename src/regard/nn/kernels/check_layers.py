"""Known-answer tests of the kernels between the matrix products of a layer."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from regard.nn.kernels.check_arrays import Doubles, addresses, blank, is_near, sine_values

if TYPE_CHECKING:
    from regard.nn.kernels.native import Kernels


def standardized(x: NDArray[Any]) -> Doubles:
    """Return the rows of x with mean 0 and variance 1, as LayerNorm computes them with an epsilon of 1e-5."""
    deviation: Doubles = x - x.mean(-1, keepdims=True, dtype=np.float64)
    scaled: Doubles = deviation / np.sqrt((deviation**2).mean(-1, keepdims=True) + 1e-5)
    return scaled


def logistic(x: NDArray[Any]) -> Doubles:
    """Return 1 / (1 + e^-x)."""
    exact: Doubles = 1 / (1 + np.exp(-x.astype(np.float64)))
    return exact


def rotated(x: NDArray[Any], turn: NDArray[Any]) -> Doubles:
    """Return heads x (..., H x W) with their pairs multiplied by the complex numbers of a turn (..., W)."""
    pairs, factors = (part.astype(np.float64).view(np.complex128) for part in (x, turn))
    heads = pairs.reshape(*pairs.shape[:-1], -1, turn.shape[-1] // 2) * factors[..., None, :]
    exact: Doubles = heads.view(np.float64).reshape(x.shape)
    return exact


def _norm(kernels: Kernels) -> bool:
    x, gain, out = sine_values(3, 96) * 3 + 2, sine_values(96, seed=5), blank(3, 96)
    kernels.norm(*addresses(x, gain), 1e-5, out.ctypes.data, 3, 96)
    return is_near(out, standardized(x) * gain)


def _add(kernels: Kernels) -> bool:
    x, y, out = sine_values(37), sine_values(37, seed=2), blank(37)
    kernels.add(*addresses(x, y, out), 37)
    return bool((out == x + y).all())


def _rotate(kernels: Kernels) -> bool:
    """Four rows of three heads at the two positions of their sequences."""
    x, turns, out = sine_values(4, 3 * 48), sine_values(2, 48, seed=3), blank(4, 3 * 48)
    kernels.rotate(*addresses(x, turns, out), 4, 2, 3, 48)
    return is_near(out, rotated(x, turns[[0, 1, 0, 1]]))


def _ssru(kernels: Kernels) -> bool:
    forget, inputs = sine_values(2, 3, 48) * 20, sine_values(2, 3, 48, seed=3)
    state, out = sine_values(2, 48, seed=4), blank(2, 3, 48)
    exact, states = state.astype(np.float64), []
    for keep, new in zip(logistic(forget).transpose(1, 0, 2), inputs.transpose(1, 0, 2), strict=True):
        exact = keep * exact + (1 - keep) * new
        states.append(exact)
    kernels.ssru(*addresses(forget, inputs, state, out), 2, 3, 48)
    return is_near(out, np.maximum(np.stack(states, 1), 0)) and is_near(state, exact)


LAYER_CHECKS: tuple[Callable[[Kernels], bool], ...] = (_norm, _add, _rotate, _ssru)
