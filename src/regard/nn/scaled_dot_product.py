"""Scaled dot-product attention with several heads: softmax(Q K^T / sqrt(W)) V (Vaswani et al. 2017, equation 1).

Queries are (N, T, H, W). Keys and values are (N, S, K, W): each of their K heads serves H / K consecutive heads of
the queries (Ainslie et al. 2023).
"""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from regard.nn.attention import masked_softmax
from regard.nn.kernels import native
from regard.nn.kernels.autograd import attention, attention_gradient


def split_heads(x: Tensor, head_size: int) -> Tensor:
    """Split (N, T, H x W) into heads of size W: (N, T, H, W)."""
    return x.view(*x.shape[:-1], -1, head_size)


def attend(
    queries: Tensor, keys: Tensor, values: Tensor, *, mask: Tensor | None = None, causal: bool = False
) -> Tensor:
    """Return the attention's output (N, T, H x W), the heads concatenated.

    Args:
        queries: (N, T, H, W).
        keys: (N, S, K, W).
        values: (N, S, K, W).
        mask: (N, S) or (N, T, S), True at positions that may be attended to.
        causal: Position t attends to positions up to t. Not together with a mask.
    """
    assert not (causal and mask is not None)
    if torch.compiler.is_exporting() and not causal:
        return attend_with_weights(queries, keys, values, mask)[0]  # the graph may have the weights as an output
    if not causal and native.can_attend(queries, keys, values, mask):
        return native.attend(queries, keys, values, mask)
    is_grouped = queries.size(2) != keys.size(2)
    queries, keys, values = (x.transpose(1, 2) for x in (queries, keys, values))  # (N, H or K, T or S, W)
    output = F.scaled_dot_product_attention(
        queries, keys, values, attn_mask=_for_all_heads(mask), is_causal=causal, enable_gqa=is_grouped
    )
    return output.transpose(1, 2).flatten(2)


def attend_with_weights(queries: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
    """Return the output of `attend` and its weights (N, H, T, S)."""
    weights = attention_weights(queries, keys, mask)
    output = weights @ values.repeat_interleave(queries.size(2) // values.size(2), 2).transpose(1, 2)  # (N, H, T, W)
    return output.transpose(1, 2).flatten(2), weights


def attention_weights(queries: Tensor, keys: Tensor, mask: Tensor | None, *, causal: bool = False) -> Tensor:
    """Return softmax(Q K^T / sqrt(W)), (N, H, T, S), with the arguments of `attend`."""
    keys = keys.repeat_interleave(queries.size(2) // keys.size(2), 2)
    scores = queries.transpose(1, 2) @ keys.permute(0, 2, 3, 1) / math.sqrt(queries.size(-1))  # (N, H, T, S)
    if causal:
        return masked_softmax(scores, scores.new_ones(scores.shape[-2:], dtype=torch.bool).tril())
    allowed = _for_all_heads(mask)
    return scores.softmax(-1) if allowed is None else masked_softmax(scores, allowed)


def _for_all_heads(mask: Tensor | None) -> Tensor | None:
    """Add the axis of heads to a mask (N, S) or (N, T, S)."""
    return None if mask is None else mask[:, None, None] if mask.dim() == 2 else mask[:, None]


def attend_packed(
    queries: Tensor, keys: Tensor, values: Tensor, query_starts: Tensor, key_starts: Tensor, *, causal: bool
) -> Tensor:
    """Return the attention's output (1, R, H x W) within each of B packed sequences; see regard.nn.packing.

    Args:
        queries: (1, R, H, W).
        keys: (1, R', K, W).
        values: (1, R', K, W).
        query_starts: (B + 1,) the first query row of each sequence, and R.
        key_starts: (B + 1,) the first key row of each sequence, and R'.
        causal: Position t of a sequence attends to its positions up to t.
    """
    if queries.size(2) != keys.size(2):
        keys, values = (x.repeat_interleave(queries.size(2) // x.size(2), 2) for x in (keys, values))
    queries, keys, values = (x.squeeze(0) for x in (queries, keys, values))
    output: Tensor = _PackedAttention.apply(queries, keys, values, query_starts, key_starts, causal)  # type: ignore[no-untyped-call]
    return output.unsqueeze(0)


class _PackedAttention(torch.autograd.Function):
    """`regard.nn.kernels.autograd.attention` with its gradient."""

    @staticmethod
    def forward(
        ctx: Any,
        queries: Tensor,
        keys: Tensor,
        values: Tensor,
        query_starts: Tensor,
        key_starts: Tensor,
        causal: bool,
    ) -> Tensor:
        queries = queries.contiguous()
        output, weights = attention(queries, keys, values, query_starts, key_starts, causal=causal)
        ctx.save_for_backward(queries, keys, values, weights, query_starts, key_starts)
        return output

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        return *attention_gradient(gradient, *ctx.saved_tensors), None, None, None
