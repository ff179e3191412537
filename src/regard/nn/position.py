"""Sinusoidal positions, for models that would otherwise not know the order of their tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn


def angles(positions: int, size: int, start: int = 0) -> Tensor:
    """Return p / 10000^(2i / size) for positions p and 2i < size, in float64: (positions, size / 2), rounded up.

    The first position is `start`.
    """
    position = torch.arange(start, start + positions).double().unsqueeze(1)
    rate = torch.pow(10000.0, -torch.arange(0, size, 2, dtype=torch.float64) / size)
    return position * rate


def sinusoid(positions: int, size: int, start: int = 0) -> Tensor:
    """Return the table (positions, size) of Vaswani et al. 2017, section 3.5, from position `start`.

    PE(pos, 2i) = sin(pos / 10000^(2i / size)), PE(pos, 2i + 1) = cos of the same angle.
    """
    angle = angles(positions, size, start)
    table = torch.stack((angle.sin(), angle.cos()), dim=2).reshape(positions, -1)
    return table[:, :size].to(torch.get_default_dtype())


class SinusoidPositions(nn.Module):
    """Add the sinusoid of each position. The table grows with the longest sequence seen."""

    table: Tensor

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size
        self.register_buffer("table", sinusoid(256, size), persistent=False)

    def forward(self, x: Tensor, start: int = 0) -> Tensor:
        """Add positions to x (N, T, D), the first of which is at position `start`."""
        end = start + x.size(1)
        if torch.compiler.is_exporting():
            return x + sinusoid(x.size(1), self.size, start)
        return x + self.table_to(end)[start:end].to(x.dtype)

    def table_to(self, end: int) -> Tensor:
        """Return a table (T, D) of at least `end` positions."""
        if end > self.table.size(0):
            self.table = sinusoid(2 * end, self.size).to(self.table)
        return self.table

    if TYPE_CHECKING:
        __call__ = forward
