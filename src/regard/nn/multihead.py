"""Scaled dot-product attention in several heads."""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from regard.nn.attention import masked_softmax
from regard.nn.attention_recorder import active_recorder
from regard.nn.kernels import native
from regard.nn.kernels.autograd import attention, attention_gradient
from regard.nn.packing import Between


class _Attention(torch.autograd.Function):
    """native_training.attention with its gradient."""

    @staticmethod
    def forward(ctx: Any, queries: Tensor, keys: Tensor, values: Tensor, between: Between, causal: bool) -> Tensor:
        queries, starts = queries.contiguous(), (between.queries.starts, between.keys.starts)
        means, weights = attention(queries, keys, values, *starts, causal=causal)
        ctx.save_for_backward(queries, keys, values, weights, *starts)
        return means

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, change: Tensor) -> tuple[Tensor, Tensor, Tensor, None, None]:
        return *attention_gradient(change, *ctx.saved_tensors), None, None


def split(x: Tensor, width: int) -> Tensor:
    """(N, T, H x W) to heads (N, T, H, W)."""
    return x.view(*x.shape[:-1], -1, width)


def attend(
    queries: Tensor,
    keys: Tensor,
    values: Tensor,
    *,
    mask: Tensor | Between | None = None,
    causal: bool = False,
    with_weights: bool = False,
) -> tuple[Tensor, Tensor | None]:
    """softmax(Q K^T / sqrt(W)) V, joined over heads, and the weights (N, H, T, S) if asked for.

    Queries (N, T, H, W) over keys and values (N, S, K, W) to (N, T, H x W) (Vaswani et al. 2017, equation 1); each
    of the K heads of keys serves the H / K heads of queries that follow one another (Ainslie et al. 2023).
    mask: (N, S) or (N, T, S), True at positions that may be attended to. causal: position t sees none behind it; not
    together with such a mask or with_weights, which are for attention to a source. Where mask is a Between, N is 1.
    """
    grouped = queries.size(2) != keys.size(2)
    if isinstance(mask, Between):
        assert not with_weights
        if grouped:
            keys, values = (x.repeat_interleave(queries.size(2) // x.size(2), 2) for x in (keys, values))
        packed = (x.squeeze(0) for x in (queries, keys, values))
        means: Tensor = _Attention.apply(*packed, mask, causal)  # type: ignore[no-untyped-call]
        return means.unsqueeze(0), None
    assert not (causal and (with_weights or mask is not None))
    if (recorder := active_recorder()) is not None:
        weights = attention_weights(queries, keys, mask, causal=causal)
        (recorder.source_attention if with_weights else recorder.self_attention).append(weights)
    if not causal and not with_weights and native.can_attend(queries, keys, values, mask):
        return native.attend(queries, keys, values, mask), None
    if with_weights:
        weights = attention_weights(queries, keys, mask)
        mixed = weights @ values.repeat_interleave(queries.size(2) // values.size(2), 2).transpose(1, 2)
        return mixed.transpose(1, 2).flatten(2), weights
    queries, keys, values = (x.transpose(1, 2) for x in (queries, keys, values))
    mixed = F.scaled_dot_product_attention(
        queries, keys, values, attn_mask=_allowed(mask), is_causal=causal, enable_gqa=grouped
    )
    return mixed.transpose(1, 2).flatten(2), None


def _allowed(mask: Tensor | None) -> Tensor | None:
    """A mask (N, S) or (N, T, S) for all heads."""
    return None if mask is None else mask[:, None, None] if mask.dim() == 2 else mask[:, None]


def attention_weights(queries: Tensor, keys: Tensor, mask: Tensor | None, *, causal: bool = False) -> Tensor:
    """softmax(Q K^T / sqrt(W)), (N, H, T, S), of queries (N, T, H, W) and keys (N, S, K, W); options as in attend."""
    keys = keys.repeat_interleave(queries.size(2) // keys.size(2), 2)
    scores = queries.transpose(1, 2) @ keys.permute(0, 2, 3, 1) / math.sqrt(queries.size(-1))
    if causal:
        return masked_softmax(scores, scores.new_ones(scores.shape[-2:], dtype=torch.bool).tril())
    allowed = _allowed(mask)
    return scores.softmax(-1) if allowed is None else masked_softmax(scores, allowed)


class KeyValueLinear(nn.Linear):
    """Keys over values (..., I) to (..., 2 O), in one product. The keys' half of the bias has a gradient of zero.

    A bias of all keys adds the same number to all scores of a query, and softmax does not depend on it. What would be
    computed as its gradient is the rounding error, which Adam scales up to steps of full length.
    """

    def forward(self, x: Tensor) -> Tensor:
        """x W^T + b."""
        if not torch.is_grad_enabled():
            return super().forward(x)
        keys, values = self.bias.chunk(2)
        return F.linear(x, self.weight, torch.cat((keys.detach(), values)))


class MultiHeadAttention(nn.Module):
    """softmax(Q K^T / sqrt(d)) V in H heads (Vaswani et al. 2017, section 3.2, equation 1).

    The projections carry biases, which the paper's equations do not show.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.width = width // heads
        self.query = nn.Linear(width, width)
        self.key_value = KeyValueLinear(width, 2 * width)
        self.output = nn.Linear(width, width)

    def project(self, memory: Tensor) -> tuple[Tensor, Tensor]:
        """What is attended to, (N, S, D), to keys and values, each (N, S, H, D/H)."""
        keys, values = (split(x, self.width) for x in self.key_value(memory).chunk(2, dim=-1))
        return keys, values

    def forward(
        self,
        x: Tensor,
        keys: Tensor,
        values: Tensor,
        *,
        mask: Tensor | Between | None = None,
        causal: bool = False,
        with_weights: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """Queries x (N, T, D) over keys and values (N, S, H, D/H) to (N, T, D) and weights; options as in attend."""
        queries = split(self.query(x), self.width)
        mixed, weights = attend(queries, keys, values, mask=mask, causal=causal, with_weights=with_weights)
        return self.output(mixed), weights
