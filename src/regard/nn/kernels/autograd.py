"""The kernels of training with their gradients. Each divides its work among PyTorch's threads."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from regard.nn.kernels.native import UNIT, kernels
from regard.nn.kernels.parallel import run_in_parallel

ROWS_PER_SEED, VALUES_PER_DRAW = 32, 32  # as in training.c


def attention(
    queries: Tensor, keys: Tensor, values: Tensor, query_starts: Tensor, key_starts: Tensor, *, causal: bool
) -> tuple[Tensor, Tensor]:
    """Attend within each of B packed sequences. A query without keys gives NaN.

    Args:
        queries: (R, H, W), contiguous. W is a multiple of 16.
        keys: (S, H, W), contiguous but for the first axis.
        values: (S, H, W), contiguous but for the first axis.
        query_starts: (B + 1,) the first row of each sequence among the queries, and R.
        key_starts: (B + 1,) the first row of each sequence among the keys, and S.
        causal: A query sees only keys up to its own position.

    Returns:
        The output (R, H x W), and the attention weights in the layout that `attention_gradient` needs.
    """
    assert queries.is_contiguous() and keys.stride()[1:] == values.stride()[1:] == (queries.size(2), 1)
    rows, heads, head_size = queries.shape
    lengths = key_starts.diff()
    weights = torch.empty(heads * int((query_starts.diff() * (lengths + -lengths % UNIT)).sum()))
    out = torch.empty(rows, heads * head_size)

    def run(first: int, end: int) -> None:
        kernels().attention(
            *(queries.data_ptr(), keys.data_ptr(), values.data_ptr(), weights.data_ptr(), out.data_ptr()),
            *(query_starts.data_ptr(), key_starts.data_ptr(), first, end),
            *(heads, head_size, keys.stride(0), values.stride(0), causal),
        )

    run_in_parallel(len(lengths), run)
    return out, weights


def attention_gradient(
    gradient: Tensor,
    queries: Tensor,
    keys: Tensor,
    values: Tensor,
    weights: Tensor,
    query_starts: Tensor,
    key_starts: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the gradients of queries, keys and values from that of the output of `attention`, (R, H x W).

    The gradients of keys and values are halves of one tensor (S, 2 x H x W).
    """
    _, heads, head_size = queries.shape
    gradient = gradient.contiguous()
    of_queries = torch.empty_like(queries)
    of_keys, of_values = torch.empty(len(keys), 2, heads, head_size).unbind(1)

    def run(first: int, end: int) -> None:
        kernels().attention_gradient(
            *(gradient.data_ptr(), queries.data_ptr(), keys.data_ptr(), values.data_ptr(), weights.data_ptr()),
            *(of_queries.data_ptr(), of_keys.data_ptr(), of_values.data_ptr()),
            *(query_starts.data_ptr(), key_starts.data_ptr(), first, end),
            *(heads, head_size, keys.stride(0), values.stride(0), of_keys.stride(0)),
        )

    run_in_parallel(len(query_starts) - 1, run)
    return of_queries, of_keys, of_values


@dataclass(frozen=True)
class DropoutDraw:
    """Dropout as drawn from a seed: a value is 0 with probability dropped / 65,536, else multiplied by `scale`."""

    dropped: int
    scale: float
    seed: int


NO_DROPOUT = DropoutDraw(0, 1.0, 0)


@dataclass(frozen=True)
class Normed:
    """The result of `drop_add_norm`.

    Attributes:
        out: norm(x + dropout(y)).
        sum: x + dropout(y), if it was asked for.
        standardized: The sum with mean 0 and variance 1 in each row, for the gradient.
        scales: 1 / standard deviation of each row, for the gradient.
    """

    out: Tensor
    sum: Tensor | None
    standardized: Tensor
    scales: Tensor


def drop_add_norm(x: Tensor, y: Tensor, norm: nn.LayerNorm, draw: DropoutDraw, *, with_sum: bool) -> Normed:
    """Return norm(x + dropout(y)) for contiguous x and y (..., D), D a multiple of 32. The norm may have no bias."""
    size = x.size(-1)
    rows = x.numel() // size
    sum_ = torch.empty_like(x) if with_sum else None
    out, standardized, scales = torch.empty_like(x), torch.empty_like(x), torch.empty(rows)

    def run(first: int, end: int) -> None:
        kernels().drop_add_norm(
            *(x.data_ptr(), y.data_ptr(), norm.weight.data_ptr(), _pointer(norm.bias), norm.eps),
            *(_pointer(sum_), out.data_ptr(), standardized.data_ptr(), scales.data_ptr()),
            *(first * ROWS_PER_SEED, min(end * ROWS_PER_SEED, rows), size, draw.dropped, draw.scale, draw.seed),
        )

    run_in_parallel(-(-rows // ROWS_PER_SEED), run)
    return Normed(out, sum_, standardized, scales)


def drop_add_norm_gradient(
    gradient: Tensor, sum_gradient: Tensor | None, normed: Normed, gain: Tensor, draw: DropoutDraw
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return the gradients of x, y, gain and bias from those of `out` and, if there is one, of `sum`."""
    standardized = normed.standardized
    size = standardized.size(-1)
    rows = standardized.numel() // size
    gradient = gradient.contiguous()
    sum_gradient = None if sum_gradient is None else sum_gradient.contiguous()
    of_x = torch.empty_like(standardized)
    of_y = torch.empty_like(standardized) if draw.dropped else of_x

    def run(first: int, end: int) -> Tensor:
        of_norm = torch.zeros(2, size)
        kernels().drop_add_norm_gradient(
            *(gradient.data_ptr(), _pointer(sum_gradient), standardized.data_ptr(), normed.scales.data_ptr()),
            *(gain.data_ptr(), of_x.data_ptr(), of_y.data_ptr(), of_norm[0].data_ptr(), of_norm[1].data_ptr()),
            *(first * ROWS_PER_SEED, min(end * ROWS_PER_SEED, rows), size, draw.dropped, draw.scale, draw.seed),
        )
        return of_norm

    of_norm = _sum(run_in_parallel(-(-rows // ROWS_PER_SEED), run))
    return of_x, of_y, of_norm[0], of_norm[1]


def _pointer(tensor: Tensor | None) -> int | None:
    return None if tensor is None else tensor.data_ptr()


def gated(gate: Tensor, x: Tensor) -> Tensor:
    """Return silu(gate) * x for contiguous tensors with a multiple of 16 values."""
    out = torch.empty_like(gate)

    def run(first: int, end: int) -> None:
        kernels().gated(gate.data_ptr(), x.data_ptr(), out.data_ptr(), first * UNIT, end * UNIT)

    run_in_parallel(gate.numel() // UNIT, run)
    return out


def gated_gradient(gradient: Tensor, gate: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    """Return the gradients of gate and x from that of the result of `gated`."""
    gradient = gradient.contiguous()
    of_gate, of_x = torch.empty_like(gate), torch.empty_like(gate)

    def run(first: int, end: int) -> None:
        kernels().gated_gradient(
            *(gradient.data_ptr(), gate.data_ptr(), x.data_ptr(), of_gate.data_ptr(), of_x.data_ptr()),
            *(first * UNIT, end * UNIT),
        )

    run_in_parallel(gate.numel() // UNIT, run)
    return of_gate, of_x


def bias_relu(x: Tensor, bias: Tensor) -> None:
    """Replace a contiguous x (R, D) by max(0, x + bias)."""
    rows, size = x.shape
    run_in_parallel(rows, lambda first, end: kernels().bias_relu(x.data_ptr(), bias.data_ptr(), first, end, size))


def bias_relu_gradient(gradient: Tensor, out: Tensor) -> Tensor:
    """Replace the gradient (R, D) of the result of `bias_relu`, contiguous, by that of x. Return that of the bias."""
    rows, size = out.shape

    def run(first: int, end: int) -> Tensor:
        of_bias = torch.zeros(size)
        kernels().bias_relu_gradient(gradient.data_ptr(), out.data_ptr(), of_bias.data_ptr(), first, end, size)
        return of_bias

    return _sum(run_in_parallel(rows, run))


def cross_entropy(logits: Tensor, targets: Tensor, smoothing: float) -> float:
    """Return the summed loss of logits (R, V) for targets (R,), and replace the logits by their gradient."""
    assert logits.is_contiguous() and targets.is_contiguous()
    rows, size = logits.shape

    def run(first: int, end: int) -> float:
        pointers = logits[first:end].data_ptr(), targets[first:end].data_ptr()
        loss: float = kernels().cross_entropy(*pointers, end - first, size, smoothing)
        return loss

    return sum(run_in_parallel(rows, run))


def dropout(x: Tensor, draw: DropoutDraw) -> Tensor:
    """Return x with dropout. This kernel uses one thread."""
    x = x.contiguous()
    out = torch.empty_like(x)
    kernels().dropout(x.data_ptr(), out.data_ptr(), x.numel(), draw.dropped, draw.scale, draw.seed)
    return out


def _sum(parts: list[Tensor]) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.stack(parts).sum(0)
