"""What is between the linear layers of a feed-forward, in one pass of training on a CPU."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from regard.nn.kernels import native
from regard.nn.kernels.autograd import bias_relu, bias_relu_gradient, gated, gated_gradient


class _ReluBetween(torch.autograd.Function):
    """max(0, x W^T + b) V^T + c, where the bias and the ReLU take one pass, and so does their gradient."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, first: Tensor, bias: Tensor, second: Tensor, last_bias: Tensor) -> Tensor:
        rows = x.flatten(0, -2)
        inner = rows @ first.t()
        bias_relu(inner, bias)
        ctx.save_for_backward(rows, inner, first, second)
        return torch.addmm(last_bias, inner, second.t()).view(*x.shape[:-1], -1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, change: Tensor) -> tuple[Tensor, ...]:
        rows, inner, first, second = ctx.saved_tensors
        out_change = change.flatten(0, -2)
        inner_change = out_change @ second
        of_bias = bias_relu_gradient(inner_change, inner)
        return (
            (inner_change @ first).view(*change.shape[:-1], -1),
            inner_change.t() @ rows,
            of_bias,
            out_change.t() @ inner,
            out_change.sum(0),
        )


def can_fuse(x: Tensor, layers: nn.Sequential) -> bool:
    """Whether `relu_between` is for them: Linear, ReLU and Linear, in float32, on a CPU that there are kernels for."""
    kinds = [type(layer) for layer in layers]
    return kinds == [nn.Linear, nn.ReLU, nn.Linear] and torch.is_grad_enabled() and native.supports(x)


def relu_between(x: Tensor, layers: nn.Sequential) -> Tensor:
    """layers(x) for x (..., D)."""
    parts = [parameter for layer in layers for parameter in layer.parameters()]  # weight and bias of either
    out: Tensor = _ReluBetween.apply(x.contiguous(), *parts)  # type: ignore[no-untyped-call]
    return out


class _Gated(torch.autograd.Function):
    """native_training.gated with its gradient."""

    @staticmethod
    def forward(ctx: Any, gate: Tensor, x: Tensor) -> Tensor:
        ctx.save_for_backward(gate, x)
        return gated(gate, x)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, change: Tensor) -> tuple[Tensor, Tensor]:
        return gated_gradient(change, *ctx.saved_tensors)


def silu_times(gate: Tensor, x: Tensor) -> Tensor:
    """silu(gate) * x, (..., D) each (Shazeer 2020, equation 6)."""
    if torch.is_grad_enabled() and native.supports(gate) and gate.numel() % native.UNIT == 0:
        out: Tensor = _Gated.apply(gate.contiguous(), x.contiguous())  # type: ignore[no-untyped-call]
        return out
    return F.silu(gate) * x
