"""Rotary positions: queries and keys rotated by angles that grow with their position."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from regard.nn.attention_memory import Positions
from regard.nn.kernels import layers, native
from regard.nn.position import angles


def rotations(positions: int, size: int, start: int = 0) -> Tensor:
    """Return cosine and sine (positions, size / 2, 2), in float64, of the angles p / 10000^(2i / size).

    The first position is `start`.
    """
    angle = angles(positions, size, start)
    return torch.stack((angle.cos(), angle.sin()), dim=-1)


class RotaryPositions(nn.Module):
    """Rotate each pair (x_2i, x_{2i + 1}) at position p by the angle p / 10000^(2i / W).

    See Su et al. 2021, section 3.2.2.

    The product of a rotated query and a rotated key depends on their distance and not on where they are. A pair is
    multiplied as a complex number, which is several times as fast on a CPU as four real products. The table grows with
    the longest sequence seen.
    """

    table: Tensor

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size
        self.register_buffer("table", rotations(256, size).to(torch.get_default_dtype()), persistent=False)

    def forward(self, x: Tensor, positions: Positions) -> Tensor:
        """Rotate heads x (N, T, H, W) at their positions, T or one for all."""
        if self.size % native.UNIT == 0 and self.table.dtype == x.dtype and native.supports_inference(x):
            return layers.rotate(x, self.table_to, *positions)
        if torch.compiler.is_exporting():
            return self._rotate_real(x, positions.end - x.size(1))
        dtype = torch.promote_types(x.dtype, torch.float32)  # there are no complex numbers of two bfloat16 values
        rotation = self.table_to(positions.end)[positions.rows]  # (T, W / 2, 2)
        turn = torch.view_as_complex(rotation.to(dtype)).unsqueeze(1)  # (T, 1, W / 2)
        turn = turn.expand(-1, x.size(2), -1).contiguous()  # long rows are multiplied faster
        pairs = torch.view_as_complex(x.to(dtype).unflatten(-1, (-1, 2)))
        return torch.view_as_real(pairs * turn).flatten(-2).to(x.dtype)

    def _rotate_real(self, x: Tensor, start: int) -> Tensor:
        """Rotate heads (N, T, H, W), the first of which are at position `start`, without complex numbers or a table."""
        cosine, sine = rotations(x.size(1), self.size, start).to(x.dtype).unsqueeze(1).unbind(-1)  # (T, 1, W / 2)
        even, odd = x.unflatten(-1, (-1, 2)).unbind(-1)
        return torch.stack((even * cosine - odd * sine, odd * cosine + even * sine), dim=-1).flatten(-2)

    def table_to(self, end: int) -> Tensor:
        """Return a table (P, W / 2, 2) of at least `end` positions."""
        if end > self.table.size(0):
            with torch.inference_mode(False):  # a later training step must be able to use a table made by a search
                self.table = rotations(2 * end, self.size).to(self.table)
        return self.table

    if TYPE_CHECKING:
        __call__ = forward
