"""A search with a Transformer decoder whose layers are a program: one native call computes the logits of a step.

It keeps the state of `regard.nn.kv_cache` in place, so that a step allocates nothing. When the cache is full, or when
sentences are dropped, it becomes a `TransformerState` again, which copies it.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from regard.contract import Search
from regard.nn.kernels import native, operations
from regard.nn.kernels.linear import LinearFloat32, LinearInt8
from regard.nn.kv_cache import SPARE_STEPS, CacheBuffer, LayerCache, TransformerState
from regard.nn.step_program import StepProgram

SPARE_ROWS = 256  # rows for which a new buffer has space, if that is more than SPARE_STEPS steps


@dataclass(frozen=True)
class NativeDecoder:
    """A decoder that native kernels compute from tokens to logits.

    Attributes:
        table: (V, D) the embedding.
        scale: What embeddings are multiplied by.
        positions: Returns a table with at least this many positions, (T, D), which are added; None: there are none.
        layers: The program of its layers.
        output: The output layer.
    """

    table: Tensor
    scale: float
    positions: Callable[[int], Tensor] | None
    layers: StepProgram
    output: LinearInt8 | LinearFloat32

    @property
    def is_supported(self) -> bool:
        """Whether the kernels support the embedding and the output layer."""
        is_plain = self.table.is_contiguous() and native.supports_inference(self.table)
        return is_plain and self.output.inputs == self.table.size(1) == self.layers.width

    def start_search(self, state: TransformerState) -> NativeSearch:
        """Return a search from this state, in which rows see what they may attend to."""
        return NativeSearch(self, state)


class NativeSearch(Search):
    """See `regard.contract.Search`."""

    def __init__(self, decoder: NativeDecoder, state: TransformerState) -> None:
        self._decoder = decoder
        self._run = native.kernels().decoder_logits
        layers, self._output = decoder.layers, decoder.output.operation
        self._constants = operations.Decoder(
            table=decoder.table.data_ptr(),
            scale=decoder.scale,
            width=layers.width,
            vocabulary=decoder.output.outputs,
            operations=layers.address,
            count=layers.count,
            floats=layers.floats,
            output=ctypes.addressof(self._output),
        )
        self._positions = 0  # in the table that `_constants` points to
        self._search = operations.Search()
        self._addresses = ctypes.addressof(self._constants), ctypes.addressof(self._search)
        self._parents: Tensor | None = None  # the rows that rows take over before the next step
        self._load(state)

    def step(self, tokens: Tensor) -> Tensor:
        """Feed one token per row, (N,), and return the logits (N, V) of the next one."""
        if self._written + self._rows_per_sentence > self._capacity:
            self._load(self._read().compact(spare_steps=_spare_steps(len(self._logits))))
        if self._length >= self._positions:
            self._load_positions()
        parents = None if self._parents is None else self._parents.data_ptr()
        self._run(*self._addresses, tokens.contiguous().data_ptr(), parents, self._logits.data_ptr())
        self._parents = None
        self._written += self._rows_per_sentence
        self._length += 1
        return self._logits

    def select(self, rows: Tensor, sentences: Tensor | None = None) -> None:
        """Select rows and sentences, as `State.select` does."""
        if sentences is None and len(rows) == len(self._logits) and self._parents is None:
            self._parents = rows.contiguous()
        else:
            self._load(self._read().select(rows, sentences))

    def _load_positions(self) -> None:
        if self._decoder.positions is None:
            self._positions = 2**62
            return
        self._table = self._decoder.positions(self._length + 1)
        self._positions = len(self._table)
        self._constants.positions = self._table.data_ptr()

    def _load(self, state: TransformerState) -> None:
        """Let the native search continue from a state, in its buffers."""
        rows, sentences = len(state.visible), len(state.source.mask)
        self._rows_per_sentence = rows // max(1, sentences)
        if not all(layer.has_space(self._rows_per_sentence) for layer in state.layers):
            state = state.compact(spare_steps=_spare_steps(rows))
        self._source, self._length, self._written = state.source, state.length, state.visible.size(1)
        self._buffers = [_buffer(layer) for layer in state.layers]
        self._capacity = min(buffer.capacity for buffer in self._buffers)
        self._layers = (operations.Layer * len(self._buffers))()
        for layer, buffer, source in zip(self._layers, self._buffers, state.source.layers, strict=True):
            self._decoder.layers.fill(layer, buffer, source)
        self._visible = [torch.empty(rows * self._capacity, dtype=torch.bool) for _ in range(2)]
        self._visible[0][: state.visible.numel()] = state.visible.flatten()
        self._logits = torch.empty(rows, self._decoder.output.outputs)
        self._mask = state.source.mask.contiguous()
        self._search.layers, self._search.num_layers = ctypes.addressof(self._layers), len(self._layers)
        self._search.rows, self._search.sentences, self._search.position = rows, sentences, state.length
        self._search.visible, self._search.spare = (part.data_ptr() for part in self._visible)
        self._search.source_mask, self._search.source_slots = self._mask.data_ptr(), self._mask.size(1)
        self._parents = None

    def _read(self) -> TransformerState:
        """Return the state that the native search has reached."""
        for buffer in self._buffers:
            buffer.written = self._written
        rows = len(self._logits)
        (current,) = (part for part in self._visible if part.data_ptr() == self._search.visible)
        visible = current[: rows * self._written].view(rows, self._written)
        layers = tuple(LayerCache.of(buffer) for buffer in self._buffers)
        state = TransformerState(self._source, layers, visible, self._length)
        return state if self._parents is None else replace(state, visible=visible.index_select(0, self._parents))


def _spare_steps(rows: int) -> int:
    """Return the steps for which a new buffer has space: enough for most translations of a single sentence."""
    return max(SPARE_STEPS, SPARE_ROWS // max(1, rows))


def _buffer(layer: object) -> CacheBuffer:
    assert isinstance(layer, LayerCache) and layer.buffer is not None
    return layer.buffer
