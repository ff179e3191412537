"""Attention: how positions are scored, apart from how a model is wired to it."""

import math

import torch
from torch import Tensor, nn


def masked_softmax(scores: Tensor, mask: Tensor) -> Tensor:
    """Scores (..., S) to weights (..., S) that sum to 1 over the real positions of mask and are 0 elsewhere."""
    return scores.masked_fill(~mask, -math.inf).softmax(-1)


class AdditiveScore(nn.Module):
    """e_j = v^T tanh(W q + U k_j) (Bahdanau et al. 2014, section 3.1 and appendix A.1.2)."""

    def __init__(self, query: int, key: int, width: int) -> None:
        super().__init__()
        self.query = nn.Linear(query, width)  # W, and the one bias the sum needs
        self.key = nn.Linear(key, width, bias=False)  # U
        self.score = nn.Linear(width, 1, bias=False)  # v

    def project(self, keys: Tensor) -> Tensor:
        """U k_j for all positions: (B, S, D) to (B, S, A); once a source."""
        projected: Tensor = self.key(keys)
        return projected

    def forward(self, queries: Tensor, projected: Tensor) -> Tensor:
        """Queries (N, T, Q) and the projected keys (N, S, A) to scores (N, T, S), over N x T x S x A values."""
        scores: Tensor = self.score(torch.tanh(self.query(queries).unsqueeze(2) + projected.unsqueeze(1)))
        return scores.squeeze(-1)


class DotScore(nn.Module):
    """scale x h . k_j: dot of Luong et al. 2015 (section 3.1); with scale 1 / sqrt(d), equation 1 of Vaswani et al."""

    def __init__(self, scale: float = 1.0) -> None:
        super().__init__()
        self.scale = scale

    def project(self, keys: Tensor) -> Tensor:
        """The keys (B, S, D) themselves."""
        return keys

    def forward(self, queries: Tensor, projected: Tensor) -> Tensor:
        """Queries (N, T, D) and keys (N, S, D) to scores (N, T, S)."""
        return (self.scale * queries) @ projected.mT


class GeneralScore(nn.Module):
    """h^T W k_j (Luong et al. 2015, section 3.1)."""

    def __init__(self, query: int, key: int) -> None:
        super().__init__()
        self.key = nn.Linear(key, query, bias=False)  # W

    def project(self, keys: Tensor) -> Tensor:
        """W k_j for all positions: (B, S, D) to (B, S, Q); once a source."""
        projected: Tensor = self.key(keys)
        return projected

    def forward(self, queries: Tensor, projected: Tensor) -> Tensor:
        """Queries (N, T, Q) and the projected keys (N, S, Q) to scores (N, T, S)."""
        return queries @ projected.mT


class ConcatScore(nn.Module):
    """v^T tanh(W [h; k_j]) (Luong et al. 2015, section 3.1), where W [h; k] is taken as W_h h + W_k k."""

    def __init__(self, query: int, key: int, width: int) -> None:
        super().__init__()
        self.query = nn.Linear(query, width, bias=False)  # W_h
        self.key = nn.Linear(key, width, bias=False)  # W_k
        self.score = nn.Linear(width, 1, bias=False)  # v

    def project(self, keys: Tensor) -> Tensor:
        """W_k k_j for all positions: (B, S, D) to (B, S, A); once a source."""
        projected: Tensor = self.key(keys)
        return projected

    def forward(self, queries: Tensor, projected: Tensor) -> Tensor:
        """Queries (N, T, Q) and the projected keys (N, S, A) to scores (N, T, S), over N x T x S x A values."""
        scores: Tensor = self.score(torch.tanh(self.query(queries).unsqueeze(2) + projected.unsqueeze(1)))
        return scores.squeeze(-1)
