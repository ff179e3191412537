"""The kernels between the matrix products of a layer, for search. A step program can replay each of them.

The caller checks `native.supports_inference`, and that widths are multiples of `native.UNIT`.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from regard.nn.kernels import operations
from regard.nn.kernels.native import KernelCall, call_listener, kernels


def add(x: Tensor, y: Tensor) -> Tensor:
    """Return x + y, both (..., D)."""
    out = x + y
    _notify(KernelCall(operations.ADD, (x, y), out))
    return out


def norm(x: Tensor, layer: nn.LayerNorm) -> Tensor:
    """Return the norm of x (..., D), for a layer with a gain and no bias."""
    x = x.contiguous()
    out, width = torch.empty_like(x), x.size(-1)
    kernels().norm(
        *(x.data_ptr(), layer.weight.data_ptr(), layer.eps, out.data_ptr()),
        *(x.numel() // width, width),
    )
    _notify(KernelCall(operations.NORM, (x,), out, (layer.weight,), layer.eps))
    return out


def rotate(x: Tensor, table: Callable[[int], Tensor], rows: slice | Tensor, end: int) -> Tensor:
    """Rotate the pairs of heads x (N, T, H, W).

    Args:
        x: The heads.
        table: Returns cosines and sines (P, W / 2, 2) of at least as many positions as its argument says.
        rows: The rows of that table for the positions: T, or one for all.
        end: The number of positions that the table needs.
    """
    x, turns = x.contiguous(), table(end)[rows].contiguous()
    out = torch.empty_like(x)
    sequences, length, heads, width = x.shape
    kernels().rotate(
        *(x.data_ptr(), turns.data_ptr(), out.data_ptr()),
        *(sequences * length, len(turns), heads, width),
    )
    _notify(KernelCall(operations.ROTATE, (x,), out, table=table))
    return out


def gated(gate: Tensor, x: Tensor) -> Tensor:
    """Return silu(gate) * x, both (..., D)."""
    gate, x = gate.contiguous(), x.contiguous()
    out = torch.empty_like(gate)
    kernels().gated(gate.data_ptr(), x.data_ptr(), out.data_ptr(), 0, gate.numel())
    _notify(KernelCall(operations.GATED, (gate, x), out))
    return out


def ssru(forget: Tensor, inputs: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
    """Return the outputs (N, T, D) of `regard.nn.ssru.SSRU` and its last state (N, D).

    Args:
        forget: (N, T, D) the arguments of the forget gates.
        inputs: (N, T, D).
        state: (N, D) before the first step.
    """
    forget, inputs = forget.contiguous(), inputs.contiguous()
    state = state.clone(memory_format=torch.contiguous_format)
    out = torch.empty_like(inputs)
    kernels().ssru(forget.data_ptr(), inputs.data_ptr(), state.data_ptr(), out.data_ptr(), *inputs.shape)
    _notify(KernelCall(operations.SSRU, (forget, inputs), out))
    return out, state


def _notify(call: KernelCall) -> None:
    if (listener := call_listener.get()) is not None:
        listener(call)
