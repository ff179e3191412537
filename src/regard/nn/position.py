"""Positions told to a model that would otherwise not know the order of its tokens."""

import torch
from torch import Tensor, nn


def sinusoid(positions: int, width: int) -> Tensor:
    """The table (positions, width) of Vaswani et al. 2017, section 3.5.

    PE(pos, 2i) = sin(pos / 10000^(2i / width)), PE(pos, 2i + 1) = cos of the same angle.
    """
    position = torch.arange(positions, dtype=torch.float64).unsqueeze(1)
    rate = torch.pow(10000.0, -torch.arange(0, width, 2, dtype=torch.float64) / width)
    angle = position * rate
    table = torch.stack((angle.sin(), angle.cos()), dim=2).reshape(positions, -1)
    return table[:, :width].to(torch.get_default_dtype())


class SinusoidPositions(nn.Module):
    """Adds the sinusoid of each position; its table grows with the longest sequence seen."""

    table: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        self.register_buffer("table", sinusoid(256, width), persistent=False)

    def forward(self, x: Tensor, start: int = 0) -> Tensor:
        """x (B, T, D), whose first position is `start`, to x + positions (B, T, D)."""
        end = start + x.size(1)
        if end > self.table.size(0):
            self.table = sinusoid(2 * end, self.width).to(self.table)
        return x + self.table[start:end].to(x.dtype)
