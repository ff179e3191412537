"""Scaled dot-product attention in several heads, and what a decoder with it keeps between steps."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeVar, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from regard.contract import PerSource
from regard.nn.attention import masked_softmax

TIDY_EVERY = 16  # steps

P = TypeVar("P")


class _Room:
    """Two tensors (B, C, K, W) with room behind the slots that are written."""

    def __init__(self, keys: Tensor, values: Tensor, capacity: int) -> None:
        self.parts = tuple(part.new_empty(len(part), capacity, *part.shape[2:]) for part in (keys, values))
        self.written = 0
        self.write(keys, values)

    def write(self, keys: Tensor, values: Tensor) -> None:
        end = self.written + keys.size(1)
        for part, new in zip(self.parts, (keys, values), strict=True):
            part[:, self.written : end] = new
        self.written = end


@dataclass(frozen=True)
class KeysValues(PerSource):
    """One layer's keys and values of the targets so far: each (B, L, K, W).

    A slot of the L is one row's one step. All the rows of a sentence share its slots, and a state tells beside
    them which slots each row has behind it, so that nothing here moves when the rows of a beam change places.
    """

    keys: Tensor
    values: Tensor
    room: _Room | None = None

    def extend(self, keys: Tensor, values: Tensor) -> KeysValues:
        """Those of further slots behind these; in place where there is room and nobody else has written there."""
        length, end = self.keys.size(1), self.keys.size(1) + keys.size(1)
        room = self.room
        if room is None or room.written != length or end > room.parts[0].size(1):
            room = _Room(self.keys, self.values, 2 * end + 16)
        room.write(keys, values)
        own, said = (part[:, :end] for part in room.parts)
        return KeysValues(own, said, room)

    def select(self, sentences: Tensor) -> KeysValues:
        """Any sentences (M,), repeats allowed."""
        return KeysValues(self.keys.index_select(0, sentences), self.values.index_select(0, sentences))

    def gather(self, slots: Tensor) -> KeysValues:
        """The slots (B, M) of each sentence."""
        index = slots[:, :, None, None].expand(-1, -1, *self.keys.shape[2:])
        return KeysValues(self.keys.gather(1, index), self.values.gather(1, index))


@dataclass(frozen=True)
class Past:
    """What a layer's self-attention has behind a step: the slots, and which each row sees; None: every one."""

    layer: KeysValues
    seen: Tensor | None  # (B, rows of a sentence, L and the step's own)


def see_own(seen: Tensor, sentences: int) -> Tensor:
    """Which slots each row has behind it, (N, L), when every row has written one more: (N, L + N / sentences)."""
    each = len(seen) // sentences
    own = torch.eye(each, dtype=torch.bool, device=seen.device).repeat(sentences, 1)
    return torch.cat((seen, own), 1)


def rows_see(seen: Tensor, sentences: int, length: int) -> Tensor | None:
    """The same (sentences, N / sentences, L) as a mask of rows that see `length` slots each; None: they see all."""
    return None if seen.size(1) == length else seen.view(sentences, -1, seen.size(1))


def tidy(past: tuple[P, ...], seen: Tensor, sentences: int, length: int) -> tuple[tuple[P, ...], Tensor]:
    """The layers and what is seen of them, without the slots that no row has behind it where those are most of all.

    seen: (N, L), of targets of that length; they are looked through every TIDY_EVERY steps. Parts of the
    past that are no KeysValues stay as they are.
    """
    if length % TIDY_EVERY or seen.size(1) < 2 * length:
        return past, seen
    rows = seen.view(sentences, -1, seen.size(1))
    alive = rows.any(1)  # (B, L)
    most = int(alive.sum(1).max())
    if 2 * most >= seen.size(1):
        return past, seen
    slots = alive.to(torch.uint8).sort(dim=1, descending=True, stable=True).indices[:, :most]
    kept = tuple(cast(P, layer.gather(slots)) if isinstance(layer, KeysValues) else layer for layer in past)
    return kept, rows.gather(2, slots[:, None].expand(-1, rows.size(1), -1)).flatten(0, 1)


@dataclass(frozen=True)
class SourceKeysValues(PerSource):
    """One layer's keys and values over the source: each (B, S, K, W); computed once a source."""

    keys: Tensor
    values: Tensor


@dataclass(frozen=True)
class Source(PerSource):
    """What every step needs of the source: its mask (B, S) and each layer's keys and values."""

    mask: Tensor
    layers: tuple[SourceKeysValues, ...]


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

    Queries (N, T, H, W) over keys and values (N, S, K, W) to (N, T, H x W) (Vaswani et al. 2017, equation 1); each
    of the K heads of keys serves the H / K heads of queries that follow one another (Ainslie et al. 2023).
    mask: (N, S) or (N, T, S), True at positions that may be attended to. causal: position t sees none behind it; not
    together with mask or with_weights.
    """
    assert not (causal and (with_weights or mask is not None))
    allowed = None if mask is None else mask[:, None, None] if mask.dim() == 2 else mask[:, None]
    queries, keys, values = (x.transpose(1, 2) for x in (queries, keys, values))
    grouped = queries.size(1) != keys.size(1)
    weights = None
    if with_weights:
        if grouped:
            keys, values = (x.repeat_interleave(queries.size(1) // x.size(1), 1) for x in (keys, values))
        scores = queries @ keys.transpose(-1, -2) / math.sqrt(queries.size(-1))
        weights = scores.softmax(-1) if allowed is None else masked_softmax(scores, allowed)
        mixed = weights @ values
    else:
        mixed = F.scaled_dot_product_attention(
            queries, keys, values, attn_mask=allowed, is_causal=causal, enable_gqa=grouped
        )
    return mixed.transpose(1, 2).flatten(2), weights


class MultiHeadAttention(nn.Module):
    """softmax(Q K^T / sqrt(d)) V in H heads (Vaswani et al. 2017, section 3.2, equation 1).

    The projections carry biases, which the paper's equations do not show.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.width = width // heads
        self.query = nn.Linear(width, width)
        self.key_value = nn.Linear(width, 2 * width)
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
        mask: Tensor | None = None,
        causal: bool = False,
        with_weights: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """Queries x (N, T, D) over keys and values (N, S, H, D/H) to (N, T, D) and weights; options as in attend."""
        queries = split(self.query(x), self.width)
        mixed, weights = attend(queries, keys, values, mask=mask, causal=causal, with_weights=with_weights)
        return self.output(mixed), weights
