"""Known-answer tests of the kernels. Each process runs them when it loads the kernels.

Each kernel gets a small input that covers its vector loops, their remainders and typical causes of wrong results (ties,
masked slots, the largest products of bytes). The answers are computed in float64 by NumPy.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from regard.nn.kernels.check_arrays import TOLERANCE, Doubles, addresses, blank, is_near, sine_values, softmax
from regard.nn.kernels.check_search import SEARCH_CHECKS

if TYPE_CHECKING:
    from regard.nn.kernels.native import Kernels

SEED, DROPPED = 7, 20_000
KEEP_BITS = 0xF35CF3F99E1DFD99  # dropout for SEED and DROPPED: bit i is 1 if value i is kept


def failing(kernels: Kernels) -> str | None:
    """Return the name of the first kernel with a wrong answer, or None."""
    with np.errstate(all="ignore"):
        return next((check.__name__[1:] for check in _CHECKS if not check(kernels)), None)


class _Sequences:
    """Two sequences of 3 and 7 queries over 18 and 5 keys, in 2 heads of 48."""

    def __init__(self) -> None:
        self.rows, self.columns = np.array([0, 3, 10]), np.array([0, 18, 23])
        self.queries = sine_values(10, 2, 48) * 3
        self.keys, self.own = sine_values(23, 2, 48, seed=3), sine_values(23, 2, 48, seed=4)
        self.weights = blank(2 * (3 * 32 + 7 * 16))
        self.out = blank(10, 2, 48)

    def run(self, kernels: Kernels) -> None:
        inputs = addresses(self.queries, self.keys, self.own, self.weights, self.out, self.rows, self.columns)
        kernels.attention(*inputs, 0, 2, 2, 48, 96, 96, 0)

    def parts(self) -> list[tuple[slice, slice]]:
        return [(slice(*self.rows[part : part + 2]), slice(*self.columns[part : part + 2])) for part in range(2)]

    def exact(self, row: slice, column: slice) -> tuple[Doubles, ...]:
        """Return the queries, keys, values and weights of one sequence, in float64, by head."""
        queries, keys, own = (
            part.astype(np.float64).transpose(1, 0, 2)
            for part in (self.queries[row], self.keys[column], self.own[column])
        )
        return queries, keys, own, softmax(queries @ keys.transpose(0, 2, 1) / 48**0.5)


def _attention(kernels: Kernels) -> bool:
    sequences = _Sequences()
    sequences.run(kernels)
    for row, column in sequences.parts():
        _, _, own, weights = sequences.exact(row, column)
        if not is_near(sequences.out[row], (weights @ own).transpose(1, 0, 2)):
            return False
    return True


def _attention_gradient(kernels: Kernels) -> bool:
    sequences = _Sequences()
    sequences.run(kernels)
    change = sine_values(10, 2, 48, seed=8)
    of_queries, of_keys, of_own = (blank(*x.shape) for x in (sequences.queries, sequences.keys, sequences.own))
    inputs = (change, sequences.queries, sequences.keys, sequences.own, sequences.weights)
    pointers = addresses(*inputs, of_queries, of_keys, of_own, sequences.rows, sequences.columns)
    kernels.attention_gradient(*pointers, 0, 2, 2, 48, 96, 96, 96)
    for row, column in sequences.parts():
        queries, keys, own, weights = sequences.exact(row, column)
        of_means = change[row].astype(np.float64).transpose(1, 0, 2)
        of_weights = of_means @ own.transpose(0, 2, 1)
        of_scores = weights * (of_weights - (of_weights * weights).sum(-1, keepdims=True)) / 48**0.5
        expected = (of_scores @ keys, of_scores.transpose(0, 2, 1) @ queries, weights.transpose(0, 2, 1) @ of_means)
        actual = (of_queries[row], of_keys[column], of_own[column])
        if not all(is_near(x, exact.transpose(1, 0, 2)) for x, exact in zip(actual, expected, strict=True)):
            return False
    return True


class _Norm:
    """LayerNorm(x + y) of 3 rows of 96, with intermediate results for its gradient."""

    def __init__(self) -> None:
        self.x, self.y = sine_values(3, 96) * 3 + 2, sine_values(3, 96, seed=2)
        self.gain, self.bias = sine_values(96, seed=5), sine_values(96, seed=6)
        total = self.x.astype(np.float64) + self.y
        centred = total - total.mean(1, keepdims=True)
        self.scales = 1 / np.sqrt((centred**2).mean(1, keepdims=True) + 1e-5)
        self.normal = centred * self.scales
        self.out = self.normal * self.gain + self.bias


def _add_norm(kernels: Kernels) -> bool:
    norm = _Norm()
    out = blank(3, 96)
    kernels.add_norm(*addresses(norm.x, norm.y, norm.gain, norm.bias), 1e-5, out.ctypes.data, 3, 96)
    return is_near(out, norm.out)


def _drop_add_norm(kernels: Kernels) -> bool:
    norm = _Norm()
    total, out, normal = (blank(3, 96) for _ in range(3))
    scales = blank(3, 1)
    inputs = addresses(norm.x, norm.y, norm.gain, norm.bias)
    kernels.drop_add_norm(*inputs, 1e-5, *addresses(total, out, normal, scales), 0, 3, 96, 0, 1.0, SEED)
    actual, expected = (total, out, normal, scales), (norm.x + norm.y, norm.out, norm.normal, norm.scales)
    return all(is_near(x, exact) for x, exact in zip(actual, expected, strict=True))


def _drop_add_norm_gradient(kernels: Kernels) -> bool:
    norm, change = _Norm(), sine_values(3, 96, seed=7)
    normal, scales = norm.normal.astype(np.float32), norm.scales.astype(np.float32)
    of_x, of_gain, of_bias = blank(3, 96), np.zeros(96, np.float32), np.zeros(96, np.float32)
    inputs = addresses(change, None, normal, scales, norm.gain, of_x, of_x, of_gain, of_bias)
    kernels.drop_add_norm_gradient(*inputs, 0, 3, 96, 0, 1.0, SEED)
    of_normal = change.astype(np.float64) * norm.gain
    along = (of_normal * norm.normal).mean(1, keepdims=True)
    expected = (of_normal - of_normal.mean(1, keepdims=True) - norm.normal * along) * norm.scales
    sums = (change * norm.normal).sum(0), change.sum(0)
    return is_near(of_x, expected) and is_near(of_gain, sums[0]) and is_near(of_bias, sums[1])


def _dropout(kernels: Kernels) -> bool:
    x, out = np.ones(64, np.float32), blank(64)
    kernels.dropout(*addresses(x, out), 64, DROPPED, 2.0, SEED)
    is_kept = np.array([KEEP_BITS >> bit & 1 for bit in range(64)])
    return bool((out == 2.0 * is_kept).all())


def _bias_relu(kernels: Kernels) -> bool:
    x, bias = sine_values(3, 21), sine_values(21, seed=3)
    expected = np.maximum(x + bias, 0)
    kernels.bias_relu(*addresses(x, bias), 0, 3, 21)
    return is_near(x, expected)


def _bias_relu_gradient(kernels: Kernels) -> bool:
    change, out, of_bias = sine_values(3, 21), np.maximum(sine_values(3, 21, seed=3), 0), np.zeros(21, np.float32)
    expected = np.where(out > 0, change, 0)
    kernels.bias_relu_gradient(*addresses(change, out, of_bias), 0, 3, 21)
    return is_near(change, expected) and is_near(of_bias, expected.sum(0))


def _gated(kernels: Kernels) -> bool:
    gate, x, out = sine_values(48) * 20, sine_values(48, seed=3), blank(48)
    kernels.gated(*addresses(gate, x, out), 0, 48)
    return is_near(out, gate / (1 + np.exp(-gate.astype(np.float64))) * x)


def _gated_gradient(kernels: Kernels) -> bool:
    change, gate, x = sine_values(48), sine_values(48, seed=2) * 20, sine_values(48, seed=3)
    of_gate, of_x = blank(48), blank(48)
    kernels.gated_gradient(*addresses(change, gate, x, of_gate, of_x), 0, 48)
    open_ = 1 / (1 + np.exp(-gate.astype(np.float64)))
    return is_near(of_x, change * gate * open_) and is_near(of_gate, change * x * open_ * (1 + gate * (1 - open_)))


def _cross_entropy(kernels: Kernels) -> bool:
    logits, targets = sine_values(2, 37) * 6, np.array([36, 2])
    exact = softmax(logits.astype(np.float64))
    goal = np.full((2, 37), 0.1 / 37)
    goal[[0, 1], targets] += 0.9
    loss = kernels.cross_entropy(*addresses(logits, targets), 2, 37, 0.1)
    return abs(loss + (goal * np.log(exact)).sum()) < TOLERANCE * loss and is_near(logits, exact - goal)


_CHECKS: tuple[Callable[[Kernels], bool], ...] = (
    *SEARCH_CHECKS,
    _attention,
    _attention_gradient,
    _add_norm,
    _drop_add_norm,
    _drop_add_norm_gradient,
    _dropout,
    _bias_relu,
    _bias_relu_gradient,
    _gated,
    _gated_gradient,
    _cross_entropy,
)
