"""An output layer that has its weights in common with an embedding."""

import torch.nn.functional as F
from torch import Tensor, nn


class TiedLinear(nn.Module):
    """x E^T for the table E (V, D) of an embedding (Press and Wolf 2017): it has no weights of its own."""

    def __init__(self, table: nn.Embedding) -> None:
        super().__init__()
        self._table = (table,)  # in a tuple, so that it is no part of this module

    @property
    def weight(self) -> Tensor:
        """E (V, D)."""
        return self._table[0].weight

    def forward(self, x: Tensor) -> Tensor:
        """(..., D) to (..., V)."""
        return F.linear(x, self.weight)
