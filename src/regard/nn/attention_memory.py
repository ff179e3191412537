"""What a Transformer layer attends to.

A layer does not know whether its batch is padded, packed without padding (regard.nn.packing) or a step of a search
with a cache (regard.nn.kv_cache). It calls the methods of two memories: the sequence that its input is part of, and in
a decoder the source.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from torch import Tensor

from regard.contract import PerSource
from regard.nn.attention_recorder import active_recorder
from regard.nn.packing import Packing
from regard.nn.scaled_dot_product import attend, attend_packed, attend_with_weights, attention_weights

Recurrence = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
"""Inputs (N, T, D) and the state before them (N, D) to outputs (N, T, D) and the last state (N, D)."""


class Positions(NamedTuple):
    """Where the layer's input is in its sequence.

    Attributes:
        rows: Its rows in a table that has a row per position.
        end: The number of rows that the table needs.
    """

    rows: slice | Tensor
    end: int


class SequenceMemory:
    """The sequence that a layer's input is part of, for self-attention (`attend`) or a recurrence (`scan`)."""

    @property
    def positions(self) -> Positions:
        """The positions of the layer's input."""
        raise NotImplementedError

    def attend(self, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """Attend from the input's queries to all positions of the sequence that they may see.

        Args:
            queries: (N, T, H, W) of the input.
            keys: (N, T, K, W) of the input.
            values: (N, T, K, W) of the input.

        Returns:
            (N, T, H x W), the heads concatenated.
        """
        raise NotImplementedError

    def scan(self, recurrence: Recurrence, x: Tensor) -> Tensor:
        """Run a recurrence over the sequence up to the input x (N, T, D), and return its outputs at x (N, T, D)."""
        raise NotImplementedError


class PaddedSequence(SequenceMemory):
    """Whole sequences of `length` positions, padded.

    Args:
        length: T.
        mask: (N, T), True at positions that may be attended to.
        causal: Position t sees positions up to t. Not together with a mask: padding comes last and is never seen.
    """

    def __init__(self, length: int, mask: Tensor | None = None, *, causal: bool = False) -> None:
        self.length, self.mask, self.causal = length, mask, causal

    @property
    def positions(self) -> Positions:
        """All positions of the sequence."""
        return Positions(slice(0, self.length), self.length)

    def attend(self, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """Attend to the keys and values themselves."""
        if (recorder := active_recorder()) is not None:
            recorder.self_attention.append(attention_weights(queries, keys, self.mask, causal=self.causal))
        return attend(queries, keys, values, mask=self.mask, causal=self.causal)

    def scan(self, recurrence: Recurrence, x: Tensor) -> Tensor:
        """Start from zeros."""
        outputs, _ = recurrence(x, x.new_zeros(x.size(0), x.size(2)))
        return outputs


class PackedSequence(SequenceMemory):
    """Whole sequences, packed as one: N is 1, and T the number of their real positions."""

    def __init__(self, packing: Packing, *, causal: bool = False) -> None:
        self.packing, self.causal = packing, causal

    @cached_property
    def positions(self) -> Positions:
        """The position of each row in its own sequence."""
        return Positions(self.packing.positions, self.packing.mask.size(1))

    def attend(self, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """Attend to the keys and values of the same sequence."""
        starts = self.packing.starts
        return attend_packed(queries, keys, values, starts, starts, causal=self.causal)

    def scan(self, recurrence: Recurrence, x: Tensor) -> Tensor:
        """Unpack x, start from zeros, and pack the outputs."""
        x = self.packing.unpack(x)  # (B, T, D)
        outputs, _ = recurrence(x, x.new_zeros(x.size(0), x.size(2)))
        return self.packing.pack(outputs)


@dataclass(frozen=True)
class KeysValues(PerSource):
    """Keys and values (N, S, K, W) of what a layer attends to."""

    keys: Tensor
    values: Tensor


class SourceMemory:
    """The source, as the keys and values of one decoder layer."""

    weights: Tensor | None = None  # (N, H, T, S) of the last `attend`, or (N, 1, T, S), if they were asked for
    with_first_head = False  # store the weights of the first head, which a decoder copies by

    def attend(self, queries: Tensor) -> Tensor:
        """Attend from queries (N, T, H, W) of target positions to the source: (N, T, H x W)."""
        raise NotImplementedError


class PaddedSource(SourceMemory):
    """Padded sources.

    Args:
        projected: The keys and values (N, S, K, W).
        mask: (N, S), True at real positions.
        with_weights: Store the attention weights in `weights`.
    """

    def __init__(self, projected: KeysValues, mask: Tensor, *, with_weights: bool = False) -> None:
        self.projected, self.mask, self.with_weights = projected, mask, with_weights

    def attend(self, queries: Tensor) -> Tensor:
        """Attend to the real positions."""
        keys, values = self.projected.keys, self.projected.values
        if (recorder := active_recorder()) is not None:
            recorder.source_attention.append(attention_weights(queries, keys, self.mask))
        if not self.with_weights:
            if self.with_first_head:
                self.weigh_first_head(queries[:, :, :1])
            return attend(queries, keys, values, mask=self.mask)
        output, self.weights = attend_with_weights(queries, keys, values, self.mask)
        return output

    def weigh_first_head(self, queries: Tensor) -> None:
        """Store the weights (N, 1, T, S) of the first head, of its queries (N, T, 1, W)."""
        self.weights = attention_weights(queries, self.projected.keys[:, :, :1], self.mask)


class PackedSource(SourceMemory):
    """Packed sources of packed targets: N is 1. The weights of the first head are unpacked: (B, 1, T, S)."""

    def __init__(self, projected: KeysValues, target: Packing, source: Packing) -> None:
        self.projected, self.target, self.source = projected, target, source

    def attend(self, queries: Tensor) -> Tensor:
        """Attend to the source of the same pair."""
        keys, values = self.projected.keys, self.projected.values
        if self.with_first_head:
            first_query = self.target.unpack(queries[:, :, 0]).unsqueeze(2)  # (B, T, 1, W)
            first_key = self.source.unpack(keys[:, :, 0]).unsqueeze(2)  # (B, S, 1, W)
            self.weights = attention_weights(first_query, first_key, self.source.mask)
        return attend_packed(queries, keys, values, self.target.starts, self.source.starts, causal=False)
