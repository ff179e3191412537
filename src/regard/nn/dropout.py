"""Dropout that costs little on a CPU."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

LEVELS = 1 << 16  # a keep decision compares 16 random bits


class Dropout(nn.Module):
    """Each value is zero with probability p in training, the others scaled so that the mean stays.

    PyTorch draws a float for each value, which takes a tenth of a CPU's training time. Here a 64-bit
    draw of the same generator decides four values; p is therefore rounded to 1/65,536, and the
    scale is that of the rounded p. On other devices this is PyTorch's own dropout.
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
        dropped = min(round(self.p * LEVELS), LEVELS - 1)
        draws = torch.empty((x.numel() + 3) // 4, dtype=torch.int64).random_(-(2**63), None)
        kept = draws.view(torch.int16)[: x.numel()].view(x.shape) >= dropped - LEVELS // 2
        return x * kept.to(x.dtype).mul_(LEVELS / (LEVELS - dropped))

    def extra_repr(self) -> str:
        """The probability, for printing."""
        return f"p={self.p}"
