"""Models whose attention a reader can change, for lesson 4: take heads away, and move weight from token to token.

Each weight w of attention becomes scale * w + added. A scale of 0 takes a head away; a scale of 0 with weights that are
added replaces the weights. A scale of 1 with nothing added leaves a model as it is. The encoder's graph that
`export_steered` writes returns these neutral values as part of the memory, and a step takes them or others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor

from regard.checkpoints.checkpoint import Checkpoint
from regard.contract import Seq2Seq, State
from regard.interop.onnx.export import Example, Traceable, frozen_copy, write_export
from regard.interop.onnx.graphs import EncoderGraph, GrowingView, StepGraph
from regard.models import luong2015
from regard.nn import attention
from regard.nn.attention_memory import PaddedSequence, PaddedSource
from regard.nn.attention_recorder import active_recorder, record_attention
from regard.nn.kv_cache import CacheView
from regard.nn.scaled_dot_product import attention_weights

ENCODER_SCALE = "encoder_scale"  # an input of the encoder's graph
SELF_SCALE, SOURCE_SCALE, SOURCE_ADDED = "self_scale", "source_scale", "source_added"  # inputs of that of a step
_SELF_ATTENTION: tuple[Any, ...] = (PaddedSequence, GrowingView, CacheView)
_SOFTMAX: tuple[Any, ...] = (attention, luong2015)  # modules of recurrent decoders with attention


class Steering:
    """What becomes of attention. The first axis is that of sentences; layers are in the order of computation.

    Args:
        self_scale: (N, layers, H) scales of the heads of self-attention; None: 1.
        source_scale: (N, layers, H) scales of the weights of attention to the source; None: 1.
        source_added: (N, layers, H, S) what is added to these weights; None: nothing.
    """

    def __init__(
        self, self_scale: Tensor | None = None, source_scale: Tensor | None = None, source_added: Tensor | None = None
    ) -> None:
        self._self_scale, self._source_scale, self._source_added = self_scale, source_scale, source_added
        self._layers = {"self": 0, "source": 0}

    def scale_heads(self, output: Tensor) -> Tensor:
        """Scale the heads of a layer's self-attention in its output (N, T, H x W)."""
        layer = self._next("self")
        if self._self_scale is None:
            return output
        scale = self._self_scale[:, layer % self._self_scale.size(1), :, None]  # (N, H, 1)
        heads = output.view(*output.shape[:2], scale.size(1), -1)  # (N, T, H, W)
        return (heads * scale.unsqueeze(1)).flatten(2)

    def change(self, weights: Tensor) -> Tensor:
        """Change the weights (N, H, T, S) of a layer's attention to the source."""
        layer = self._next("source")
        if self._source_scale is not None:
            weights = weights * self._source_scale[:, layer % self._source_scale.size(1), :, None, None]
        if self._source_added is not None:
            weights = weights + self._source_added[:, layer % self._source_added.size(1), :, None]
        return weights

    def _next(self, kind: str) -> int:
        layer = self._layers[kind]
        self._layers[kind] += 1
        return layer


@contextmanager
def steer(steering: Steering) -> Iterator[None]:
    """Change the attention of all models that run inside the context, but not of native step programs.

    The attention to the source that a step returns, and that `record_attention` records, is the changed one.
    """

    def steered_source(memory: PaddedSource, queries: Tensor) -> Tensor:
        keys, values = memory.projected.keys, memory.projected.values  # (N, S, K, W)
        weights = steering.change(attention_weights(queries, keys, memory.mask))  # (N, H, T, S)
        if (recorder := active_recorder()) is not None:
            recorder.source_attention.append(weights)
        memory.weights = weights if memory.with_weights or memory.with_first_head else None
        values = values.repeat_interleave(queries.size(2) // values.size(2), 2)
        return (weights @ values.transpose(1, 2)).transpose(1, 2).flatten(2)

    def steered_self(attend: Callable[..., Tensor]) -> Callable[..., Tensor]:
        return lambda *arguments: steering.scale_heads(attend(*arguments))

    def steered_softmax(softmax: Callable[[Tensor, Tensor], Tensor]) -> Callable[[Tensor, Tensor], Tensor]:
        return lambda scores, mask: steering.change(softmax(scores, mask).unsqueeze(1)).squeeze(1)

    replaced = [(place, "attend", steered_self(place.attend)) for place in _SELF_ATTENTION]
    replaced += [(module, "masked_softmax", steered_softmax(module.masked_softmax)) for module in _SOFTMAX]
    replaced.append((PaddedSource, "attend", steered_source))
    before = [(place, name, getattr(place, name)) for place, name, _ in replaced]
    try:
        for place, name, changed in replaced:
            setattr(place, name, changed)
        with record_attention():  # so that encoders do not pack their batches
            yield
    finally:
        for place, name, original in before:
            setattr(place, name, original)


class SteeredEncoderGraph(EncoderGraph):
    """The encoder's graph, with scales of its heads as an input if it has any, and neutral values for the steps.

    Args:
        model: The model.
        heads: The layers and heads of the attention of a step, by the names of its scales.
    """

    def __init__(self, model: Seq2Seq, heads: dict[str, tuple[int, int]]) -> None:
        super().__init__(model)
        self.heads = heads

    def forward(self, source: Tensor, scale: Tensor | None = None) -> dict[str, Tensor]:
        """Return what the plain graph returns, scales of 1, and zeros to add."""
        with steer(Steering(scale)):
            outputs = super().forward(source)
        rows, length = source.shape
        neutral = {name: torch.ones(rows, *heads) for name, heads in self.heads.items()}
        return outputs | neutral | {SOURCE_ADDED: torch.zeros(rows, *self.heads[SOURCE_SCALE], length)}


class SteeredStepGraph(StepGraph):
    """The graph of a step, with what becomes of its attention as its last inputs, in the order of `steered`."""

    def __init__(self, model: Seq2Seq, state: State, steered: list[str]) -> None:
        super().__init__(model, state)
        self.steered = steered

    def forward(self, tokens: Tensor, *leaves: Any) -> dict[str, Tensor]:
        """Return what the plain graph returns."""
        count = len(self.names)
        with steer(Steering(**dict(zip(self.steered, leaves[count:], strict=True)))):
            return super().forward(tokens, *leaves[:count])


def steerable_heads(model: Seq2Seq) -> dict[str, tuple[int, int]]:
    """Return the layers and heads of the attention of a step, by the names of their scales; {} if none can be steered.

    A model can be steered if a step uses other weights to the source instead of those that it computes.
    """
    example = Example.of(model, rows=2, length=4, steps=1)
    plain = StepGraph(model, example.state)(*example.step_inputs)
    if "attention" not in plain:
        return {}
    heads = {SOURCE_SCALE: cast("tuple[int, int]", tuple(plain["attention"].shape[1:3]))}
    if "self_attention" in plain:
        heads[SELF_SCALE] = cast("tuple[int, int]", tuple(plain["self_attention"].shape[1:3]))
    equal = torch.full_like(plain["attention"], 0.25)
    inputs = [torch.ones(2, *heads[name]) * (name == SELF_SCALE) for name in heads]
    graph = SteeredStepGraph(model, example.state, [*heads, SOURCE_ADDED])
    changed = graph(*example.step_inputs, *inputs, equal)
    return heads if torch.equal(changed["attention"], equal) else {}


def export_steered(checkpoint: Checkpoint, folder: Path) -> bool:
    """Export a run with inputs that change its attention, and return whether its architecture allows it.

    Args:
        checkpoint: The run.
        folder: The folder to write. It must not exist, or be empty.

    Raises:
        CheckpointError: The model cannot be traced, or the folder cannot be written.
        ConfigError: A package that the export needs is not installed.
    """
    model = frozen_copy(checkpoint)
    with torch.no_grad():
        heads = steerable_heads(model)
        if not heads:
            return False
        small, large = Example.pair(model)
        encoder = SteeredEncoderGraph(model, heads)
        own = EncoderGraph(model)(small.source).get("self_attention")
        scales = [[] if own is None else [torch.ones(len(part.source), *own.shape[1:3])] for part in (small, large)]
        step = SteeredStepGraph(model, small.state, [*heads, SOURCE_ADDED])
        neutral = [encoder(part.source) for part in (small, large)]
        write_export(
            checkpoint,
            folder,
            Traceable(
                encoder,
                ["source", *[ENCODER_SCALE][: len(scales[0])]],
                [small.source, *scales[0]],
                [large.source, *scales[1]],
            ),
            Traceable(
                step,
                ["tokens", *step.names, *step.steered],
                [*small.step_inputs, *(neutral[0][name] for name in step.steered)],
                [*large.step_inputs, *(neutral[1][name] for name in step.steered)],
            ),
        )
    return True
