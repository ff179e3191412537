"""Transformers without positions or without the causal mask, for lesson 5: to see what each of them is needed for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any, Literal

Ablation = Literal["positions", "mask"]


@contextmanager
def ablate(part: Ablation | None) -> Iterator[None]:
    """Take a part away from all Transformers that are built, trained or exported inside the context.

    Without `positions`, the sinusoids are zeros. Without `mask`, each target position sees all target positions at
    once, as in training; a search still decodes step by step, so that later tokens do not exist yet.
    """
    from regard.nn import position, transformer
    from regard.nn.attention_memory import PackedSequence, PaddedSequence

    sinusoid = position.sinusoid
    replaced: dict[Ablation | None, tuple[ModuleType, dict[str, Any]]] = {
        None: (transformer, {}),
        "positions": (position, {"sinusoid": lambda *sizes: sinusoid(*sizes) * 0}),
        "mask": (
            transformer,
            {
                "PackedSequence": lambda packing, **_: PackedSequence(packing),
                "PaddedSequence": lambda length, mask=None, **_: PaddedSequence(length, mask),
            },
        ),
    }
    module, names = replaced[part]
    before = {name: vars(module)[name] for name in names}
    try:
        vars(module).update(names)
        yield
    finally:
        vars(module).update(before)
