"""Attention in which several heads of queries may share one of keys and values (Ainslie et al. 2023)."""

from __future__ import annotations

import math

import torch.nn.functional as F
from torch import Tensor

from regard.nn.attention import masked_softmax


def split(x: Tensor, width: int) -> Tensor:
    """(N, T, H x W) to heads (N, T, H, W)."""
    heads: Tensor = x.unflatten(-1, (-1, width))
    return heads


def attend(
    queries: Tensor,
    keys: Tensor,
    values: Tensor,
    *,
    mask: Tensor | None = None,
    causal: bool = False,
    with_weights: bool = False,
) -> tuple[Tensor, Tensor | None]:
    """softmax(Q K^T / sqrt(W)) V, joined over heads, and the weights (N, H, T, S) if asked for.

    Queries (N, H, T, W) over keys and values (N, K, S, W) to (N, T, H x W); each of the K heads of
    keys serves the H / K heads of queries that follow one another.
    """
    grouped = queries.size(1) != keys.size(1)
    weights = None
    if with_weights:
        if grouped:
            keys, values = (x.repeat_interleave(queries.size(1) // x.size(1), 1) for x in (keys, values))
        scores = queries @ keys.transpose(-1, -2) / math.sqrt(queries.size(-1))
        weights = scores.softmax(-1) if mask is None else masked_softmax(scores, mask)
        mixed = weights @ values
    else:
        mixed = F.scaled_dot_product_attention(
            queries, keys, values, attn_mask=mask, is_causal=causal, enable_gqa=grouped
        )
    return mixed.transpose(1, 2).flatten(2), weights
