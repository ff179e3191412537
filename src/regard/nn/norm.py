"""A residual connection with dropout and the normalisation behind it."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from regard.nn import native
from regard.nn.dropout import Dropout
from regard.nn.native_training import FEW, Draws, drop_add_norm, drop_add_norm_gradient


class _DropAddNorm(torch.autograd.Function):
    """native_training.drop_add_norm with its gradient; norm's parameters are given apart, so that they get theirs."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, y: Tensor, gain: Tensor, bias: Tensor, norm: nn.LayerNorm, draws: Draws) -> Tensor:
        out, normal, scales = drop_add_norm(x.contiguous(), y.contiguous(), norm, draws)
        ctx.save_for_backward(normal, scales, gain)
        ctx.draws = draws
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, change: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, None, None]:
        normal, scales, gain = ctx.saved_tensors
        return *drop_add_norm_gradient(change, normal, scales, gain, ctx.draws), None, None


def add_norm(x: Tensor, y: Tensor, norm: nn.LayerNorm, dropout: Dropout) -> Tensor:
    """norm(x + dropout(y)), (..., D) each (Vaswani et al. 2017, section 3.1: "LayerNorm(x + Sublayer(x))", and 5.4)."""
    width = x.size(-1)
    if width % native.LANES == 0 and native.suits(x) and not dropout.training:
        return native.add_norm(x, y, norm)
    if width % FEW == 0 and native.knows(x):
        parts = x, y, norm.weight, norm.bias, norm, dropout.draws()
        out: Tensor = _DropAddNorm.apply(*parts)  # type: ignore[no-untyped-call]
        return out
    normal: Tensor = norm(x + dropout(y))
    return normal
