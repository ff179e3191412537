"""What a decoder with attention keeps between steps: keys and values of the source, and of the target so far.

The past of a target lies in slots. A slot is one row's one step; all the rows of a sentence share its slots, and a
state tells beside them which of them each row has behind it. So nothing of it moves when the rows of a beam change
places. Where slots must move all the same, for there is no more room or sentences are dropped, those that no row has
behind it stay behind.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from typing import Self

import torch
from torch import Tensor

from regard.contract import PerSource, State

SPARE = 8  # steps for which there is room, at least, when slots have been moved


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


class _Room:
    """Two tensors (C, B, K, W) of which the first slots are written."""

    def __init__(self, keys: Tensor, values: Tensor, written: int) -> None:
        self.parts = (keys, values)
        self.written = written

    def write(self, keys: Tensor, values: Tensor) -> None:
        end = self.written + keys.size(1)
        for part, new in zip(self.parts, (keys, values), strict=True):
            part[self.written : end] = new.transpose(0, 1)
        self.written = end


@dataclass(frozen=True)
class KeysValues(PerSource):
    """One layer's keys and values of the targets so far: each (B, L, K, W)."""

    keys: Tensor
    values: Tensor
    room: _Room | None = None

    @classmethod
    def of(cls, room: _Room) -> KeysValues:
        """What is written in a room."""
        keys, values = (part[: room.written].transpose(0, 1) for part in room.parts)
        return cls(keys, values, room)

    def has_room(self, slots: int) -> bool:
        """Whether so many more can be written behind these: there is room, and nobody else has written there."""
        length, room = self.keys.size(1), self.room
        return room is not None and room.written == length and length + slots <= len(room.parts[0])

    def extend(self, keys: Tensor, values: Tensor) -> KeysValues:
        """Those of further slots behind these, in the room that there must be for them."""
        assert self.room is not None and self.has_room(keys.size(1))
        self.room.write(keys, values)
        return KeysValues.of(self.room)

    def move(self, sentences: Tensor, slots: Tensor, spare: int) -> KeysValues:
        """Of the sentences (M,) the slots (M, L'), with room for `spare` more."""
        old = self.keys.size(0)
        length = slots.size(1)
        index = (slots.T * old + sentences).flatten()  # into slots and sentences as one axis
        parts = []
        for part in (self.keys, self.values):
            new = part.new_empty(length + spare, len(sentences), *part.shape[2:])
            if len(index):
                torch.index_select(part.transpose(0, 1).flatten(0, 1), 0, index, out=new[:length].flatten(0, 1))
            parts.append(new)
        return KeysValues.of(_Room(parts[0], parts[1], length))


@dataclass(frozen=True)
class Past:
    """What a layer's self-attention has behind a step: the slots, and which each row sees; None: every one."""

    layer: KeysValues
    seen: Tensor | None  # (B, rows of a sentence, L and the step's own)


Kept = KeysValues | Tensor
"""What a layer keeps of the target so far: that of its self-attention, or a recurrent layer's state (N, ...)."""


@dataclass(frozen=True)
class AttentionState(State):
    """The source, and the target so far, `length` tokens of it, as what each layer keeps of it.

    seen: (N, L) which of its sentence's slots each row has behind it.
    """

    source: Source
    past: tuple[Kept, ...]
    seen: Tensor
    length: int

    @classmethod
    def start(cls, source: Source, past: tuple[Kept, ...]) -> AttentionState:
        """No target yet."""
        return cls(source, past, source.mask[:, :0], length=0)

    def select(self, rows: Tensor, sentences: Tensor | None = None) -> Self:
        """As State's."""
        chosen = super().select(rows)
        return chosen if sentences is None else chosen._moved(sentences)

    def pasts(self) -> tuple[Self, list[Past | Tensor]]:
        """What each layer has behind the next step, with room for that step's own, and the state of which it is."""
        each = len(self.seen) // len(self.source.mask)
        crowded = any(isinstance(kept, KeysValues) and not kept.has_room(each) for kept in self.past)
        state = self._moved(None) if crowded else self
        state = replace(state, seen=see_own(state.seen, len(self.source.mask)), length=self.length + 1)
        every = state.seen.size(1) == state.length  # all that there are
        seen = None if every else state.seen.view(len(self.source.mask), each, -1)
        return state, [Past(kept, seen) if isinstance(kept, KeysValues) else kept for kept in state.past]

    def _moved(self, sentences: Tensor | None) -> Self:
        """With these sentences (M,) alone, to which the rows belong already, and room for some steps."""
        source = self.source if sentences is None else self.source.select(sentences)
        if sentences is None:
            sentences = torch.arange(len(source.mask), device=self.seen.device)
        each = len(self.seen) // max(1, len(sentences))
        rows = self.seen.view(len(sentences), each, self.seen.size(1))
        alive = rows.any(1)  # (M, L)
        most = int(alive.sum(1).amax()) if alive.numel() else 0
        slots = alive.to(torch.uint8).sort(dim=1, descending=True, stable=True).indices[:, :most]
        spare = max(SPARE * each, most // 4)
        past = tuple(kept.move(sentences, slots, spare) if isinstance(kept, KeysValues) else kept for kept in self.past)
        seen = rows.gather(2, slots[:, None].expand(-1, each, -1)).flatten(0, 1)
        return replace(self, source=source, past=past, seen=seen)


def see_own(seen: Tensor, sentences: int) -> Tensor:
    """Which slots each row has behind it, (N, L), when every row has written one more: (N, L + N / sentences)."""
    each = len(seen) // sentences
    return torch.cat((seen, _identity(each, seen.device).repeat(sentences, 1)), 1)


@cache
def _identity(size: int, device: torch.device) -> Tensor:
    return torch.eye(size, dtype=torch.bool, device=device)
