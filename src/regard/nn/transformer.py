"""The encoder and decoder of a Transformer around their layers: packing, KV cache and output layer.

The files in regard.models define layers. This module runs them: over whole batches in training, padded or packed, and
step by step with a cache in search.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

import torch
from torch import Tensor, nn

from regard.contract import DecoderOutput, Encoder, Memory, Readout, Search, StepFeatures
from regard.nn.attention_memory import (
    KeysValues,
    PackedSequence,
    PackedSource,
    PaddedSequence,
    PaddedSource,
    SequenceMemory,
    SourceMemory,
)
from regard.nn.attention_recorder import active_recorder
from regard.nn.copying import CopyingDecoder, CopyingOutput, CopySource
from regard.nn.embedding import ScaledEmbedding
from regard.nn.int8 import NativeLinear
from regard.nn.kernels import native
from regard.nn.kv_cache import LayerCache, LayerState, ProjectedSource, RecurrentState, TransformerState
from regard.nn.modules import ModuleList
from regard.nn.native_search import NativeDecoder
from regard.nn.output_layer import TiedLinear
from regard.nn.packed_linear import PackedLinear
from regard.nn.packing import Packing, can_pack, should_pack
from regard.nn.step_program import POSITION, ROWS, StepProgram
from regard.special_tokens import PAD


class TransformerEncoderLayer(nn.Module):
    """Base class of encoder layers."""

    if TYPE_CHECKING:

        def __call__(self, x: Tensor, source: SequenceMemory) -> Tensor:
            """Map positions x (N, S, D) of `source` to (N, S, D)."""


class SourceAttention(Protocol):
    """A layer's attention to the source."""

    def project(self, memory: Tensor) -> KeysValues:
        """Project the encoder's output (N, S, D) to keys and values (N, S, K, W)."""
        ...

    def __call__(self, x: Tensor, source: SourceMemory) -> Tensor:
        """Attend from target positions x (N, T, D) to what `project` returned: (N, T, D)."""
        ...


class TransformerDecoderLayer(nn.Module):
    """Base class of decoder layers."""

    source_attention: SourceAttention

    if TYPE_CHECKING:

        def __call__(self, x: Tensor, target: SequenceMemory, source: SourceMemory) -> Tensor:
            """Map positions x (N, T, D) of `target` to (N, T, D)."""


class TransformerEncoder(Encoder):
    """Layers over the embedded source, and a norm after the last one if `norm` is given.

    Args:
        embedding: Tokens to vectors.
        layers: The layers, from the bottom up.
        norm: What follows the last layer.
        head_size: The size of an attention head, on which it depends whether batches can be packed.
    """

    def __init__(
        self,
        embedding: ScaledEmbedding,
        layers: Iterable[TransformerEncoderLayer],
        norm: nn.Module | None = None,
        *,
        head_size: int,
    ) -> None:
        super().__init__()
        self.head_size = head_size
        self.embedding = embedding
        self.layers: ModuleList[TransformerEncoderLayer] = ModuleList(layers)
        self.norm = norm or nn.Identity()

    def forward(self, tokens: Tensor, mask: Tensor) -> Memory:
        """Encode (B, S) as the output of the top layer, (B, S, D)."""
        x = self.embedding(tokens)
        if can_pack(x, self.head_size, mask) and active_recorder() is None:
            packing = Packing.of(mask)
            x = packing.unpack(self._run(packing.pack(x), PackedSequence(packing)))
        else:
            x = self._run(x, PaddedSequence(mask.size(1), mask))
        return Memory(keys=x, values=x, mask=mask, tokens=tokens)

    def _run(self, x: Tensor, source: SequenceMemory) -> Tensor:
        for layer in self.layers:
            x = layer(x, source)
        normed: Tensor = self.norm(x)
        return normed


class TransformerDecoder(CopyingDecoder[TransformerState]):
    """Layers over the target, a norm if given, and an output layer tied to the embedding.

    To copy (`regard.nn.copying`), it reuses the attention of a single head, the first of the last layer, as Enarvi et
    al. 2020 (2020.nlpmc-1.4) reuse one of a Transformer's attention distributions: the other heads need not point to
    what is copied. The gate reads the output of the last layer as s and the embedding with its position as x.

    Args:
        embedding: Tokens to vectors; its table is the output layer's too.
        layers: The layers, from the bottom up.
        norm: What follows the last layer.
        head_size: The size of an attention head, on which it depends whether batches can be packed.
        is_recurrent: The layers have a recurrence instead of self-attention.
        output_bias: Add a bias to the logits.
        copies: Copy source tokens. Not together with `output_bias`.
    """

    def __init__(
        self,
        embedding: ScaledEmbedding,
        layers: Iterable[TransformerDecoderLayer],
        norm: nn.Module | None = None,
        *,
        head_size: int,
        is_recurrent: bool = False,
        output_bias: bool = False,
        copies: bool = False,
    ) -> None:
        super().__init__()
        self.vocabulary_size = embedding.table.num_embeddings
        self.head_size = head_size
        self.is_recurrent = is_recurrent
        self.embedding = embedding
        self.output = TiedLinear(embedding.table)
        self.layers: ModuleList[TransformerDecoderLayer] = ModuleList(layers)
        self.norm = norm or nn.Identity()
        self.bias = nn.Parameter(torch.zeros(self.vocabulary_size)) if output_bias else None
        self.step_program: StepProgram | None = None  # of the layers
        if copies:
            assert not output_bias
            size = embedding.table.embedding_dim
            self.enable_copying(features_size=size, context_size=size, state_size=size, word_size=size)

    def record_step(self, memory: Memory) -> None:
        """Record a step for frozen weights, if native kernels compute all of it, with an encoder's output as source."""
        if not native.supports_inference(memory.values):
            return
        sentences, size = len(memory.mask), self.embedding.table.embedding_dim
        draw, state = torch.Generator().manual_seed(1), self.init_state(memory)
        state = replace(state.select(torch.arange(sentences).repeat_interleave(ROWS)), length=POSITION)
        if self.is_recurrent:  # from zeros, a state that a layer changes might look unchanged
            hidden = (torch.randn(sentences * ROWS, size, generator=draw) for _ in self.layers)
            state = replace(state, layers=tuple(map(RecurrentState, hidden)))
        x = torch.randn(sentences, ROWS, size, generator=draw)
        state, targets = state.begin_step()
        self.step_program = StepProgram.record(self._run, x, targets, state.source.memories(with_weights=False))

    def start_search(self, memory: Memory) -> Search:
        """Start a search, with native steps if the layers have a program and kernels compute the rest, too."""
        decoder = self._native_decoder()
        if decoder is None or not native.supports_inference(memory.values) or active_recorder() is not None:
            return super().start_search(memory)
        if not decoder.layers.is_fastest(len(memory.mask)):
            return super().start_search(memory)
        return decoder.start_search(self.init_state(memory))

    def _native_decoder(self) -> NativeDecoder | None:
        embedding = self.embedding
        output = self.output.linear if isinstance(self.output, CopyingOutput) else self.output
        if self.step_program is None or self.bias is not None or not isinstance(output, (NativeLinear, PackedLinear)):
            return None
        positions = None if embedding.positions is None else embedding.positions.table_to
        readout = None if self.copy_gate is None else self._copying_readout
        decoder = NativeDecoder(
            embedding.table.weight, embedding.scale, positions, self.step_program, output.kernel, readout
        )
        return decoder if decoder.is_supported else None

    def init_state(self, memory: Memory) -> TransformerState:
        """Project the source for every layer; there is no target yet."""
        copied = None if self.copy_gate is None else CopySource.of(memory)
        source = ProjectedSource(memory.mask, self._project(memory.values), copied)
        layers: Iterable[LayerState]
        if self.is_recurrent:
            hidden = memory.values.new_zeros(memory.values.size(0), memory.values.size(2))  # (B, D)
            layers = (RecurrentState(hidden) for _ in self.layers)
        else:
            layers = (LayerCache.empty(like=projected.keys) for projected in source.layers)
        return TransformerState.start(source, tuple(layers))

    def advance(
        self, tokens: Tensor, state: TransformerState, *, with_attention: bool = False
    ) -> StepFeatures[TransformerState]:
        """Feed tokens (N,). Attention is the mean over layers and heads of the attention to the source."""
        x = self.embedding(tokens.unsqueeze(1), start=state.length)  # (N, 1, D)
        x = x.view(state.source.mask.size(0), -1, x.size(-1))  # (B, N / B, D)
        state, targets = state.begin_step()
        sources = state.source.memories(with_weights=with_attention)
        program = self.step_program
        run = program.run if program is not None and program.can_run(x, sources) else self._run
        features = run(x, targets, sources)  # (B, N / B, D)
        features = self._with_copying(features, x, sources, state.source.copied).flatten(0, 1)  # (N, F)
        attention = _mean_weights(sources).flatten(0, 1) if with_attention else None  # (N, S)
        return StepFeatures(features, state.end_step(targets), attention)

    def forward(self, tokens: Tensor, memory: Memory, *, with_attention: bool = False) -> DecoderOutput:
        """Decode all positions at once: (B, T) to features (B, T, D), which may be 0 in the padding."""
        x = self.embedding(tokens)
        target_mask = tokens.ne(PAD)
        copied = None if self.copy_gate is None else CopySource.of(memory)
        if not with_attention and should_pack(x, self.head_size, target_mask, memory.mask):
            target, source = Packing.of(target_mask), Packing.of(memory.mask)
            packed = [
                PackedSource(projected, target, source) for projected in self._project(source.pack(memory.values))
            ]
            packed[-1].with_first_head = copied is not None
            features = self._run(target.pack(x), [PackedSequence(target, causal=True)] * len(self.layers), packed)
            return DecoderOutput(self._with_copying(target.unpack(features), x, packed, copied))
        sources = ProjectedSource(memory.mask, self._project(memory.values), copied).memories(
            with_weights=with_attention
        )
        features = self._run(x, [PaddedSequence(x.size(1), causal=True)] * len(self.layers), sources)
        features = self._with_copying(features, x, sources, copied)
        return DecoderOutput(features, _mean_weights(sources) if with_attention else None)

    def _with_copying(
        self, features: Tensor, x: Tensor, sources: Sequence[SourceMemory], copied: CopySource | None
    ) -> Tensor:
        """Extend features (B, T, D) of the embedded target x (B, T, D) if the decoder copies."""
        weights = sources[-1].weights  # (B, H or 1, T, S)
        if copied is None or weights is None:
            return features
        return self.with_copying(features, weights[:, 0], features, x, copied)

    def _copying_readout(self, features: Tensor, x: Tensor, last: PaddedSource, copied: CopySource | None) -> Tensor:
        """Return the logits (B, T, V) of features (B, T, D) and the embedded target of a decoder that copies."""
        return self.readout(self._with_copying(features, x, [last], copied))

    def readout(self, features: Tensor) -> Tensor:
        """Return the logits (..., V) of features (..., D)."""
        logits = super().readout(features)
        return logits if self.bias is None else logits + self.bias

    def readout_subset(self, tokens: Tensor) -> Readout:
        """Return a function that computes only the logits of `tokens` (U,): features (..., D) to (..., U)."""
        readout = super().readout_subset(tokens)
        if self.bias is None:
            return readout
        bias = self.bias.index_select(0, tokens)
        return lambda features: readout(features) + bias

    def _project(self, memory: Tensor) -> tuple[KeysValues, ...]:
        return tuple(layer.source_attention.project(memory) for layer in self.layers)

    def _run(self, x: Tensor, targets: Sequence[SequenceMemory], sources: Sequence[SourceMemory]) -> Tensor:
        for layer, target, source in zip(self.layers, targets, sources, strict=True):
            x = layer(x, target, source)
        normed: Tensor = self.norm(x)
        return normed


def _mean_weights(sources: Sequence[SourceMemory]) -> Tensor:
    """Return the mean (N, T, S) over layers and heads of the attention weights that all sources have stored."""
    return torch.stack([source.weights.mean(1) for source in sources if source.weights is not None]).mean(0)
