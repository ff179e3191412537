"""Multi-head attention as layers with weights (Vaswani et al. 2017, section 3.2.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from regard.nn.attention_memory import KeysValues, SequenceMemory, SourceMemory
from regard.nn.modules import Linear
from regard.nn.scaled_dot_product import split_heads


class KeyValueLinear(nn.Linear):
    """Project (..., I) to keys and values (..., 2 O) in one product. The keys' half of the bias gets no gradient.

    A bias shared by all keys adds the same number to all scores of a query, and softmax does not depend on it. Its
    computed gradient would be nothing but rounding error, which Adam scales up to steps of full length.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Return x W^T + b."""
        if not torch.is_grad_enabled():
            return super().forward(x)
        keys, values = self.bias.chunk(2)
        return F.linear(x, self.weight, torch.cat((keys.detach(), values)))

    if TYPE_CHECKING:
        __call__ = forward


class MultiHeadAttention(nn.Module):
    """The projections of attention with H heads: Q = x W_Q, K = m W_K, V = m W_V, and W_O.

    The projections have biases, which the paper's equations do not show.
    """

    def __init__(self, size: int, num_heads: int) -> None:
        super().__init__()
        self.head_size = size // num_heads
        self.query = Linear(size, size)
        self.key_value = KeyValueLinear(size, 2 * size)
        self.output = Linear(size, size)

    def project_queries(self, x: Tensor) -> Tensor:
        """Project (N, T, D) to queries (N, T, H, D/H)."""
        return split_heads(self.query(x), self.head_size)

    def project(self, memory: Tensor) -> KeysValues:
        """Project (N, S, D) to keys and values (N, S, H, D/H)."""
        keys, values = self.key_value(memory).chunk(2, dim=-1)  # (N, S, D) each
        return KeysValues(split_heads(keys, self.head_size), split_heads(values, self.head_size))


class MultiHeadSelfAttention(MultiHeadAttention):
    """Attention from positions of a sequence to positions of the same sequence."""

    def forward(self, x: Tensor, sequence: SequenceMemory) -> Tensor:
        """Attend from x (N, T, D) to the sequence that it is part of: (N, T, D)."""
        projected = self.project(x)
        return self.output(sequence.attend(self.project_queries(x), projected.keys, projected.values))

    if TYPE_CHECKING:
        __call__ = forward


class MultiHeadSourceAttention(MultiHeadAttention):
    """Attention from target positions to the source, which `project` has projected."""

    def forward(self, x: Tensor, source: SourceMemory) -> Tensor:
        """Attend from x (N, T, D) to the source: (N, T, D)."""
        return self.output(source.attend(self.project_queries(x)))

    if TYPE_CHECKING:
        __call__ = forward
