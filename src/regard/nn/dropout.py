"""Dropout that is fast on a CPU."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from regard.nn.kernels import native
from regard.nn.kernels.autograd import NO_DROPOUT, DropoutDraw, dropout

LEVELS = 1 << 16  # a decision to keep a value compares 16 random bits


class _Dropout(torch.autograd.Function):
    """Dropout by a kernel. Backward draws the same numbers again instead of storing a mask."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, draw: DropoutDraw) -> Tensor:
        ctx.draw = draw
        return dropout(x, draw)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return dropout(gradient, ctx.draw), None


class Dropout(nn.Module):
    """Set each value to zero with probability p in training, and scale the others so that the mean stays the same.

    PyTorch draws a float per value, which takes a tenth of a CPU's training time. On a CPU, one 64-bit number decides
    four values here. p is therefore rounded to a multiple of 1/65,536, and the scale is that of the rounded p. With
    native kernels, one draw from PyTorch's generator seeds all others. On other devices this is PyTorch's own dropout.
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        """Return a tensor of the same shape."""
        if not self.training or self.p == 0:
            return x
        if x.device.type != "cpu":
            return F.dropout(x, self.p)
        if native.supports(x):
            out: Tensor = _Dropout.apply(x, self.draw())  # type: ignore[no-untyped-call]
            return out
        dropped = self._dropped
        bits = torch.empty((x.numel() + 3) // 4, dtype=torch.int64).random_(-(2**63), None)
        is_kept = bits.view(torch.int16)[: x.numel()].view(x.shape) >= dropped - LEVELS // 2
        return x * is_kept.to(x.dtype).mul_(LEVELS / (LEVELS - dropped))

    if TYPE_CHECKING:
        __call__ = forward

    def draw(self) -> DropoutDraw:
        """Draw a seed for a kernel; in evaluation, or if p is 0, draw nothing."""
        if not self.training or self.p == 0:
            return NO_DROPOUT
        seed = int(torch.empty((), dtype=torch.int64).random_())
        return DropoutDraw(self._dropped, LEVELS / (LEVELS - self._dropped), seed)

    @property
    def _dropped(self) -> int:
        return min(round(self.p * LEVELS), LEVELS - 1)

    def extra_repr(self) -> str:
        """Return the probability, for printing."""
        return f"p={self.p}"
