"""Dropout that costs little on a CPU."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from regard.nn.kernels import native
from regard.nn.kernels.autograd import NONE, Draws, dropout

LEVELS = 1 << 16  # a keep decision compares 16 random bits


class _Dropout(torch.autograd.Function):
    """Draws that gradients meet too."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, draws: Draws) -> Tensor:
        ctx.draws = draws
        return dropout(x, draws)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return dropout(gradient, ctx.draws), None


class Dropout(nn.Module):
    """Each value is zero with probability p in training, the others scaled so that the mean stays.

    PyTorch draws a float for each value, which takes a tenth of a CPU's training time. Here a 64-bit
    draw decides four values; p is therefore rounded to 1/65,536, and the scale is that of the rounded p. Where there
    are kernels for it, one draw of PyTorch's generator is the seed of all others, and backward draws them again rather
    than keep what they decided. On other devices this is PyTorch's own dropout.
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        """(...) to the same shape."""
        if not self.training or self.p == 0:
            return x
        if x.device.type != "cpu":
            return F.dropout(x, self.p)
        if native.supports(x):
            out: Tensor = _Dropout.apply(x, self.draws())  # type: ignore[no-untyped-call]
            return out
        dropped = self._dropped
        draws = torch.empty((x.numel() + 3) // 4, dtype=torch.int64).random_(-(2**63), None)
        kept = draws.view(torch.int16)[: x.numel()].view(x.shape) >= dropped - LEVELS // 2
        return x * kept.to(x.dtype).mul_(LEVELS / (LEVELS - dropped))

    def draws(self) -> Draws:
        """What is drawn next, for a kernel; nothing where nothing is dropped."""
        if not self.training or self.p == 0:
            return NONE
        seed = int(torch.empty((), dtype=torch.int64).random_())
        return Draws(self._dropped, LEVELS / (LEVELS - self._dropped), seed)

    @property
    def _dropped(self) -> int:
        return min(round(self.p * LEVELS), LEVELS - 1)

    def extra_repr(self) -> str:
        """The probability, for printing."""
        return f"p={self.p}"
