"""Embeddings of tokens."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from regard.nn.dropout import Dropout
from regard.nn.modules import Embedding
from regard.nn.position import SinusoidPositions
from regard.special_tokens import PAD


def token_embedding(vocabulary_size: int, size: int) -> Embedding:
    """Return a table with a row per token. The row of PAD gets no gradient."""
    return Embedding(vocabulary_size, size, padding_idx=PAD)


@torch.no_grad()
def zero_padding(model: nn.Module) -> None:
    """Set the PAD row of every token embedding in the model to zero."""
    for module in model.modules():
        if isinstance(module, nn.Embedding) and module.padding_idx == PAD:
            module.weight[PAD].zero_()


class ScaledEmbedding(nn.Module):
    """Embed tokens and multiply by sqrt(D), then add positions, if any, and apply dropout.

    See Vaswani et al. 2017, sections 3.4 and 5.4.
    """

    def __init__(self, table: nn.Embedding, dropout: float, positions: SinusoidPositions | None = None) -> None:
        super().__init__()
        self.table = table
        self.scale = math.sqrt(table.embedding_dim)
        self.positions = positions
        self.dropout = Dropout(dropout)

    def forward(self, tokens: Tensor, start: int = 0) -> Tensor:
        """Embed tokens (N, T), the first of which is at position `start`, as (N, T, D)."""
        x: Tensor = self.table(tokens) * self.scale
        return self.dropout(x if self.positions is None else self.positions(x, start))

    if TYPE_CHECKING:
        __call__ = forward
