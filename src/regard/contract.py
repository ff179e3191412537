"""The contract between models and the rest of the toolkit: all that search and training know about a model.

Conventions:

- Batch first. Axis 0 of a tensor is the row; of a tensor that belongs to a source, the sentence.
- A mask is boolean, and True means a real position. Lengths are never passed in addition to a mask.
- A decoder returns logits. The loss is computed in training, the normalization in search.
- Sizes: B sentences, N rows (B x beam), S source positions, T target positions, D the encoder's size, F the size of
  features before the output layer, H heads, V target vocabulary.

A sentence is encoded once into a Memory. The decoder makes an initial State from it, and then either advances the state
token by token (search) or processes a whole known target at once (teacher forcing). Both give the same numbers:
regard.testing checks this for every model.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any, Generic, Self, TypeVar, cast

import torch
from torch import Tensor, nn

from regard.special_tokens import PAD


class PerSource:
    """Mixin for a frozen dataclass of tensors (B, ...) that belong to sources and are shared by all rows of each."""

    def select(self, sentences: Tensor) -> Self:
        """Select sentences (M,), which may repeat."""
        return cast(Self, _map_tensors(self, lambda tensor: tensor.index_select(0, sentences), sentences))


class State:
    """Mixin for the frozen dataclass that a decoder passes from step to step.

    Fields are tensors (N, ...), tuples of them, PerSource values, other states, numbers or None. N is a multiple of B,
    and the rows of a sentence are consecutive: row n belongs to sentence n // (N / B). A step returns a new state and
    does not change the state that it was given.
    """

    def select(self, rows: Tensor, sentences: Tensor | None = None) -> Self:
        """Select rows, to widen or reorder a beam, and sentences, to drop finished ones.

        Args:
            rows: (M,) the rows to keep, equally many of each sentence; they may repeat.
            sentences: (B',) the sentences that these rows belong to, in the same order. None: all sentences, so
                nothing that belongs to a source is copied.
        """
        return cast(Self, _map_tensors(self, lambda tensor: tensor.index_select(0, rows), sentences, rows))


def _map_tensors(
    value: Any, change: Callable[[Tensor], Tensor], sentences: Tensor | None, rows: Tensor | None = None
) -> Any:
    """Return a dataclass with its tensors changed. PerSource and State fields select for themselves."""

    def map_field(value: Any) -> Any:
        match value:
            case Tensor():
                return change(value)
            case PerSource():
                return value if sentences is None else value.select(sentences)
            case State():
                return value.select(cast(Tensor, rows), sentences)
            case tuple():
                return tuple(map_field(item) for item in value)
            case _:
                return value

    return replace(value, **{field.name: map_field(getattr(value, field.name)) for field in fields(value)})


def expand_to_rows(value: Tensor, rows: int) -> Tensor:
    """Repeat what belongs to sentences, (B, ...), for each of their N rows: (N, ...)."""
    repeats = rows // value.size(0)
    return value if repeats == 1 else value.repeat_interleave(repeats, 0)


@dataclass(frozen=True)
class Memory(PerSource):
    """The encoder's output.

    Attributes:
        keys: (B, S, D) what attention compares queries with.
        values: (B, S, D) what attention averages; it differs from keys only in ConvS2S.
        mask: (B, S) True at real positions; S may exceed the source's length (ByteNet).
        final: (B, D) per layer, the last states; empty if there are none.
        tokens: (B, S) the source tokens, for decoders that copy them; None if the encoder does not return them.
    """

    keys: Tensor
    values: Tensor
    mask: Tensor
    final: tuple[Tensor, ...] = ()
    tokens: Tensor | None = None


S = TypeVar("S", bound=State)


@dataclass(frozen=True)
class StepFeatures(Generic[S]):
    """The result of feeding one token per row.

    Attributes:
        features: (N, F) the input of the output layer.
        state: The state after the token.
        attention: (N, S) attention to the source, if it was asked for and there is any.
    """

    features: Tensor
    state: S
    attention: Tensor | None = None


@dataclass(frozen=True)
class StepLogits(Generic[S]):
    """The result of feeding one token per row, with the logits (N, V) of the next token instead of features."""

    logits: Tensor
    state: S
    attention: Tensor | None = None


@dataclass(frozen=True)
class DecoderOutput:
    """The result of decoding whole targets with teacher forcing.

    Attributes:
        features: (B, T, F) the input of the output layer.
        attention: (B, T, S) attention to the source, if it was asked for and there is any.
    """

    features: Tensor
    attention: Tensor | None = None


Readout = Callable[[Tensor], Tensor]
"""Features (..., F) to logits."""


class Encoder(nn.Module, ABC):
    """Reads a source once."""

    @abstractmethod
    def forward(self, tokens: Tensor, mask: Tensor) -> Memory:
        """Encode source tokens (B, S) with their mask (B, S)."""


class Search(ABC):
    """A search without attention, from the side of its decoder: a state that each step changes in place."""

    @abstractmethod
    def step(self, tokens: Tensor) -> Tensor:
        """Feed one token per row, (N,), and return the logits (N, V) of the next one.

        The caller may overwrite them. The next step may, too.
        """

    @abstractmethod
    def select(self, rows: Tensor, sentences: Tensor | None = None) -> None:
        """Select rows and sentences, as `State.select` does. The tensors must not change before the next step."""


class _StateSearch(Search):
    """A search that keeps the state of a decoder."""

    def __init__(self, decoder: Decoder[Any], memory: Memory) -> None:
        self._decoder, self._state = decoder, decoder.init_state(memory)

    def step(self, tokens: Tensor) -> Tensor:
        out = self._decoder.step(tokens, self._state)
        self._state = out.state
        return out.logits

    def select(self, rows: Tensor, sentences: Tensor | None = None) -> None:
        self._state = self._state.select(rows, sentences)


class Decoder(nn.Module, ABC, Generic[S]):
    """Writes a target, one token at a time or all positions at once.

    Attributes:
        has_attention: If False, attention is None even if it is asked for.
        vocabulary_size: V, the number of logits.
        output: The last layer, a module that returns the logits.
    """

    has_attention: bool = True
    vocabulary_size: int
    output: Any

    @abstractmethod
    def init_state(self, memory: Memory) -> S:
        """Return the state before the first token, with one row per sentence."""

    @abstractmethod
    def advance(self, tokens: Tensor, state: S, *, with_attention: bool = False) -> StepFeatures[S]:
        """Feed one token per row, (N,). The first is BOS."""

    @abstractmethod
    def readout(self, features: Tensor) -> Tensor:
        """Return the logits (..., V) of features (..., F)."""

    def readout_subset(self, tokens: Tensor) -> Readout:
        """Return a function that computes only the logits of `tokens` (U,): features (..., F) to (..., U).

        The function is made once and called often. This default computes all logits and selects from them; decoders
        that can compute a subset override it.
        """
        return lambda features: self.readout(features).index_select(-1, tokens)

    def step(self, tokens: Tensor, state: S, *, with_attention: bool = False) -> StepLogits[S]:
        """Feed one token per row, (N,), and return the logits (N, V) of the next one. The caller may overwrite them."""
        advanced = self.advance(tokens, state, with_attention=with_attention)
        return StepLogits(self.readout(advanced.features), advanced.state, advanced.attention)

    def start_search(self, memory: Memory) -> Search:
        """Start a search without attention. This default calls `step`; decoders with a faster way override it."""
        return _StateSearch(self, memory)

    def forward(self, tokens: Tensor, memory: Memory, *, with_attention: bool = False) -> DecoderOutput:
        """Decode with teacher forcing: tokens (B, T), the first of which is BOS, to the features after each of them.

        This default advances token by token; decoders that can process all positions at once override it.
        """
        state = self.init_state(memory)
        features: list[Tensor] = []
        attention: list[Tensor] = []
        for column in tokens.unbind(1):
            advanced = self.advance(column, state, with_attention=with_attention)
            state = advanced.state
            features.append(advanced.features)
            if advanced.attention is not None:
                attention.append(advanced.attention)
        return DecoderOutput(torch.stack(features, 1), torch.stack(attention, 1) if attention else None)


class Seq2Seq(nn.Module):
    """An encoder and a decoder."""

    def __init__(self, encoder: Encoder, decoder: Decoder[Any]) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder

    @property
    def num_parameters(self) -> int:
        """The number of parameters, frozen ones included; a matrix that is used twice counts once."""
        return sum(parameter.numel() for parameter in self.parameters())

    def encode(self, source: Tensor) -> Memory:
        """Encode source tokens (B, S), padded with PAD."""
        return cast(Memory, self.encoder(source, source.ne(PAD)))

    def features(self, source: Tensor, target: Tensor, *, with_attention: bool = False) -> DecoderOutput:
        """Return the features (B, T, F) of sources (B, S) and decoder inputs (B, T), which start with BOS."""
        return cast(DecoderOutput, self.decoder(target, self.encode(source), with_attention=with_attention))

    def forward(self, source: Tensor, target: Tensor) -> Tensor:
        """Return the logits (B, T, V) of sources (B, S) and decoder inputs (B, T), which start with BOS."""
        return self.decoder.readout(self.features(source, target).features)


@dataclass(frozen=True)
class VocabularySizes:
    """The number of tokens of each side, and whether both sides share one vocabulary."""

    source: int
    target: int
    joint: bool = False
