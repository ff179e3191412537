"""The KV cache of a Transformer decoder, shared by all rows of a beam.

The cache of a layer has slots: a slot holds the key and the value of one row at one step. All rows of a sentence share
its slots, and `TransformerState.visible` has a mask over them for each row. Reordering a beam therefore reorders masks
and moves no keys or values. When a buffer is full, or sentences are dropped, the slots are copied to a new buffer,
without the slots that no row sees any more (`compact`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Protocol, Self

import torch
from torch import Tensor

from regard.contract import PerSource, State
from regard.nn.attention_memory import KeysValues, PaddedSource, Positions, Recurrence, SequenceMemory
from regard.nn.attention_recorder import active_recorder
from regard.nn.copying import CopySource
from regard.nn.kernels.operations import Layer
from regard.nn.scaled_dot_product import attend, attention_weights

SPARE_STEPS = 8  # a new buffer has space for at least this many steps


class StepMemory(SequenceMemory):
    """The target up to the current step, for one layer.

    Args:
        state: The layer's state, before the step and then after it.
        visible: (B, N / B, L), the slots that each row sees, L with the slots of the step; None: all.
        position: The position of the step in its target.
    """

    def __init__(self, state: LayerState, visible: Tensor | None, position: int) -> None:
        self.state, self.visible, self.position = state, visible, position

    @property
    def positions(self) -> Positions:
        """The position of the step, for all rows."""
        return Positions(slice(self.position, self.position + 1), self.position + 1)


class LayerState(Protocol):
    """What a layer keeps of the target between steps."""

    def has_space(self, slots: int) -> bool:
        """Return whether this many slots can be added without copying."""
        ...

    def compact(self, sentences: Tensor, slots: Tensor, spare: int) -> LayerState:
        """Return the `slots` (M, L') of the `sentences` (M,), with space for `spare` more."""
        ...

    def memory(self, visible: Tensor | None, position: int) -> StepMemory:
        """Return the memory for a step at `position`, in which each row sees the `visible` slots, or all if None."""
        ...

    def lend(self, layer: Layer) -> LayerState:
        """Let native steps of a layer change this state or a copy of it, which is returned; then call `extend`."""
        ...

    def extend(self, slots: int) -> LayerState:
        """Return the state after native steps that have written this many slots."""
        ...

    def rewind(self) -> None:
        """Forget all slots that were written after this state."""
        ...


class CacheBuffer:
    """Keys and values (C, B, K, W) for C slots, of which the first are written."""

    def __init__(self, keys: Tensor, values: Tensor, written: int) -> None:
        self.keys, self.values = keys.transpose(0, 1), values.transpose(0, 1)  # (B, C, K, W)
        self.written = written

    @property
    def capacity(self) -> int:
        """C."""
        return self.keys.size(1)

    def append(self, keys: Tensor, values: Tensor) -> None:
        """Write further slots (B, L, K, W)."""
        end = self.written + keys.size(1)
        self.keys[:, self.written : end] = keys
        self.values[:, self.written : end] = values
        self.written = end

    def read(self) -> tuple[Tensor, Tensor]:
        """Return views of the keys and values written so far, (B, L, K, W)."""
        return self.keys.narrow(1, 0, self.written), self.values.narrow(1, 0, self.written)


@dataclass(frozen=True)
class LayerCache(PerSource):
    """The keys and values (B, L, K, W) of one layer's self-attention over the targets so far."""

    keys: Tensor
    values: Tensor
    buffer: CacheBuffer | None = None  # of which they are views

    @classmethod
    def empty(cls, like: Tensor) -> LayerCache:
        """Return a cache without slots for keys and values like (B, S, K, W)."""
        return cls(like[:, :0], like[:, :0])

    @classmethod
    def of(cls, buffer: CacheBuffer) -> LayerCache:
        """Return a cache of all that is written in a buffer."""
        return cls(*buffer.read(), buffer)

    def has_space(self, slots: int) -> bool:
        """Return whether this many slots can be added without copying.

        The buffer must have the space, and no other state may have written to it after this one.
        """
        length, buffer = self.keys.size(1), self.buffer
        return buffer is not None and buffer.written == length and length + slots <= buffer.capacity

    def append(self, keys: Tensor, values: Tensor) -> LayerCache:
        """Return the cache with further slots (B, L', K, W), for which there must be space."""
        assert self.buffer is not None and self.has_space(keys.size(1))
        self.buffer.append(keys, values)
        return LayerCache.of(self.buffer)

    def lend(self, layer: Layer) -> LayerCache:
        """Let native steps write into the buffer, which must have space."""
        assert self.buffer is not None
        layer.keys, layer.values = self.buffer.keys.data_ptr(), self.buffer.values.data_ptr()
        layer.written = self.buffer.written
        return self

    def extend(self, slots: int) -> LayerCache:
        """Return the cache with further slots that native steps have written into its buffer."""
        assert self.buffer is not None
        self.buffer.written += slots
        return LayerCache.of(self.buffer)

    def rewind(self) -> None:
        """Forget all slots that were written after this state."""
        assert self.buffer is not None
        self.buffer.written = self.keys.size(1)

    def compact(self, sentences: Tensor, slots: Tensor, spare: int) -> LayerCache:
        """Copy the `slots` (M, L') of the `sentences` (M,) to a new buffer with space for `spare` more."""
        old_sentences, length = self.keys.size(0), slots.size(1)
        index = (slots.T * old_sentences + sentences).flatten()  # into slots and sentences as one axis
        buffers = []
        for old in (self.keys, self.values):
            new = old.new_empty(length + spare, len(sentences), *old.shape[2:])
            if len(index):
                torch.index_select(old.transpose(0, 1).flatten(0, 1), 0, index, out=new[:length].flatten(0, 1))
            buffers.append(new)
        return LayerCache.of(CacheBuffer(buffers[0], buffers[1], length))

    def memory(self, visible: Tensor | None, position: int) -> CacheView:
        """Return the memory for a step at `position`."""
        return CacheView(self, visible, position)


class CacheView(StepMemory):
    """The cache of a layer during one step; `attend` appends the slots of the step."""

    state: LayerCache

    def attend(self, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """Append the step's keys and values to the cache, and attend to the visible slots."""
        cache = self.state = self.state.append(keys, values)
        if (recorder := active_recorder()) is not None:
            recorder.self_attention.append(attention_weights(queries, cache.keys, self.visible))
        return attend(queries, cache.keys, cache.values, mask=self.visible)


@dataclass(frozen=True)
class RecurrentState(State):
    """The state (N, D) of a recurrent layer. It does not grow, and needs no space."""

    hidden: Tensor

    def has_space(self, slots: int) -> bool:
        """Return True."""
        return True

    def compact(self, sentences: Tensor, slots: Tensor, spare: int) -> RecurrentState:
        """Return the state itself."""
        return self

    def memory(self, visible: Tensor | None, position: int) -> RecurrentView:
        """Return the memory for one step."""
        return RecurrentView(self, visible, position)

    def lend(self, layer: Layer) -> RecurrentState:
        """Let native steps change a copy, which is returned."""
        copy = RecurrentState(self.hidden.clone(memory_format=torch.contiguous_format))
        layer.state = copy.hidden.data_ptr()
        return copy

    def extend(self, slots: int) -> RecurrentState:
        """Return the state itself."""
        return self

    def rewind(self) -> None:
        """Do nothing."""


class RecurrentView(StepMemory):
    """The state of a recurrent layer during one step; `scan` advances it."""

    state: RecurrentState

    def scan(self, recurrence: Recurrence, x: Tensor) -> Tensor:
        """Advance each row by one step from its own state."""
        rows = x.flatten(0, 1).unsqueeze(1)  # (N, 1, D)
        outputs, hidden = recurrence(rows, self.state.hidden)
        self.state = RecurrentState(hidden)
        return outputs.view_as(x)


@dataclass(frozen=True)
class ProjectedSource(PerSource):
    """The source's mask (B, S), its keys and values for each layer, and what a decoder that copies also needs."""

    mask: Tensor
    layers: tuple[KeysValues, ...]
    copied: CopySource | None = None

    def memories(self, *, with_weights: bool) -> list[PaddedSource]:
        """Return a memory for each layer. That of the last one has the weights of a head if the decoder copies."""
        memories = [PaddedSource(projected, self.mask, with_weights=with_weights) for projected in self.layers]
        memories[-1].with_first_head = self.copied is not None
        return memories


@dataclass(frozen=True)
class TransformerState(State):
    """The state of a Transformer decoder.

    Attributes:
        source: The projected source.
        layers: What each layer keeps of the target.
        visible: (N, L) the slots of its sentence that each row sees.
        length: The number of target tokens so far.
    """

    source: ProjectedSource
    layers: tuple[LayerState, ...]
    visible: Tensor
    length: int

    @classmethod
    def start(cls, source: ProjectedSource, layers: tuple[LayerState, ...]) -> TransformerState:
        """Return the state before the first token."""
        return cls(source, layers, source.mask[:, :0], length=0)

    def select(self, rows: Tensor, sentences: Tensor | None = None) -> Self:
        """Select rows, and sentences as in `State.select`."""
        selected = super().select(rows)
        return selected if sentences is None else selected.compact(sentences)

    def begin_step(self) -> tuple[Self, list[StepMemory]]:
        """Return the state with a slot more for each row, and each layer's memory of it; `end_step` comes after."""
        sentences = len(self.source.mask)
        rows = len(self.visible) // sentences
        has_space = all(layer.has_space(rows) for layer in self.layers)
        state = self if has_space else self.compact()
        visible = add_own_slots(state.visible, sentences)
        next_ = replace(state, visible=visible, length=self.length + 1)
        sees_all = visible.size(1) == next_.length  # a single row per sentence, never reordered
        mask = None if sees_all else visible.view(sentences, rows, -1)
        return next_, [layer.memory(mask, self.length) for layer in next_.layers]

    def end_step(self, memories: Sequence[StepMemory]) -> Self:
        """Return the state with what the layers wrote into their memories."""
        return replace(self, layers=tuple(memory.state for memory in memories))

    def compact(self, sentences: Tensor | None = None, *, spare_steps: int = SPARE_STEPS) -> Self:
        """Drop invisible slots and make space for further steps.

        Args:
            sentences: (M,) keep only these, to which the rows already belong; None: all.
            spare_steps: The steps for which there will be space.
        """
        source = self.source if sentences is None else self.source.select(sentences)
        if sentences is None:
            sentences = torch.arange(len(source.mask), device=self.visible.device)
        rows = len(self.visible) // max(1, len(sentences))
        visible = self.visible.view(len(sentences), rows, self.visible.size(1))  # (M, N / M, L)
        is_used = visible.any(1)  # (M, L)
        length = int(is_used.sum(1).amax()) if is_used.numel() else 0
        slots = is_used.to(torch.uint8).sort(dim=1, descending=True, stable=True).indices[:, :length]  # (M, L')
        spare = max(spare_steps * rows, length // 4)
        layers = tuple(layer.compact(sentences, slots, spare) for layer in self.layers)
        visible = visible.gather(2, slots[:, None].expand(-1, rows, -1)).flatten(0, 1)  # (N, L')
        return replace(self, source=source, layers=layers, visible=visible)


def add_own_slots(visible: Tensor, sentences: int) -> Tensor:
    """Extend the mask (N, L) to (N, L + N / sentences): of the new slots, each row sees only its own."""
    rows = len(visible) // sentences
    return torch.cat((visible, _own_slots(rows, sentences, visible.device)), 1)


@lru_cache(maxsize=64)
def _own_slots(rows: int, sentences: int, device: torch.device) -> Tensor:
    """Return which of a sentence's new slots (N, N / B) each row sees: its own."""
    return torch.eye(rows, dtype=torch.bool, device=device).repeat(sentences, 1)
