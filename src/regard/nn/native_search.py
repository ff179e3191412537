"""A search with a Transformer decoder whose layers are a program: one native call computes the logits of a step.

It keeps the state of `regard.nn.kv_cache` in place, so that a step allocates nothing. When the cache is full, or when
sentences are dropped, it becomes a `TransformerState` again, which copies it.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from regard.contract import Search
from regard.nn.attention_memory import PaddedSource
from regard.nn.copying import CopySource
from regard.nn.kernels import native, operations
from regard.nn.kernels.linear import LinearFloat32, LinearInt8
from regard.nn.kv_cache import SPARE_STEPS, LayerCache, TransformerState
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
        copying_readout: What computes the logits instead if the decoder copies: the features (B, T, D), the embedded
            target (B, T, D), the last layer's source with the weights of its first head, and what is copied to logits
            (B, T, V).
    """

    table: Tensor
    scale: float
    positions: Callable[[int], Tensor] | None
    layers: StepProgram
    output: LinearInt8 | LinearFloat32
    copying_readout: Callable[[Tensor, Tensor, PaddedSource, CopySource | None], Tensor] | None = None

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
        self._positions = 0  # in the tables that `_constants` points to
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
        return self._logits if self._queries is None else self._copying_logits(self._queries)

    def select(self, rows: Tensor, sentences: Tensor | None = None) -> None:
        """Select rows and sentences, as `State.select` does."""
        if sentences is None and len(rows) == len(self._logits) and self._parents is None:
            self._parents = rows.contiguous()
        else:
            self._load(self._read().select(rows, sentences))

    def _copying_logits(self, queries: Tensor) -> Tensor:
        """Return the logits (N, V) of a decoder that copies, after a native step with these queries (B, T, 1, W)."""
        assert self._decoder.copying_readout is not None
        last = PaddedSource(self._source.layers[-1], self._source.mask)
        last.weigh_first_head(queries)
        logits = self._decoder.copying_readout(self._features, self._embedded, last, self._source.copied)
        return logits.flatten(0, 1)

    def _load_positions(self) -> None:
        """Point to tables that have the next position."""
        end, tables = self._length + 1, (self._decoder.positions, self._decoder.layers.rotations)
        self._tables = [None if table is None else table(end) for table in tables]
        self._positions = min((len(table) for table in self._tables if table is not None), default=2**62)
        self._constants.positions, self._constants.rotations = (
            None if table is None else table.data_ptr() for table in self._tables
        )

    def _load(self, state: TransformerState) -> None:
        """Let the native search continue from a state, in its buffers."""
        rows, sentences = len(state.visible), len(state.source.mask)
        self._rows_per_sentence = rows // max(1, sentences)
        if not all(layer.has_space(self._rows_per_sentence) for layer in state.layers):
            state = state.compact(spare_steps=_spare_steps(rows))
        self._source, self._length, self._written = state.source, state.length, state.visible.size(1)
        self._layers = (operations.Layer * len(state.layers))()
        self._states = [own.lend(layer) for layer, own in zip(self._layers, state.layers, strict=True)]
        for layer, source in zip(self._layers, state.source.layers, strict=True):
            layer.written = self._first = self._written
            self._decoder.layers.fill(layer, source)
        spare = self._rows_per_sentence * _spare_steps(rows)
        buffers = [own.buffer for own in self._states if isinstance(own, LayerCache) and own.buffer is not None]
        self._capacity = min((buffer.capacity for buffer in buffers), default=self._written + spare)
        self._visible = [torch.empty(rows * self._capacity, dtype=torch.bool) for _ in range(2)]
        self._visible[0][: state.visible.numel()] = state.visible.flatten()
        self._logits = torch.empty(rows, self._decoder.output.outputs)
        self._load_copying(sentences)
        self._mask = state.source.mask.contiguous()
        self._search.layers, self._search.num_layers = ctypes.addressof(self._layers), len(self._layers)
        self._search.rows, self._search.sentences, self._search.position = rows, sentences, state.length
        self._search.visible, self._search.spare = (part.data_ptr() for part in self._visible)
        self._search.source_mask, self._search.source_slots = self._mask.data_ptr(), self._mask.size(1)
        self._parents = None

    def _load_copying(self, sentences: int) -> None:
        """Set where native steps leave what a decoder that copies needs."""
        self._queries = self._decoder.layers.empty_queries(sentences, self._rows_per_sentence)
        if self._queries is not None:
            shape = sentences, self._rows_per_sentence, self._decoder.layers.width
            self._embedded, self._features = torch.empty(shape), torch.empty(shape)
            places = self._embedded.data_ptr(), self._queries.data_ptr(), self._features.data_ptr()
            self._search.embedded, self._search.queries, self._search.features = places

    def _read(self) -> TransformerState:
        """Return the state that the native search has reached."""
        rows = len(self._logits)
        (current,) = (part for part in self._visible if part.data_ptr() == self._search.visible)
        visible = current[: rows * self._written].view(rows, self._written)
        layers = tuple(own.extend(self._written - self._first) for own in self._states)
        state = TransformerState(self._source, layers, visible, self._length)
        return state if self._parents is None else state.select(self._parents)


def _spare_steps(rows: int) -> int:
    """Return the steps for which a new buffer has space: enough for most translations of a single sentence."""
    return max(SPARE_STEPS, SPARE_ROWS // max(1, rows))
