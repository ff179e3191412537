"""Hearing what a model attends to while it works: each layer and head, whatever of it the model hands back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

from torch import Tensor


@dataclass
class Heard:
    """Weights of attention, a layer's heads behind another's in the order in which they were worked out.

    itself: (N, H, T, T) of positions of a sequence to those of the same.
    source: (N, H, T, S) of target positions to the source.
    """

    itself: list[Tensor] = field(default_factory=list)
    source: list[Tensor] = field(default_factory=list)


_LISTENER: ContextVar[Heard | None] = ContextVar("listener", default=None)


@contextmanager
def listening() -> Iterator[Heard]:
    """Until it ends, all attention that this thread works out is heard. Not for training, which packs its batches."""
    heard = Heard()
    before = _LISTENER.set(heard)
    try:
        yield heard
    finally:
        _LISTENER.reset(before)


def listener() -> Heard | None:
    """Who listens in this thread."""
    return _LISTENER.get()
