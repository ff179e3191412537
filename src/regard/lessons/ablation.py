"""Transformers without positions or without the causal mask, for lesson 5: to see what each of them is needed for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

Ablation = Literal["positions", "mask"]


@contextmanager
def ablate(part: Ablation | None) -> Iterator[None]:
    """Take a part away from all Transformers that are built, trained or exported inside the context.

    Without `positions`, the sinusoids are zeros. Without `mask`, each target position sees all target positions at
    once, as in training; a search still decodes step by step, so that later tokens do not exist yet.
    """
    from regard.nn import position, transformer

    sinusoid, packed, padded = position.sinusoid, transformer.PackedSequence, transformer.PaddedSequence
    try:
        if part == "positions":
            position.sinusoid = lambda *sizes: sinusoid(*sizes) * 0
        elif part == "mask":
            transformer.PackedSequence = lambda packing, **_: packed(packing)  # type: ignore[assignment, misc]
            transformer.PaddedSequence = lambda length, mask=None, **_: padded(length, mask)  # type: ignore[assignment, misc]
        yield
    finally:
        position.sinusoid = sinusoid
        transformer.PackedSequence, transformer.PaddedSequence = packed, padded  # type: ignore[misc]
