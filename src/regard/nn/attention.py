"""Attention: how positions are scored, apart from how a model is wired to it."""

import math

import torch
import torch.nn.functional as F
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

    def forward(self, query: Tensor, projected: Tensor) -> Tensor:
        """A query (N, Q) and the projected keys (N, S, A) to scores (N, S)."""
        scores: Tensor = self.score(torch.tanh(self.query(query).unsqueeze(1) + projected))
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


class MultiHeadAttention(nn.Module):
    """softmax(Q K^T / sqrt(d)) V in H heads (Vaswani et al. 2017, section 3.2, equation 1).

    The projections carry biases, which the paper's equations do not show.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width)
        self.key_value = nn.Linear(width, 2 * width)
        self.output = nn.Linear(width, width)

    def _split(self, x: Tensor) -> Tensor:
        split: Tensor = x.unflatten(-1, (self.heads, -1))  # (N, T, D) -> (N, T, H, D/H)
        return split.transpose(1, 2)

    def project(self, memory: Tensor) -> tuple[Tensor, Tensor]:
        """What is attended to, (N, S, D), to keys and values, each (N, H, S, D/H)."""
        keys, values = self.key_value(memory).chunk(2, dim=-1)
        return self._split(keys), self._split(values)

    def forward(
        self,
        x: Tensor,
        keys: Tensor,
        values: Tensor,
        *,
        mask: Tensor | None = None,
        causal: bool = False,
        with_weights: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """Queries x (N, T, D) over keys and values (N, H, S, D/H) to (N, T, D) and weights (N, H, T, S) if asked for.

        mask: (N, S), True at positions that may be attended to. causal: position t sees none behind it;
        not together with mask or with_weights.
        """
        assert not (causal and (with_weights or mask is not None))
        queries = self._split(self.query(x))
        allowed = None if mask is None else mask[:, None, None, :]
        weights = None
        if with_weights:
            scores = queries @ keys.transpose(-1, -2) / math.sqrt(queries.size(-1))
            weights = scores.softmax(-1) if allowed is None else masked_softmax(scores, allowed)
            mixed = weights @ values
        else:
            mixed = F.scaled_dot_product_attention(queries, keys, values, attn_mask=allowed, is_causal=causal)
        return self.output(mixed.transpose(1, 2).flatten(2)), weights
