"""What the kernels do in training, with its gradient; each works on parts at the same time, one for each thread."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import TypeVar

import torch
from torch import Tensor, nn

from regard.nn.kernels.native import UNIT, kernels

BLOCK, FEW = 32, 32  # as in kernels/training.c

T = TypeVar("T")


def attention(
    queries: Tensor, keys: Tensor, values: Tensor, rows: Tensor, columns: Tensor, *, causal: bool
) -> tuple[Tensor, Tensor]:
    """Queries (R, H, W), dense, over keys and values (S, H, W), dense but for the first axis, to (R, H x W).

    rows, columns: (B + 1,) where each sequence begins among queries and among keys, and the end of all. A row sees the
    columns of its own sequence, and where causal none behind its own. W is a multiple of 16. Gives the weights too, for
    the gradient. A row that sees nothing has no numbers.
    """
    assert queries.is_contiguous() and keys.stride()[1:] == values.stride()[1:] == (queries.size(2), 1)
    all_rows, heads, width = queries.shape
    lengths = columns.diff()
    weights = torch.empty(heads * int((rows.diff() * (lengths + -lengths % UNIT)).sum()))
    means = torch.empty(all_rows, heads * width)

    def some(first: int, end: int) -> None:
        kernels().attention(
            *(queries.data_ptr(), keys.data_ptr(), values.data_ptr(), weights.data_ptr(), means.data_ptr()),
            *(rows.data_ptr(), columns.data_ptr(), first, end),
            *(heads, width, keys.stride(0), values.stride(0), causal),
        )

    _in_parts(len(lengths), some)
    return means, weights


def attention_gradient(
    change: Tensor, queries: Tensor, keys: Tensor, values: Tensor, weights: Tensor, rows: Tensor, columns: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """From the gradient (R, H x W) of `attention`'s results, those of queries, keys and values, in their shapes.

    The gradients of keys and values are halves of one tensor (S, 2 x H x W).
    """
    _, heads, width = queries.shape
    change = change.contiguous()
    of_queries = torch.empty_like(queries)
    of_keys, of_values = torch.empty(len(keys), 2, heads, width).unbind(1)

    def some(first: int, end: int) -> None:
        kernels().attention_gradient(
            *(change.data_ptr(), queries.data_ptr(), keys.data_ptr(), values.data_ptr(), weights.data_ptr()),
            *(of_queries.data_ptr(), of_keys.data_ptr(), of_values.data_ptr()),
            *(rows.data_ptr(), columns.data_ptr(), first, end),
            *(heads, width, keys.stride(0), values.stride(0), of_keys.stride(0)),
        )

    _in_parts(len(rows) - 1, some)
    return of_queries, of_keys, of_values


@dataclass(frozen=True)
class Draws:
    """What dropout draws by a seed: each value is 0 with probability dropped / 65,536, else times `factor`."""

    dropped: int
    factor: float
    seed: int


NONE = Draws(0, 1.0, 0)


@dataclass(frozen=True)
class Normed:
    """What drop_add_norm found.

    out: norm(x + dropout(y)). both: x + dropout(y), if it was asked for. normal, scales: for the gradient.
    """

    out: Tensor
    both: Tensor | None
    normal: Tensor
    scales: Tensor


def drop_add_norm(x: Tensor, y: Tensor, norm: nn.LayerNorm, draws: Draws, *, with_both: bool) -> Normed:
    """For x and y (..., D), dense, D a multiple of 32, and a norm with a gain and perhaps a bias."""
    width = x.size(-1)
    rows = x.numel() // width
    both = torch.empty_like(x) if with_both else None
    out, normal, scales = torch.empty_like(x), torch.empty_like(x), torch.empty(rows)

    def some(first: int, end: int) -> None:
        kernels().drop_add_norm(
            *(x.data_ptr(), y.data_ptr(), norm.weight.data_ptr(), _place(norm.bias), norm.eps),
            *(_place(both), out.data_ptr(), normal.data_ptr(), scales.data_ptr()),
            *(first * BLOCK, min(end * BLOCK, rows), width, draws.dropped, draws.factor, draws.seed),
        )

    _in_parts(-(-rows // BLOCK), some)
    return Normed(out, both, normal, scales)


def drop_add_norm_gradient(
    change: Tensor, both_change: Tensor | None, normed: Normed, gain: Tensor, draws: Draws
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """From the gradients of `out` and of `both`, if there is one, those of x, y, gain and bias."""
    normal = normed.normal
    width = normal.size(-1)
    rows = normal.numel() // width
    change = change.contiguous()
    both_change = None if both_change is None else both_change.contiguous()
    of_x = torch.empty_like(normal)
    of_y = torch.empty_like(normal) if draws.dropped else of_x

    def some(first: int, end: int) -> Tensor:
        of_norm = torch.zeros(2, width)
        kernels().drop_add_norm_gradient(
            *(change.data_ptr(), _place(both_change), normal.data_ptr(), normed.scales.data_ptr(), gain.data_ptr()),
            *(of_x.data_ptr(), of_y.data_ptr(), of_norm[0].data_ptr(), of_norm[1].data_ptr()),
            *(first * BLOCK, min(end * BLOCK, rows), width, draws.dropped, draws.factor, draws.seed),
        )
        return of_norm

    of_norm = _sum(_in_parts(-(-rows // BLOCK), some))
    return of_x, of_y, of_norm[0], of_norm[1]


def _place(tensor: Tensor | None) -> int | None:
    return None if tensor is None else tensor.data_ptr()


def gated(gate: Tensor, x: Tensor) -> Tensor:
    """silu(gate) * x, both dense and with a multiple of 16 values."""
    out = torch.empty_like(gate)

    def some(first: int, end: int) -> None:
        kernels().gated(gate.data_ptr(), x.data_ptr(), out.data_ptr(), first * UNIT, end * UNIT)

    _in_parts(gate.numel() // UNIT, some)
    return out


def gated_gradient(change: Tensor, gate: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    """From the gradient of gated's results, those of gate and x."""
    change = change.contiguous()
    of_gate, of_x = torch.empty_like(gate), torch.empty_like(gate)

    def some(first: int, end: int) -> None:
        kernels().gated_gradient(
            *(change.data_ptr(), gate.data_ptr(), x.data_ptr(), of_gate.data_ptr(), of_x.data_ptr()),
            *(first * UNIT, end * UNIT),
        )

    _in_parts(gate.numel() // UNIT, some)
    return of_gate, of_x


def bias_relu(x: Tensor, bias: Tensor) -> None:
    """x (R, D), dense, becomes max(0, x + bias)."""
    rows, width = x.shape
    _in_parts(rows, lambda first, end: kernels().bias_relu(x.data_ptr(), bias.data_ptr(), first, end, width))


def bias_relu_gradient(change: Tensor, out: Tensor) -> Tensor:
    """The gradient of bias_relu's results (R, D), dense, becomes that of its x; that of the bias (D,)."""
    rows, width = out.shape

    def some(first: int, end: int) -> Tensor:
        of_bias = torch.zeros(width)
        kernels().bias_relu_gradient(change.data_ptr(), out.data_ptr(), of_bias.data_ptr(), first, end, width)
        return of_bias

    return _sum(_in_parts(rows, some))


def cross_entropy(logits: Tensor, targets: Tensor, smoothing: float) -> float:
    """The summed loss of logits (R, V) for targets (R,); the logits become its gradient."""
    assert logits.is_contiguous() and targets.is_contiguous()
    rows, width = logits.shape

    def some(first: int, end: int) -> float:
        places = logits[first:end].data_ptr(), targets[first:end].data_ptr()
        loss: float = kernels().cross_entropy(*places, end - first, width, smoothing)
        return loss

    return sum(_in_parts(rows, some))


def dropout(x: Tensor, draws: Draws) -> Tensor:
    """x with what is drawn; on one thread."""
    x = x.contiguous()
    out = torch.empty_like(x)
    kernels().dropout(x.data_ptr(), out.data_ptr(), x.numel(), draws.dropped, draws.factor, draws.seed)
    return out


def _in_parts(count: int, work: Callable[[int, int], T]) -> list[T]:
    """work(first, end) for parts of so many, one for each of PyTorch's threads, at the same time; what each gives."""
    threads = min(torch.get_num_threads(), count)
    if threads < 2:
        return [work(0, count)]
    cuts = [count * number // threads for number in range(threads + 1)]
    others = [_helpers().submit(work, *cut) for cut in pairwise(cuts[1:])]
    return [work(0, cuts[1]), *(other.result() for other in others)]


def _sum(parts: list[Tensor]) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.stack(parts).sum(0)


@cache
def _helpers() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max_workers=max(1, (os.cpu_count() or 1) - 1), thread_name_prefix="kernels")
