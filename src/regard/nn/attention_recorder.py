"""Record the attention weights of every layer and head while a model runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

from torch import Tensor


@dataclass
class AttentionRecorder:
    """Attention weights, one tensor per layer in the order of computation.

    Attributes:
        self_attention: (N, H, T, T) between the positions of one sequence.
        source_attention: (N, H, T, S) from target positions to source positions.
    """

    self_attention: list[Tensor] = field(default_factory=list)
    source_attention: list[Tensor] = field(default_factory=list)


_ACTIVE: ContextVar[AttentionRecorder | None] = ContextVar("active_recorder", default=None)


@contextmanager
def record_attention() -> Iterator[AttentionRecorder]:
    """Record all attention that this thread computes inside the context.

    Training steps are not recorded: they pack their batches.
    """
    recorder = AttentionRecorder()
    token = _ACTIVE.set(recorder)
    try:
        yield recorder
    finally:
        _ACTIVE.reset(token)


def active_recorder() -> AttentionRecorder | None:
    """Return the recorder of this thread, or None outside `record_attention`."""
    return _ACTIVE.get()
