"""A residual connection with dropout and the normalisation behind it."""

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from regard.nn.dropout import Dropout
from regard.nn.kernels import native
from regard.nn.kernels.autograd import FEW, Draws, Normed, drop_add_norm, drop_add_norm_gradient


class _Wanted(NamedTuple):
    norm: nn.LayerNorm
    draws: Draws
    with_both: bool


class _DropAddNorm(torch.autograd.Function):
    """native_training.drop_add_norm with its gradient; norm's parameters are given apart, so that they get theirs."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, y: Tensor, gain: Tensor, bias: Tensor | None, wanted: _Wanted
    ) -> tuple[Tensor, Tensor | None]:
        found = drop_add_norm(x.contiguous(), y.contiguous(), wanted.norm, wanted.draws, with_both=wanted.with_both)
        ctx.save_for_backward(found.normal, found.scales, gain)
        ctx.draws, ctx.biased = wanted.draws, bias is not None
        ctx.set_materialize_grads(False)
        return found.out, found.both

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, change: Tensor | None, both_change: Tensor | None) -> tuple[Tensor | None, ...]:
        normal, scales, gain = ctx.saved_tensors
        change = torch.zeros_like(normal) if change is None else change
        normed = Normed(change, None, normal, scales)
        of_x, of_y, of_gain, of_bias = drop_add_norm_gradient(change, both_change, normed, gain, ctx.draws)
        return of_x, of_y, of_gain, of_bias if ctx.biased else None, None


def add_norm(x: Tensor, y: Tensor, norm: nn.LayerNorm, dropout: Dropout) -> Tensor:
    """norm(x + dropout(y)), (..., D) each (Vaswani et al. 2017, section 3.1: "LayerNorm(x + Sublayer(x))", and 5.4)."""
    width = x.size(-1)
    if width % native.UNIT == 0 and native.supports_inference(x) and not dropout.training:
        return native.add_norm(x, y, norm)
    if width % FEW == 0 and native.supports(x):
        wanted = _Wanted(norm, dropout.draws(), with_both=False)
        found = _DropAddNorm.apply(x, y, norm.weight, norm.bias, wanted)  # type: ignore[no-untyped-call]
        out: Tensor = found[0]
        return out
    normal: Tensor = norm(x + dropout(y))
    return normal


def add_then_norm(x: Tensor, y: Tensor, norm: nn.LayerNorm, dropout: Dropout) -> tuple[Tensor, Tensor]:
    """both = x + dropout(y) and norm(both), (..., D) each (Xiong et al. 2020, where the norm is before a sub-layer)."""
    if x.size(-1) % FEW == 0 and torch.is_grad_enabled() and native.supports(x):
        wanted = _Wanted(norm, dropout.draws(), with_both=True)
        out, both = _DropAddNorm.apply(x, y, norm.weight, norm.bias, wanted)  # type: ignore[no-untyped-call]
        return both, out
    both = x + dropout(y)
    return both, norm(both)
