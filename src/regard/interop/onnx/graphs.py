"""A model as two modules whose inputs and outputs are named tensors: what `torch.export` traces.

`EncoderGraph` maps source tokens to the decoder's initial state, and `StepGraph` a token per row and a state to
log-probabilities and the next state. They know models only through `regard.contract`. A state is flattened to the
tensors and numbers in it, each with its path as a name, such as `source.layers.0.keys`. Those of PerSource values are
the memory: no step changes them.

In a graph each row has its own copy of the memory, so B is N.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any, cast

import torch
from torch import Tensor, nn

from regard.contract import PerSource, Seq2Seq, State
from regard.nn.attention_recorder import active_recorder, record_attention
from regard.nn.kv_cache import LayerCache, LayerState, ProjectedSource, StepMemory, TransformerState
from regard.nn.scaled_dot_product import attend_with_weights

Leaf = Tensor | int
LEAF_TYPES = (Tensor, int, torch.SymInt)  # a number is a SymInt while it is traced
NEXT = "next."  # before the name of an output that is a leaf of the next state


@dataclass(frozen=True)
class NamedLeaf:
    """A tensor or number in a state, its path, and whether it belongs to a source."""

    name: str
    value: Leaf
    is_memory: bool


def named_leaves(value: Any, path: str = "", *, is_memory: bool = False) -> Iterator[NamedLeaf]:
    """Yield the tensors and numbers of a state."""
    if isinstance(value, LEAF_TYPES):
        yield NamedLeaf(path, cast(Leaf, value), is_memory)
    for name, child in _children(value, path):
        yield from named_leaves(child, name, is_memory=is_memory or isinstance(value, PerSource))


def replace_leaves(value: Any, leaves: Mapping[str, Leaf], path: str = "") -> Any:
    """Return a state with other tensors and numbers, by name."""
    if isinstance(value, LEAF_TYPES):
        return leaves[path]
    children = [replace_leaves(child, leaves, name) for name, child in _children(value, path)]
    if isinstance(value, tuple):
        return tuple(children)
    if is_dataclass(value) and not isinstance(value, type):
        return replace(value, **dict(zip((field.name for field in fields(value)), children, strict=True)))
    return value


def _children(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    prefix = f"{path}." if path else ""
    if isinstance(value, tuple):
        yield from ((f"{prefix}{index}", child) for index, child in enumerate(value))
    elif is_dataclass(value):
        yield from ((f"{prefix}{field.name}", getattr(value, field.name)) for field in fields(value))


class EncoderGraph(nn.Module):
    """Source tokens (B, S), padded with PAD, to the leaves of the initial state."""

    def __init__(self, model: Seq2Seq) -> None:
        super().__init__()
        self.model = model

    def initial_state(self, source: Tensor) -> State:
        """Return the state before the first token."""
        return _growing(self.model.decoder.init_state(self.model.encode(source)))

    def forward(self, source: Tensor) -> dict[str, Tensor]:
        """Return the leaves by name, and the encoder's self-attention (B, layers, H, S, S) if it has any."""
        with record_attention() as recorder:
            outputs = {leaf.name: _as_tensor(leaf.value) for leaf in named_leaves(self.initial_state(source))}
        if recorder.self_attention:
            outputs["self_attention"] = torch.stack(recorder.self_attention, 1)
        return outputs


class StepGraph(nn.Module):
    """A token per row (N,) and the leaves of a state to log-probabilities (N, V) and the leaves of the next state.

    Args:
        model: The model.
        state: Any state of the model: all have the same structure.
    """

    def __init__(self, model: Seq2Seq, state: State) -> None:
        super().__init__()
        self.decoder = model.decoder
        self.state = state
        self.names = [leaf.name for leaf in named_leaves(state)]

    def forward(self, tokens: Tensor, *leaves: Leaf) -> dict[str, Tensor]:
        """Return what a search needs, attention if there is any, and the leaves that are not memory by name."""
        state = replace_leaves(self.state, dict(zip(self.names, leaves, strict=True)))
        with record_attention() as recorder:
            step = self.decoder.step(tokens, state, with_attention=True)
        outputs = {"log_probabilities": step.logits.log_softmax(-1)}
        if recorder.source_attention:
            outputs["attention"] = torch.stack(recorder.source_attention, 1).squeeze(3)  # (N, layers, H, S)
        elif step.attention is not None:
            outputs["attention"] = step.attention[:, None, None]  # (N, 1, 1, S)
        if recorder.self_attention:
            outputs["self_attention"] = torch.stack(recorder.self_attention, 1).squeeze(3)  # (N, layers, H, T)
        changed = (leaf for leaf in named_leaves(step.state) if not leaf.is_memory)
        return outputs | {f"{NEXT}{leaf.name}": _as_tensor(leaf.value) for leaf in changed}


def _as_tensor(value: Leaf) -> Tensor:
    """Return a new tensor: PyTorch loses the names of outputs that are also other values of the graph."""
    return value.clone() if isinstance(value, Tensor) else torch.arange(value, value + 1).squeeze(0)


@dataclass(frozen=True)
class GrowingCache(State):
    """The keys and values (N, L, K, W) of a layer's target so far, which a step makes longer."""

    keys: Tensor
    values: Tensor

    def memory(self, visible: Tensor | None, position: int) -> GrowingView:
        """Return the memory for a step at `position`."""
        return GrowingView(cast(LayerState, self), visible, position)


class GrowingView(StepMemory):
    """A growing cache during one step; `attend` appends the step's keys and values."""

    def attend(self, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """Attend to all positions up to the step's."""
        cache = cast(GrowingCache, self.state)
        cache = GrowingCache(torch.cat((cache.keys, keys), 1), torch.cat((cache.values, values), 1))
        self.state = cast(LayerState, cache)
        output, weights = attend_with_weights(queries, cache.keys, cache.values, None)
        if (recorder := active_recorder()) is not None:
            recorder.self_attention.append(weights)
        return output


@dataclass(frozen=True)
class GrowingState(State):
    """A TransformerState in which no slots are shared, so that no shape depends on values."""

    source: ProjectedSource
    layers: tuple[Any, ...]
    length: int

    def begin_step(self) -> tuple[GrowingState, list[StepMemory]]:
        """Return the state with the step's length, and each layer's memory of the step."""
        return replace(self, length=self.length + 1), [layer.memory(None, self.length) for layer in self.layers]

    def end_step(self, memories: Sequence[StepMemory]) -> GrowingState:
        """Return the state with what the layers wrote into their memories."""
        return replace(self, layers=tuple(memory.state for memory in memories))


def _growing(state: State) -> State:
    if not isinstance(state, TransformerState):
        return state
    layers = (
        GrowingCache(layer.keys, layer.values) if isinstance(layer, LayerCache) else layer for layer in state.layers
    )
    return GrowingState(state.source, tuple(layers), state.length)
