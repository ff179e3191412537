"""A residual connection with dropout, and layer normalization before or after it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from regard.nn import modules
from regard.nn.dropout import Dropout
from regard.nn.kernels import layers, native
from regard.nn.kernels.autograd import VALUES_PER_DRAW, DropoutDraw, Normed, drop_add_norm, drop_add_norm_gradient


class LayerNorm(modules.LayerNorm):
    """`torch.nn.LayerNorm`; without a bias, a native kernel computes it in search."""

    def forward(self, input: Tensor) -> Tensor:
        """Return the norm of an input (..., D)."""
        has_kernel = self._parameters["bias"] is None and input.size(-1) % native.UNIT == 0
        if has_kernel and native.supports_inference(input):
            return layers.norm(input, self)
        return super().forward(input)


def add(x: Tensor, y: Tensor, dropout: Dropout) -> Tensor:
    """Return x + dropout(y), both (..., D)."""
    if native.supports_inference(x) and not dropout.training:
        return layers.add(x, y)
    return x + dropout(y)


def add_norm(x: Tensor, y: Tensor, norm: nn.LayerNorm, dropout: Dropout) -> Tensor:
    """Return norm(x + dropout(y)), all (..., D) (Vaswani et al. 2017, sections 3.1 and 5.4)."""
    size = x.size(-1)
    if size % native.UNIT == 0 and native.supports_inference(x) and not dropout.training:
        return native.add_norm(x, y, norm)
    if size % VALUES_PER_DRAW == 0 and native.supports(x):
        normed, _ = _fused(x, y, norm, dropout, with_sum=False)
        return normed
    out: Tensor = norm(x + dropout(y))
    return out


def add_then_norm(x: Tensor, y: Tensor, norm: nn.LayerNorm, dropout: Dropout) -> tuple[Tensor, Tensor]:
    """Return x + dropout(y) and its norm, both (..., D), for a norm before the next sub-layer (Xiong et al. 2020)."""
    if x.size(-1) % VALUES_PER_DRAW == 0 and torch.is_grad_enabled() and native.supports(x):
        normed, total = _fused(x, y, norm, dropout, with_sum=True)
        return total, normed
    total = add(x, y, dropout)
    return total, norm(total)


def _fused(x: Tensor, y: Tensor, norm: nn.LayerNorm, dropout: Dropout, *, with_sum: bool) -> tuple[Tensor, Tensor]:
    out: tuple[Tensor, Tensor] = _DropAddNorm.apply(x, y, norm.weight, norm.bias, norm, dropout.draw(), with_sum)  # type: ignore[no-untyped-call]
    return out


class _DropAddNorm(torch.autograd.Function):
    """`drop_add_norm` with its gradient. The norm's parameters are passed separately, so that they get gradients."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        y: Tensor,
        gain: Tensor,
        bias: Tensor | None,
        norm: nn.LayerNorm,
        draw: DropoutDraw,
        with_sum: bool,
    ) -> tuple[Tensor, Tensor | None]:
        result = drop_add_norm(x.contiguous(), y.contiguous(), norm, draw, with_sum=with_sum)
        ctx.save_for_backward(result.standardized, result.scales, gain)
        ctx.draw, ctx.has_bias = draw, bias is not None
        ctx.set_materialize_grads(False)
        return result.out, result.sum

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor | None, sum_gradient: Tensor | None) -> tuple[Tensor | None, ...]:
        standardized, scales, gain = ctx.saved_tensors
        gradient = torch.zeros_like(standardized) if gradient is None else gradient
        normed = Normed(gradient, None, standardized, scales)
        of_x, of_y, of_gain, of_bias = drop_add_norm_gradient(gradient, sum_gradient, normed, gain, ctx.draw)
        return of_x, of_y, of_gain, of_bias if ctx.has_bias else None, None, None, None
