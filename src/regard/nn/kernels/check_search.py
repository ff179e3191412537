"""Known-answer tests of the kernels of search."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from regard.nn.kernels.check_arrays import Doubles, Floats, addresses, blank, is_near, sine_values, softmax
from regard.nn.kernels.check_layers import LAYER_CHECKS, logistic, rotated, standardized
from regard.nn.kernels.operations import (
    ADD,
    ADD_NORM,
    ATTEND_SOURCE,
    ATTEND_TARGET,
    GATED,
    LINEAR_FLOAT32,
    LINEAR_INT8,
    NORM,
    ROTATE,
    SSRU,
    STORE_QUERIES,
    Batch,
    Beam,
    Decoder,
    Input,
    Layer,
    Operation,
    Search,
)

if TYPE_CHECKING:
    from regard.nn.kernels.native import Kernels


def _best_tokens(kernels: Kernels) -> bool:
    logits = sine_values(2, 293) * 4
    logits[1, [290, 17, 40]] = 5  # ties: the lower column comes first
    exact = np.log(softmax(logits.astype(np.float64)))
    order = np.argsort(-exact[:, 2:], axis=1, kind="stable")[:, :4] + 2
    values, columns = blank(2, 4), np.zeros((2, 4), np.int64)
    kernels.best_tokens(logits.ctypes.data, 2, 293, 2, 4, *addresses(values, columns))
    return bool((columns == order).all()) and is_near(values, np.take_along_axis(exact, order, 1))


def _best_continuations(kernels: Kernels) -> bool:
    totals, values, ids = sine_values(2, 5), np.round(sine_values(2, 3, 4) * 4), np.arange(24).reshape(2, 3, 4) % 7
    totals[:, :3] = [[0, -1, -2], [0, 0, -1]]  # the sums have ties; the other two are not of these sentences
    nodes, best = np.arange(6) * 10, blank(2, 5)
    tokens, parents, rows = (np.zeros((2, 5), np.int64) for _ in range(3))
    arrays = addresses(totals, values, ids, nodes), addresses(best, tokens, parents, rows)
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


def _beam_step(kernels: Kernels) -> bool:
    """A step of a beam of two for two sentences, of which the second is finished by it."""
    total = np.array([[-1, -2], [-1, -3]], np.float32)
    logits = np.log(
        np.array(  # rows x (PAD, BOS, EOS, tokens)
            [
                [[0.1, 0.1, 0.2, 0.05, 0.5, 0.05], [0.1, 0.1, 0.1, 0.6, 0.05, 0.05]],
                [[0.0, 0.1, 0.5, 0.1, 0.2, 0.1], [0.1, 0.1, 0.1, 0.1, 0.3, 0.3]],
            ],
            np.float32,
        )
    )
    token, parent, rank, row, end_token, end_parent = (np.zeros((2, 2), np.int64) for _ in range(6))
    score = np.array([[-0.9, -np.inf], [-0.5, -0.9]], np.float32)
    end_total = score.copy()
    ended, is_done, limit = np.array([1, 2]), np.zeros(2, np.bool_), np.array([9, 9])
    limit_divisor = np.array([9, 2], np.float32)
    beam = Beam(2, 2, 2, 1, 3.0, *addresses(total, token, parent, rank, row, score, end_total, end_token, end_parent))
    beam.ended, beam.is_done, beam.limit, beam.limit_divisor = addresses(ended, is_done, limit, limit_divisor)
    finished = kernels.beam_step(ctypes.addressof(beam), logits.ctypes.data, 6, 2, 10, 3, 2.0)
    end = -1 + np.log(0.5)
    return (
        finished == 1
        and is_near(total, np.array([[-1 + np.log(0.5), -2 + np.log(0.6)], [-1 + np.log(0.2), -1 + np.log(0.1)]]))
        and np.array_equal(token, [[4, 3], [4, 3]])
        and np.array_equal(rank, [[0, 1], [0, 0]])
        and np.array_equal(row, [[0, 1], [2, 2]])
        and np.array_equal(parent, [[10, 11], [12, 12]])
        and is_near(score[1], np.array([-0.5, end / 2]))
        and is_near(end_total[1, 1:], np.array([end]))
        and (end_token[1, 1], end_parent[1, 1]) == (2, 12)
        and np.array_equal(ended, [1, 3])
        and np.array_equal(is_done, [False, True])
    )


def _attend(kernels: Kernels) -> bool:
    rows, slots, heads, width = 2, 19, 2, 80
    queries = sine_values(rows, heads, width) * 3
    keys, values = sine_values(slots, width, seed=5), sine_values(slots, width, seed=9)
    mask = np.ones((rows, slots), np.bool_)
    mask[1, 3:18] = False
    means = blank(rows, heads, width)
    pointers = addresses(queries, keys, values, mask, means)
    kernels.attend(*pointers, *(1, rows, slots, heads, 1, width), *(slots * width, width) * 2, *(rows * slots, slots))
    scores = queries.astype(np.float64) @ keys.T.astype(np.float64) / width**0.5
    return is_near(means, softmax(np.where(mask[:, None], scores, -np.inf)) @ values)


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


def _float32_constants(kernels: Kernels, weights: Floats, bias: Floats) -> tuple[Floats, Floats]:
    """Return the weights in panels, and the bias."""
    outputs, inputs = weights.shape
    panel = kernels.float32_panel()
    padding = (0, -outputs % panel)
    padded = np.pad(weights, (padding, (0, 0)))
    return np.ascontiguousarray(padded.reshape(-1, panel, inputs).transpose(0, 2, 1)), np.pad(bias, padding)


def _linear_float32(kernels: Kernels) -> bool:
    rows, inputs, outputs = 14, 19, 40
    x, weights = sine_values(rows, inputs), sine_values(outputs, inputs, seed=1)
    bias = sine_values(outputs, seed=2)
    exact = np.maximum(x.astype(np.float64) @ weights.T.astype(np.float64) + bias, 0)
    constants, out = _float32_constants(kernels, weights, bias), blank(rows, outputs)
    kernels.linear_float32(*addresses(x, *constants, out), rows, inputs, outputs, 0)
    return is_near(out, exact)


def _linear_int8(kernels: Kernels) -> bool:
    rows, inputs, outputs = 3, 64, 40
    weights = np.round(sine_values(outputs, inputs) * 32).astype(np.int8)
    x = np.round(sine_values(rows, inputs, seed=1) * 127).astype(np.float32)
    weights[:2], x[:2] = [[32], [-32]], [[127], [-127]]  # the largest sums of four products in 16 bits
    weights[2] = np.tile([127, -127, 127, -127, 1, -1, 0, 0], 8)  # the largest weights
    x[:, 0] = 127  # so that a step is 1 and all is exact
    exact = x.astype(np.int64) @ weights.T.astype(np.int64)
    constants, out = _int8_constants(kernels, weights, 1.0), blank(rows, outputs)
    kernels.linear_int8(*addresses(x, *constants, out), rows, inputs, outputs, -np.inf)
    return bool((out == exact).all())


class _Step:
    """A step at position 7 of two rows for each of two sentences, with each kind of operation.

    There are two heads of 16, which share keys and values. Two slots of the cache are written before the step. The
    weights of the projection are bytes with a scale (`linear` is LINEAR_INT8), or the same in float32.
    """

    position, floats = 7, 320

    def __init__(self, kernels: Kernels, linear: int) -> None:
        self.linear = linear
        self.x = (np.round(sine_values(4, 32) * 127) / 127).astype(np.float32)
        self.x[:, 0] = 1  # so that rounding to bytes changes nothing
        self.weights = np.round(sine_values(32, 32, seed=1) * 32).astype(np.int8)
        self.caches = [np.full((4, 2, 16), np.nan, np.float32) for _ in range(2)]  # slots, sentences, width
        for seed, cache in enumerate(self.caches):
            cache[:2] = sine_values(2, 2, 16, seed=seed + 2)
        self.sources = [sine_values(2, 3, 16, seed=seed) for seed in (5, 6)]  # sentences, slots, width
        self.visible = np.array([[1, 1, 1, 0], [0, 1, 0, 1], [1, 1, 1, 0], [1, 0, 0, 1]], np.bool_)
        self.mask = np.array([[1, 1, 1], [1, 1, 0]], np.bool_)
        self.gain, self.bias, self.out = sine_values(32, seed=7) + 2, sine_values(32, seed=8), blank(4, 32)
        self.rotations, self.state = sine_values(8, 16, seed=9), sine_values(4, 32, seed=10)
        self.stored = blank(4, 16)  # queries of the first head
        self.constants = self.constants_of(kernels, self.weights)

    def constants_of(self, kernels: Kernels, weights: NDArray[np.int8]) -> tuple[NDArray[Any], ...]:
        """Return the constants of a layer whose weights are a hundredth of these."""
        if self.linear == LINEAR_INT8:
            return _int8_constants(kernels, weights, 0.01)
        return _float32_constants(kernels, np.float32(0.01) * weights, np.zeros(len(weights), np.float32))

    def operations(self) -> Any:
        """Return the operations, with x at the start of the workspace."""
        x, keys, values = Input(0, 32, 0), Input(32, 32, 0), Input(32, 32, 16)
        queries, target, source, normed, gated, again, recurrent = (Input(start, 32, 0) for start in range(64, 288, 32))
        wide, heads = {"width": 32, "outputs": 32}, {"width": 16, "outputs": 32, "heads": 2, "groups": 1}
        operations = (Operation * 10)(
            Operation(self.linear, inputs=(x,), out=keys.start, number=-np.inf, **wide),
            Operation(ROTATE, inputs=(x,), out=queries.start, **heads),
            Operation(ATTEND_TARGET, inputs=(queries, keys, values), out=target.start, **heads),
            Operation(STORE_QUERIES, inputs=(target,), **heads),
            Operation(ATTEND_SOURCE, inputs=(target,), out=source.start, **heads),
            Operation(ADD_NORM, inputs=(x, source), out=normed.start, number=1e-5, **wide),
            Operation(GATED, inputs=(normed, x), out=gated.start, **wide),
            Operation(NORM, inputs=(gated,), out=again.start, number=1e-5, **wide),
            Operation(SSRU, inputs=(again, x), out=recurrent.start, **wide),
            Operation(ADD, inputs=(recurrent, normed), out=288, **wide),
        )
        operations[0].constants[: len(self.constants)] = addresses(*self.constants)
        operations[5].constants[:2] = addresses(self.gain, self.bias)
        operations[7].constants[:1] = addresses(self.gain)
        return operations

    def layers(self) -> Any:
        """Return the only layer."""
        arrays = addresses(*self.caches), addresses(*self.sources), addresses(self.state)
        return (Layer * 1)(Layer(*arrays[0], 2, *arrays[1], 48, 16, 48, 16, *arrays[2]))

    def run(self, kernels: Kernels) -> None:
        rows = Batch(
            4, 2, *addresses(self.visible, self.mask), 3, self.position, *addresses(self.rotations, self.stored)
        )
        pointers = addresses(self.x, self.out)
        kernels.decoder_step(self.operations(), 10, self.layers(), (Batch * 1)(rows), *pointers, 32, self.floats)

    def exact(self) -> Doubles:
        """Return the output."""
        x = self.x.astype(np.float64).reshape(2, 2, 32)  # sentences, rows, width
        both = x @ (0.01 * self.weights.T.astype(np.float64))
        sides = zip(self.caches, (both[..., :16], both[..., 16:]), strict=True)
        keys, values = (np.concatenate((cache[:2].transpose(1, 0, 2), new), 1) for cache, new in sides)
        queries = rotated(x, self.rotations[self.position])
        target = _attend_by_heads(queries, keys, values, self.visible.reshape(2, 2, 4))
        self.queries = target.reshape(4, 32)[:, :16]
        source = _attend_by_heads(target, self.sources[0], self.sources[1], self.mask[:, None])
        flat = self.x.astype(np.float64)
        normed = standardized(flat + source.reshape(4, 32)) * self.gain + self.bias
        keep = logistic(standardized(normed * logistic(normed) * flat) * self.gain)
        self.next_state = keep * self.state + (1 - keep) * flat
        out: Doubles = np.maximum(self.next_state, 0) + normed
        return out


def _attend_by_heads(queries: Doubles, keys: NDArray[Any], values: NDArray[Any], mask: NDArray[np.bool_]) -> Doubles:
    """Attend from queries (B, N, 32), two heads, to keys and values (B, S, 16) with a mask (B, N or 1, S)."""
    heads = [
        softmax(np.where(mask, head @ keys.transpose(0, 2, 1) / 4, -np.inf)) @ values
        for head in (queries[..., :16], queries[..., 16:])
    ]
    return np.concatenate(heads, -1)


def _decoder_step(kernels: Kernels) -> bool:
    for step in (_Step(kernels, LINEAR_INT8), _Step(kernels, LINEAR_FLOAT32)):
        exact = step.exact()
        step.run(kernels)
        actual = (step.out, exact), (step.state, step.next_state), (step.stored, step.queries)
        if not all(is_near(*pair) for pair in actual):
            return False
    return True


def _decoder_logits(kernels: Kernels) -> bool:
    kinds = (LINEAR_INT8, LINEAR_FLOAT32)
    return all(
        _has_right_logits(kernels, _Step(kernels, linear), copies) for linear in kinds for copies in (False, True)
    )


def _has_right_logits(kernels: Kernels, step: _Step, copies: bool) -> bool:
    position = step.position
    table, positions = sine_values(6, 32, seed=3), sine_values(8, 32, seed=4)
    tokens = np.array([5, 0, 2, 2])
    table[tokens] = (step.x - positions[position]) / 2  # the embeddings of the tokens are x; two rows have equal ones
    step.x = (2 * table[tokens] + positions[position]).astype(np.float32)
    parents = np.array([1, 0, 3, 2])
    before, spare = np.zeros((4, 2), np.bool_), np.zeros((4, 4), np.bool_)
    before[parents] = step.visible[:, :2]
    operations, layers, constants = step.operations(), step.layers(), step.constants_of(kernels, step.weights[:20])
    output = Operation(step.linear, width=32, outputs=20, number=-np.inf)
    output.constants[: len(constants)] = addresses(*constants)
    pointers = ctypes.addressof(operations), 10, step.floats, ctypes.addressof(output), *addresses(step.rotations)
    decoder = Decoder(*addresses(table, positions), 2.0, 32, 20, *pointers)
    features = step.exact()  # which the kernel rounds to bytes
    step.state[:] = step.state[parents]
    visible = np.zeros((4, 4), np.bool_)
    visible.flat[:8] = before.flat
    search = Search(ctypes.addressof(layers), 1, 4, 2, position, *addresses(visible, spare, step.mask), 3)
    search.queries, embedded, logits = step.stored.ctypes.data, blank(4, 32), blank(4, 20)
    if copies:
        search.embedded, search.features = addresses(embedded, step.out)
    inputs = ctypes.addressof(decoder), ctypes.addressof(search), *addresses(tokens, parents, logits)
    kernels.decoder_logits(*inputs)
    is_extended = search.visible == spare.ctypes.data and (spare == step.visible).all()
    is_close = is_near(step.state, step.next_state) and is_near(step.stored, step.queries)
    if copies:
        is_close = is_close and is_near(step.out, features) and np.array_equal(embedded, step.x)
    else:
        exact = features @ (0.01 * step.weights[:20].T.astype(np.float64))
        is_close = is_close and np.abs(logits - exact).max() <= 0.01 * np.abs(exact).max()
    return bool(is_extended and is_close) and (search.position, layers[0].written) == (8, 4)


SEARCH_CHECKS: tuple[Callable[[Kernels], bool], ...] = (
    _best_tokens,
    _best_continuations,
    _beam_step,
    _attend,
    _linear_float32,
    _linear_int8,
    *LAYER_CHECKS,
    _decoder_step,
    _decoder_logits,
)
