"""Known-answer tests of the kernels. Each process runs them when it loads the kernels.

Each kernel gets a small input that covers its vector loops, their remainders and typical causes of wrong results (ties,
masked slots, the largest products of bytes). The answers are computed in float64 by NumPy.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from regard.nn.kernels.operations import (
    ADD_NORM,
    ATTEND_SOURCE,
    ATTEND_TARGET,
    LINEAR_FLOAT32,
    LINEAR_INT8,
    Batch,
    Input,
    Layer,
    Operation,
)

if TYPE_CHECKING:
    from regard.nn.kernels.native import Kernels

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]

TOLERANCE = 1e-4  # relative to the largest value; correct kernels are within 1e-6
SEED, DROPPED = 7, 20_000
KEEP_BITS = 0xF35CF3F99E1DFD99  # dropout for SEED and DROPPED: bit i is 1 if value i is kept


def failing(kernels: Kernels) -> str | None:
    """Return the name of the first kernel with a wrong answer, or None."""
    with np.errstate(all="ignore"):
        return next((check.__name__[1:] for check in _CHECKS if not check(kernels)), None)


def _values(*shape: int, seed: int = 0) -> Floats:
    """Return values in (-1, 1) that depend on the shape and the seed."""
    count = int(np.prod(shape))
    values: Floats = np.sin(np.arange(1 + seed, 1 + seed + count) * 12.9898, dtype=np.float32).reshape(shape)
    return values


def _blank(*shape: int) -> Floats:
    """Return an array of NaN, for a kernel to fill."""
    return np.full(shape, np.nan, np.float32)


def _is_near(actual: NDArray[Any], expected: NDArray[Any]) -> bool:
    return bool(np.abs(actual - expected).max() <= TOLERANCE * max(1.0, float(np.abs(expected).max())))


def _pointers(*arrays: NDArray[Any] | None) -> list[int | None]:
    return [None if array is None else array.ctypes.data for array in arrays]


def _softmax(scores: Doubles) -> Doubles:
    powers = np.exp(scores - scores.max(-1, keepdims=True))
    exact: Doubles = powers / powers.sum(-1, keepdims=True)
    return exact


def _best_tokens(kernels: Kernels) -> bool:
    logits = _values(2, 293) * 4
    logits[1, [290, 17, 40]] = 5  # ties: the lower column comes first
    exact = np.log(_softmax(logits.astype(np.float64)))
    order = np.argsort(-exact[:, 2:], axis=1, kind="stable")[:, :4] + 2
    values, columns = _blank(2, 4), np.zeros((2, 4), np.int64)
    kernels.best_tokens(logits.ctypes.data, 2, 293, 2, 4, *_pointers(values, columns))
    return bool((columns == order).all()) and _is_near(values, np.take_along_axis(exact, order, 1))


def _best_continuations(kernels: Kernels) -> bool:
    totals, values, ids = _values(2, 5), np.round(_values(2, 3, 4) * 4), np.arange(24).reshape(2, 3, 4) % 7
    totals[:, :3] = [[0, -1, -2], [0, 0, -1]]  # the sums have ties; the other two are not of these sentences
    nodes, best = np.arange(6) * 10, _blank(2, 5)
    tokens, parents, rows = (np.zeros((2, 5), np.int64) for _ in range(3))
    arrays = _pointers(totals, values, ids, nodes), _pointers(best, tokens, parents, rows)
    kernels.best_continuations(*arrays[0], 2, 3, 4, 5, 5, *arrays[1])
    exact = (totals[:, :3, None] + values).reshape(2, 12)
    order = np.argsort(-exact, axis=1, kind="stable")[:, :5]
    expected: tuple[NDArray[Any], ...] = (
        np.take_along_axis(exact, order, 1),
        np.take_along_axis(ids.reshape(2, 12), order, 1),
        np.take_along_axis(nodes.reshape(2, 3), order // 4, 1),
        order // 4,
    )
    actual: tuple[NDArray[Any], ...] = best, tokens, parents, rows
    return all(np.array_equal(*pair) for pair in zip(actual, expected, strict=True))


def _attend(kernels: Kernels) -> bool:
    rows, slots, heads, width = 2, 19, 2, 80
    queries = _values(rows, heads, width) * 3
    keys, values = _values(slots, width, seed=5), _values(slots, width, seed=9)
    mask = np.ones((rows, slots), np.bool_)
    mask[1, 3:18] = False
    means = _blank(rows, heads, width)
    pointers = _pointers(queries, keys, values, mask, means)
    kernels.attend(*pointers, *(1, rows, slots, heads, 1, width), *(slots * width, width) * 2, *(rows * slots, slots))
    scores = queries.astype(np.float64) @ keys.T.astype(np.float64) / width**0.5
    return _is_near(means, _softmax(np.where(mask[:, None], scores, -np.inf)) @ values)


class _Sequences:
    """Two sequences of 3 and 7 queries over 18 and 5 keys, in 2 heads of 48."""

    def __init__(self) -> None:
        self.rows, self.columns = np.array([0, 3, 10]), np.array([0, 18, 23])
        self.queries = _values(10, 2, 48) * 3
        self.keys, self.own = _values(23, 2, 48, seed=3), _values(23, 2, 48, seed=4)
        self.weights = _blank(2 * (3 * 32 + 7 * 16))
        self.out = _blank(10, 2, 48)

    def run(self, kernels: Kernels) -> None:
        inputs = _pointers(self.queries, self.keys, self.own, self.weights, self.out, self.rows, self.columns)
        kernels.attention(*inputs, 0, 2, 2, 48, 96, 96, 0)

    def parts(self) -> list[tuple[slice, slice]]:
        return [(slice(*self.rows[part : part + 2]), slice(*self.columns[part : part + 2])) for part in range(2)]

    def exact(self, row: slice, column: slice) -> tuple[Doubles, ...]:
        """Return the queries, keys, values and weights of one sequence, in float64, by head."""
        queries, keys, own = (
            part.astype(np.float64).transpose(1, 0, 2)
            for part in (self.queries[row], self.keys[column], self.own[column])
        )
        return queries, keys, own, _softmax(queries @ keys.transpose(0, 2, 1) / 48**0.5)


def _attention(kernels: Kernels) -> bool:
    sequences = _Sequences()
    sequences.run(kernels)
    for row, column in sequences.parts():
        _, _, own, weights = sequences.exact(row, column)
        if not _is_near(sequences.out[row], (weights @ own).transpose(1, 0, 2)):
            return False
    return True


def _attention_gradient(kernels: Kernels) -> bool:
    sequences = _Sequences()
    sequences.run(kernels)
    change = _values(10, 2, 48, seed=8)
    of_queries, of_keys, of_own = (_blank(*x.shape) for x in (sequences.queries, sequences.keys, sequences.own))
    inputs = (change, sequences.queries, sequences.keys, sequences.own, sequences.weights)
    pointers = _pointers(*inputs, of_queries, of_keys, of_own, sequences.rows, sequences.columns)
    kernels.attention_gradient(*pointers, 0, 2, 2, 48, 96, 96, 96)
    for row, column in sequences.parts():
        queries, keys, own, weights = sequences.exact(row, column)
        of_means = change[row].astype(np.float64).transpose(1, 0, 2)
        of_weights = of_means @ own.transpose(0, 2, 1)
        of_scores = weights * (of_weights - (of_weights * weights).sum(-1, keepdims=True)) / 48**0.5
        expected = (of_scores @ keys, of_scores.transpose(0, 2, 1) @ queries, weights.transpose(0, 2, 1) @ of_means)
        actual = (of_queries[row], of_keys[column], of_own[column])
        if not all(_is_near(x, exact.transpose(1, 0, 2)) for x, exact in zip(actual, expected, strict=True)):
            return False
    return True


class _Norm:
    """LayerNorm(x + y) of 3 rows of 96, with intermediate results for its gradient."""

    def __init__(self) -> None:
        self.x, self.y = _values(3, 96) * 3 + 2, _values(3, 96, seed=2)
        self.gain, self.bias = _values(96, seed=5), _values(96, seed=6)
        total = self.x.astype(np.float64) + self.y
        centred = total - total.mean(1, keepdims=True)
        self.scales = 1 / np.sqrt((centred**2).mean(1, keepdims=True) + 1e-5)
        self.normal = centred * self.scales
        self.out = self.normal * self.gain + self.bias


def _add_norm(kernels: Kernels) -> bool:
    norm = _Norm()
    out = _blank(3, 96)
    kernels.add_norm(*_pointers(norm.x, norm.y, norm.gain, norm.bias), 1e-5, out.ctypes.data, 3, 96)
    return _is_near(out, norm.out)


def _drop_add_norm(kernels: Kernels) -> bool:
    norm = _Norm()
    total, out, normal = (_blank(3, 96) for _ in range(3))
    scales = _blank(3, 1)
    inputs = _pointers(norm.x, norm.y, norm.gain, norm.bias)
    kernels.drop_add_norm(*inputs, 1e-5, *_pointers(total, out, normal, scales), 0, 3, 96, 0, 1.0, SEED)
    actual, expected = (total, out, normal, scales), (norm.x + norm.y, norm.out, norm.normal, norm.scales)
    return all(_is_near(x, exact) for x, exact in zip(actual, expected, strict=True))


def _drop_add_norm_gradient(kernels: Kernels) -> bool:
    norm, change = _Norm(), _values(3, 96, seed=7)
    normal, scales = norm.normal.astype(np.float32), norm.scales.astype(np.float32)
    of_x, of_gain, of_bias = _blank(3, 96), np.zeros(96, np.float32), np.zeros(96, np.float32)
    inputs = _pointers(change, None, normal, scales, norm.gain, of_x, of_x, of_gain, of_bias)
    kernels.drop_add_norm_gradient(*inputs, 0, 3, 96, 0, 1.0, SEED)
    of_normal = change.astype(np.float64) * norm.gain
    along = (of_normal * norm.normal).mean(1, keepdims=True)
    expected = (of_normal - of_normal.mean(1, keepdims=True) - norm.normal * along) * norm.scales
    sums = (change * norm.normal).sum(0), change.sum(0)
    return _is_near(of_x, expected) and _is_near(of_gain, sums[0]) and _is_near(of_bias, sums[1])


def _dropout(kernels: Kernels) -> bool:
    x, out = np.ones(64, np.float32), _blank(64)
    kernels.dropout(*_pointers(x, out), 64, DROPPED, 2.0, SEED)
    is_kept = np.array([KEEP_BITS >> bit & 1 for bit in range(64)])
    return bool((out == 2.0 * is_kept).all())


def _bias_relu(kernels: Kernels) -> bool:
    x, bias = _values(3, 21), _values(21, seed=3)
    expected = np.maximum(x + bias, 0)
    kernels.bias_relu(*_pointers(x, bias), 0, 3, 21)
    return _is_near(x, expected)


def _bias_relu_gradient(kernels: Kernels) -> bool:
    change, out, of_bias = _values(3, 21), np.maximum(_values(3, 21, seed=3), 0), np.zeros(21, np.float32)
    expected = np.where(out > 0, change, 0)
    kernels.bias_relu_gradient(*_pointers(change, out, of_bias), 0, 3, 21)
    return _is_near(change, expected) and _is_near(of_bias, expected.sum(0))


def _gated(kernels: Kernels) -> bool:
    gate, x, out = _values(48) * 20, _values(48, seed=3), _blank(48)
    kernels.gated(*_pointers(gate, x, out), 0, 48)
    return _is_near(out, gate / (1 + np.exp(-gate.astype(np.float64))) * x)


def _gated_gradient(kernels: Kernels) -> bool:
    change, gate, x = _values(48), _values(48, seed=2) * 20, _values(48, seed=3)
    of_gate, of_x = _blank(48), _blank(48)
    kernels.gated_gradient(*_pointers(change, gate, x, of_gate, of_x), 0, 48)
    open_ = 1 / (1 + np.exp(-gate.astype(np.float64)))
    return _is_near(of_x, change * gate * open_) and _is_near(of_gate, change * x * open_ * (1 + gate * (1 - open_)))


def _cross_entropy(kernels: Kernels) -> bool:
    logits, targets = _values(2, 37) * 6, np.array([36, 2])
    exact = _softmax(logits.astype(np.float64))
    goal = np.full((2, 37), 0.1 / 37)
    goal[[0, 1], targets] += 0.9
    loss = kernels.cross_entropy(*_pointers(logits, targets), 2, 37, 0.1)
    return abs(loss + (goal * np.log(exact)).sum()) < TOLERANCE * loss and _is_near(logits, exact - goal)


def _linear_float32(kernels: Kernels) -> bool:
    rows, inputs, outputs = 14, 19, 40
    x, weights, bias = _values(rows, inputs), _values(outputs, inputs, seed=1), _values(outputs, seed=2)
    exact = np.maximum(x.astype(np.float64) @ weights.T.astype(np.float64) + bias, 0)
    constants, out = _float32_constants(kernels, weights, bias), _blank(rows, outputs)
    kernels.linear_float32(*_pointers(x, *constants, out), rows, inputs, outputs, 0)
    return _is_near(out, exact)


def _float32_constants(kernels: Kernels, weights: Floats, bias: Floats) -> tuple[Floats, Floats]:
    """Return the weights in panels, and the bias."""
    outputs, inputs = weights.shape
    panel = kernels.float32_panel()
    padding = (0, -outputs % panel)
    padded = np.pad(weights, (padding, (0, 0)))
    return np.ascontiguousarray(padded.reshape(-1, panel, inputs).transpose(0, 2, 1)), np.pad(bias, padding)


def _linear_int8(kernels: Kernels) -> bool:
    rows, inputs, outputs = 3, 64, 40
    weights = np.round(_values(outputs, inputs) * 32).astype(np.int8)
    x = np.round(_values(rows, inputs, seed=1) * 127).astype(np.float32)
    weights[:2], x[:2] = [[32], [-32]], [[127], [-127]]  # the largest sums of four products in 16 bits
    weights[2] = np.tile([127, -127, 127, -127, 1, -1, 0, 0], 8)  # the largest weights
    x[:, 0] = 127  # so that a step is 1 and all is exact
    exact = x.astype(np.int64) @ weights.T.astype(np.int64)
    constants, out = _int8_constants(kernels, weights, 1.0), _blank(rows, outputs)
    kernels.linear_int8(*_pointers(x, *constants, out), rows, inputs, outputs, -np.inf)
    return bool((out == exact).all())


def _int8_constants(kernels: Kernels, weights: NDArray[np.int8], scale: float) -> tuple[NDArray[Any], ...]:
    """Return the weights in panels, the shift, the scales and the bias, which is 0."""
    outputs, inputs = weights.shape
    panel, depth = kernels.int8_panel(), kernels.int8_depth()
    full = -(-outputs // panel) * panel
    padded = np.zeros((full, inputs), np.int8)
    padded[:outputs] = weights
    panels = np.ascontiguousarray(padded.reshape(-1, panel, inputs // depth, depth).transpose(0, 2, 1, 3))
    shift = (-128 * padded.sum(1, dtype=np.int32)).astype(np.int32)
    return panels, shift, np.full(full, scale, np.float32), np.zeros(full, np.float32)


class _Step:
    """A step of two rows for each of two sentences: a projection to keys and values, attention to both sides, a norm.

    There are two heads of 16, which share keys and values. Two slots of the cache are written before the step. The
    weights of the projection are bytes with a scale, or the same in float32.
    """

    def __init__(self, kernels: Kernels, linear: int) -> None:
        self.linear = linear
        self.x = (np.round(_values(4, 32) * 127) / 127).astype(np.float32)
        self.x[:, 0] = 1  # so that rounding to bytes changes nothing
        self.weights = np.round(_values(32, 32, seed=1) * 32).astype(np.int8)
        self.caches = [np.full((4, 2, 16), np.nan, np.float32) for _ in range(2)]  # slots, sentences, width
        for seed, cache in enumerate(self.caches):
            cache[:2] = _values(2, 2, 16, seed=seed + 2)
        self.sources = [_values(2, 3, 16, seed=seed) for seed in (5, 6)]  # sentences, slots, width
        self.visible = np.array([[1, 1, 1, 0], [0, 1, 0, 1], [1, 1, 1, 0], [1, 0, 0, 1]], np.bool_)
        self.mask = np.array([[1, 1, 1], [1, 1, 0]], np.bool_)
        self.gain, self.bias, self.out = _values(32, seed=7) + 2, _values(32, seed=8), _blank(4, 32)
        self.constants: tuple[NDArray[Any], ...] = (
            _int8_constants(kernels, self.weights, 0.01)
            if linear == LINEAR_INT8
            else _float32_constants(kernels, np.float32(0.01) * self.weights, np.zeros(32, np.float32))
        )

    def run(self, kernels: Kernels) -> None:
        x, both, target, source = Input(0, 32, 0), 32, Input(64, 32, 0), Input(96, 32, 0)
        heads = {"width": 16, "outputs": 32, "heads": 2, "groups": 1}
        operations = (Operation * 4)(
            Operation(self.linear, inputs=(x,), out=both, width=32, outputs=32, number=-np.inf),
            Operation(ATTEND_TARGET, inputs=(x, Input(both, 32, 0), Input(both, 32, 16)), out=64, **heads),
            Operation(ATTEND_SOURCE, inputs=(target,), out=96, **heads),
            Operation(ADD_NORM, inputs=(x, source), out=64, width=32, outputs=32, number=1e-5),
        )
        operations[0].constants[: len(self.constants)] = _pointers(*self.constants)
        operations[3].constants[:2] = _pointers(self.gain, self.bias)
        layers = (Layer * 1)(Layer(*_pointers(*self.caches), 2, *_pointers(*self.sources), 48, 16, 48, 16))
        batch = (Batch * 1)(Batch(4, 2, *_pointers(self.visible, self.mask), 3))
        kernels.decoder_step(operations, 4, layers, batch, *_pointers(self.x, self.out), 32, 128)

    def exact(self) -> Doubles:
        """Return the output."""
        x = self.x.astype(np.float64).reshape(2, 2, 32)  # sentences, rows, width
        both = x @ (0.01 * self.weights.T.astype(np.float64))
        sides = zip(self.caches, (both[..., :16], both[..., 16:]), strict=True)
        keys, values = (np.concatenate((cache[:2].transpose(1, 0, 2), new), 1) for cache, new in sides)
        target = _attend_by_heads(x, keys, values, self.visible.reshape(2, 2, 4))
        source = _attend_by_heads(target, self.sources[0], self.sources[1], self.mask[:, None])
        total: Doubles = (x + source).reshape(4, 32)
        deviation = total - total.mean(1, keepdims=True)
        scaled: Doubles = deviation / np.sqrt((deviation**2).mean(1, keepdims=True) + 1e-5) * self.gain + self.bias
        return scaled


def _attend_by_heads(queries: Doubles, keys: NDArray[Any], values: NDArray[Any], mask: NDArray[np.bool_]) -> Doubles:
    """Attend from queries (B, N, 32), two heads, to keys and values (B, S, 16) with a mask (B, N or 1, S)."""
    heads = [
        _softmax(np.where(mask, head @ keys.transpose(0, 2, 1) / 4, -np.inf)) @ values
        for head in (queries[..., :16], queries[..., 16:])
    ]
    return np.concatenate(heads, -1)


def _decoder_step(kernels: Kernels) -> bool:
    for linear in (LINEAR_INT8, LINEAR_FLOAT32):
        step = _Step(kernels, linear)
        exact = step.exact()
        step.run(kernels)
        if not _is_near(step.out, exact):
            return False
    return True


_CHECKS: tuple[Callable[[Kernels], bool], ...] = (
    _best_tokens,
    _best_continuations,
    _attend,
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
    _linear_float32,
    _linear_int8,
    _decoder_step,
)
