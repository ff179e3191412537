"""Rotary positions: queries and keys turned by angles that grow with their position."""

import torch
from torch import Tensor, nn


def turns(positions: int, width: int) -> Tensor:
    """The cosine and sine (positions, width / 2, 2), in float64, of the angles p / 10000^(2i / width)."""
    position = torch.arange(positions, dtype=torch.float64).unsqueeze(1)
    rate = torch.pow(10000.0, -torch.arange(0, width, 2, dtype=torch.float64) / width)
    angle = position * rate
    return torch.stack((angle.cos(), angle.sin()), dim=-1)


class RotaryPositions(nn.Module):
    """Turns the pair (x_2i, x_{2i + 1}) at position p by the angle p / 10000^(2i / W) (Su et al. 2021, section 3.2.2).

    The product of a query and a key that are both turned depends on how far apart they are, and on
    nothing else of where they stand. A pair is a complex number and a turn one product, several
    times as fast on a CPU as the four real ones. The table grows with the longest sequence seen.
    """

    table: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        self.register_buffer("table", turns(256, width).to(torch.get_default_dtype()), persistent=False)

    def forward(self, x: Tensor, positions: Tensor | None = None) -> Tensor:
        """x (N, T, H, W), whose first position is 0, or whose positions are (T,), to the same shape."""
        turn = self._turns(x.size(1)) if positions is None else self._turns(int(positions.max()) + 1)[positions]
        return _turned(x, torch.view_as_complex(turn.to(x.dtype)).unsqueeze(1))  # (T, 1, W / 2)

    def at(self, x: Tensor, position: int) -> Tensor:
        """x (N, T, H, W), all at one position, to the same shape."""
        turn = self._turns(position + 1)[position].to(x.dtype)
        return _turned(x, torch.view_as_complex(turn)[None, None])

    def _turns(self, positions: int) -> Tensor:
        if positions > self.table.size(0):
            with torch.inference_mode(False):  # a later training step must be able to use what a search made
                self.table = turns(2 * positions, self.width).to(self.table)
        return self.table[:positions]


def _turned(x: Tensor, turn: Tensor) -> Tensor:
    """x (N, T, H, W) by turns (T or 1, 1, W / 2)."""
    turn = turn.expand(-1, x.size(2), -1).contiguous()  # long rows are multiplied faster
    return torch.view_as_real(torch.view_as_complex(x.unflatten(-1, (-1, 2))) * turn).flatten(-2)
