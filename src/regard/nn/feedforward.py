"""Feed-forward layers, with fused operations between the matrix products for training on a CPU."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from regard.nn.kernels import layers as layer_kernels
from regard.nn.kernels import native
from regard.nn.kernels.autograd import bias_relu, bias_relu_gradient, gated, gated_gradient


def feed_forward(x: Tensor, layers: nn.Sequential) -> Tensor:
    """Apply the layers to x (..., D), fused if possible."""
    if can_fuse(x, layers):
        return fused_feed_forward(x, layers)
    for layer in layers:
        x = layer(x)
    return x


def can_fuse(x: Tensor, layers: nn.Sequential) -> bool:
    """Return whether `fused_feed_forward` applies: Linear, ReLU, Linear, in training and supported by the kernels."""
    kinds = [type(layer) for layer in layers]
    return kinds == [nn.Linear, nn.ReLU, nn.Linear] and torch.is_grad_enabled() and native.supports(x)


def fused_feed_forward(x: Tensor, layers: nn.Sequential) -> Tensor:
    """Apply Linear, ReLU and Linear to x (..., D), with the first bias and the ReLU in one pass."""
    parameters = [parameter for layer in layers for parameter in layer.parameters()]  # weight and bias of both
    out: Tensor = _FusedReLU.apply(x.contiguous(), *parameters)  # type: ignore[no-untyped-call]
    return out


class _FusedReLU(torch.autograd.Function):
    """max(0, x W_1^T + b_1) W_2^T + b_2, with the bias and the ReLU in one pass, and so its gradient."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight_1: Tensor, bias_1: Tensor, weight_2: Tensor, bias_2: Tensor) -> Tensor:
        rows = x.flatten(0, -2)
        inner = rows @ weight_1.t()
        bias_relu(inner, bias_1)
        ctx.save_for_backward(rows, inner, weight_1, weight_2)
        return torch.addmm(bias_2, inner, weight_2.t()).view(*x.shape[:-1], -1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, ...]:
        rows, inner, weight_1, weight_2 = ctx.saved_tensors
        out_gradient = gradient.flatten(0, -2)
        inner_gradient = out_gradient @ weight_2
        bias_1_gradient = bias_relu_gradient(inner_gradient, inner)
        return (
            (inner_gradient @ weight_1).view(*gradient.shape[:-1], -1),
            inner_gradient.t() @ rows,
            bias_1_gradient,
            out_gradient.t() @ inner,
            out_gradient.sum(0),
        )


def silu_times(gate: Tensor, x: Tensor) -> Tensor:
    """Return silu(gate) * x, both (..., D) (Shazeer 2020, equation 6)."""
    if torch.is_grad_enabled() and native.supports(gate) and gate.numel() % native.UNIT == 0:
        out: Tensor = _Gated.apply(gate.contiguous(), x.contiguous())  # type: ignore[no-untyped-call]
        return out
    if gate.size(-1) % native.UNIT == 0 and native.supports_inference(gate):
        return layer_kernels.gated(gate, x)
    return F.silu(gate) * x


class _Gated(torch.autograd.Function):
    """`regard.nn.kernels.autograd.gated` with its gradient."""

    @staticmethod
    def forward(ctx: Any, gate: Tensor, x: Tensor) -> Tensor:
        ctx.save_for_backward(gate, x)
        return gated(gate, x)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor]:
        return gated_gradient(gradient, *ctx.saved_tensors)
