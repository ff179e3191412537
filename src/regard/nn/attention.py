"""Attention of recurrent decoders: scores between queries and the encoder's annotations, and weighted means of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import torch
from torch import Tensor, nn

from regard.contract import Memory, PerSource
from regard.nn.copying import CopySource
from regard.nn.modules import Linear
from regard.plugins.registry import WithPlugins


def masked_softmax(scores: Tensor, mask: Tensor) -> Tensor:
    """Return weights (..., S) that sum to 1 over the positions where mask is True, and are 0 elsewhere."""
    return scores.masked_fill(~mask, -math.inf).softmax(-1)


class Score(Protocol):
    """How well a query and a key match."""

    def project(self, keys: Tensor) -> Tensor:
        """Return what can be computed of the keys (B, S, D) once per source."""
        ...

    def __call__(self, queries: Tensor, projected: Tensor) -> Tensor:
        """Return the scores (N, T, S) of queries (N, T, Q) and projected keys (N, S, ...)."""
        ...


class AdditiveScore(nn.Module):
    """e_j = v^T tanh(W q + U k_j) (Bahdanau et al. 2014, section 3.1 and appendix A.1.2).

    Without the bias, this is the concat score of Luong et al. 2015 (section 3.1), v^T tanh(W [q; k_j]).
    """

    def __init__(self, query_size: int, key_size: int, attention_size: int, *, bias: bool = True) -> None:
        super().__init__()
        self.query = Linear(query_size, attention_size, bias=bias)  # W, and the one bias that the sum needs
        self.key = Linear(key_size, attention_size, bias=False)  # U
        self.score = Linear(attention_size, 1, bias=False)  # v

    def project(self, keys: Tensor) -> Tensor:
        """Return U k_j for all positions, (B, S, A)."""
        return self.key(keys)

    def forward(self, queries: Tensor, projected: Tensor) -> Tensor:
        """Return scores (N, T, S) of queries (N, T, Q) and projected keys (N, S, A). Needs N x T x S x A values."""
        hidden = torch.tanh(self.query(queries).unsqueeze(2) + projected.unsqueeze(1))  # (N, T, S, A)
        return self.score(hidden).squeeze(-1)

    if TYPE_CHECKING:
        __call__ = forward


class DotScore(nn.Module):
    """scale x q . k_j: dot of Luong et al. 2015 (section 3.1); with scale 1 / sqrt(d), equation 1 of Vaswani et al."""

    def __init__(self, scale: float = 1.0) -> None:
        super().__init__()
        self.scale = scale

    def project(self, keys: Tensor) -> Tensor:
        """Return the keys (B, S, D) themselves."""
        return keys

    def forward(self, queries: Tensor, projected: Tensor) -> Tensor:
        """Return scores (N, T, S) of queries (N, T, D) and keys (N, S, D)."""
        return (self.scale * queries) @ projected.mT

    if TYPE_CHECKING:
        __call__ = forward


class GeneralScore(nn.Module):
    """q^T W k_j (Luong et al. 2015, section 3.1)."""

    def __init__(self, query_size: int, key_size: int) -> None:
        super().__init__()
        self.key = Linear(key_size, query_size, bias=False)  # W

    def project(self, keys: Tensor) -> Tensor:
        """Return W k_j for all positions, (B, S, Q)."""
        return self.key(keys)

    def forward(self, queries: Tensor, projected: Tensor) -> Tensor:
        """Return scores (N, T, S) of queries (N, T, Q) and projected keys (N, S, Q)."""
        return queries @ projected.mT

    if TYPE_CHECKING:
        __call__ = forward


def _concat(query_size: int, key_size: int) -> Score:
    return AdditiveScore(query_size, key_size, query_size, bias=False)


SCORES: Mapping[str, Callable[[int, int], Score]] = WithPlugins(
    "scores",
    {
        "dot": lambda query_size, key_size: DotScore(),
        "general": GeneralScore,
        "concat": _concat,
        "scaled_dot": lambda query_size, key_size: DotScore(key_size**-0.5),
    },
)
"""Functions of the sizes of a query and a key, by the name of the score."""


@dataclass(frozen=True)
class Annotations(PerSource):
    """The source as a decoder's attention reads it.

    Attributes:
        projected: (B, S, ...) the keys as the score projects them.
        values: (B, S, D) what is averaged.
        mask: (B, S), True at real positions.
        copied: What a decoder that copies also needs.
    """

    projected: Tensor
    values: Tensor
    mask: Tensor
    copied: CopySource | None = None

    @classmethod
    def of(cls, memory: Memory, score: Score, *, copies: bool = False) -> Annotations:
        """Project the encoder's output for a score, of a decoder that `copies` source tokens or does not."""
        copied = CopySource.of(memory) if copies else None
        return cls(score.project(memory.keys), memory.values, memory.mask, copied)

    def attend(self, queries: Tensor, score: Score) -> tuple[Tensor, Tensor]:
        """Attend from one query per row, (N, Q): return contexts (N, D) and weights (N, S)."""
        rows = queries.unflatten(0, (self.mask.size(0), -1))  # (B, N / B, Q)
        weights = masked_softmax(score(rows, self.projected), self.mask.unsqueeze(1))  # (B, N / B, S)
        contexts = torch.bmm(weights, self.values)  # (B, N / B, D)
        return contexts.flatten(0, 1), weights.flatten(0, 1)
