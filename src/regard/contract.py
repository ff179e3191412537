"""The one contract that every system keeps, and all that search and training know of a model.

Conventions, stated once:

- Batch first; axis 0 of every tensor of a state is the row, of what belongs to a source the sentence.
- A mask is boolean and True means a real position. Lengths never travel beside a mask.
- A decoder gives logits; the loss lives in training, the normalisation in search.
- Sizes: B sentences, N rows (B x beam), S source positions, T target positions, D the encoder's
  width, F the width of features before the output layer, H heads, V target vocabulary.

A sentence is encoded once into a Memory. The decoder makes a first State of it, and then either
advances that state token by token (search) or goes over a whole known target at once (teacher
forcing). Both give the same numbers: tests/laws holds every model to it.
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
    """Mixin for a frozen dataclass of tensors that belong to source sentences: (B, ...), one for all rows of each."""

    def select(self, sentences: Tensor) -> Self:
        """Any sentences (M,), repeats allowed."""
        return cast(Self, _map_tensors(self, lambda tensor: tensor.index_select(0, sentences), sentences))


class State:
    """Mixin for the frozen dataclass in which a decoder keeps what it remembers between steps.

    Fields are tensors (N, ...), tuples of such, PerSource values, other states, numbers or None. N is a multiple
    of B, and the rows of a sentence lie side by side: row n belongs to sentence n // (N / B). A step hands back a
    new state and leaves the one it was given as it was.
    """

    def select(self, rows: Tensor, sentences: Tensor | None = None) -> Self:
        """Any rows (M,), as many of each sentence, and the sentences (B',) that they belong to, in their order.

        None: the same sentences as before, so that nothing that belongs to a source moves. A beam is widened and
        put in another order by rows alone; with sentences, those that are finished are dropped.
        """
        return cast(Self, _map_tensors(self, lambda tensor: tensor.index_select(0, rows), sentences, rows))


def _map_tensors(
    value: Any, change: Callable[[Tensor], Tensor], sentences: Tensor | None, rows: Tensor | None = None
) -> Any:
    """A dataclass whose tensors are changed; parts that select for themselves do so."""

    def part(value: Any) -> Any:
        match value:
            case Tensor():
                return change(value)
            case PerSource():
                return value if sentences is None else value.select(sentences)
            case State():
                return value.select(cast(Tensor, rows), sentences)
            case tuple():
                return tuple(part(each) for each in value)
            case _:
                return value

    return replace(value, **{field.name: part(getattr(value, field.name)) for field in fields(value)})


def expand_to_rows(value: Tensor, rows: int) -> Tensor:
    """What belongs to sentences, (B, ...), for each of N rows of theirs: (N, ...)."""
    each = rows // len(value)
    return value if each == 1 else value.repeat_interleave(each, 0)


@dataclass(frozen=True)
class Memory(PerSource):
    """What the encoder leaves behind of a source.

    keys: (B, S, D) what attention compares with.
    values: (B, S, D) what it averages; another tensor than keys only in ConvS2S.
    mask: (B, S) True at real positions; S may exceed the source's length (ByteNet).
    final: per layer (B, D) the last states; empty where there are none.
    """

    keys: Tensor
    values: Tensor
    mask: Tensor
    final: tuple[Tensor, ...] = ()


S = TypeVar("S", bound=State)


@dataclass(frozen=True)
class StepFeatures(Generic[S]):
    """One token further: features (N, F), the state after it, and attention (N, S) if asked for, if any."""

    features: Tensor
    state: S
    attention: Tensor | None = None


@dataclass(frozen=True)
class StepLogits(Generic[S]):
    """As Advance, with logits (N, V) in the place of features."""

    logits: Tensor
    state: S
    attention: Tensor | None = None


@dataclass(frozen=True)
class DecoderOutput:
    """A whole target under teacher forcing: features (B, T, F) and attention (B, T, S) if asked for, if any."""

    features: Tensor
    attention: Tensor | None = None


Readout = Callable[[Tensor], Tensor]
"""Features (..., F) to logits."""


class Encoder(nn.Module, ABC):
    """Reads a source once."""

    @abstractmethod
    def forward(self, tokens: Tensor, mask: Tensor) -> Memory:
        """Source tokens (B, S) and their mask (B, S) to a Memory."""


class Decoder(nn.Module, ABC, Generic[S]):
    """Writes a target, a token at a time or all positions at once."""

    has_attention: bool = True  # False: attention is None even when asked for
    vocabulary_size: int  # V, the size of its logits' last axis
    output: Any  # the last layer, a module that gives the logits

    @abstractmethod
    def init_state(self, memory: Memory) -> S:
        """The state before the first token, with one row a sentence."""

    @abstractmethod
    def advance(self, tokens: Tensor, state: S, *, with_attention: bool = False) -> StepFeatures[S]:
        """Feed tokens (N,), one a row; the first one fed is BOS."""

    @abstractmethod
    def readout(self, features: Tensor) -> Tensor:
        """Features (..., F) to logits (..., V)."""

    def readout_subset(self, tokens: Tensor) -> Readout:
        """What gives the logits of some tokens (U,) alone: features (..., F) to (..., U). Made once, used often.

        This default works them all out and keeps those; a decoder whose last layer can be narrowed overrides it.
        """
        return lambda features: self.readout(features).index_select(-1, tokens)

    def step(self, tokens: Tensor, state: S, *, with_attention: bool = False) -> StepLogits[S]:
        """Feed tokens (N,) and give the logits (N, V) of what follows them, which whoever asked may overwrite."""
        advanced = self.advance(tokens, state, with_attention=with_attention)
        return StepLogits(self.readout(advanced.features), advanced.state, advanced.attention)

    def forward(self, tokens: Tensor, memory: Memory, *, with_attention: bool = False) -> DecoderOutput:
        """Teacher forcing: tokens (B, T), beginning with BOS, to the features behind each of them.

        This default advances token by token; a decoder that can go over all positions at once
        overrides it.
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
    """An encoder and a decoder that go together."""

    def __init__(self, encoder: Encoder, decoder: Decoder[Any]) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder

    def encode(self, source: Tensor) -> Memory:
        """Source tokens (B, S), padded with PAD, to a Memory."""
        return cast(Memory, self.encoder(source, source.ne(PAD)))

    def features(self, source: Tensor, target: Tensor, *, with_attention: bool = False) -> DecoderOutput:
        """Source (B, S) and decoder input (B, T), which begins with BOS, to features (B, T, F)."""
        return cast(DecoderOutput, self.decoder(target, self.encode(source), with_attention=with_attention))

    def forward(self, source: Tensor, target: Tensor) -> Tensor:
        """Source (B, S) and decoder input (B, T), which begins with BOS, to logits (B, T, V)."""
        return self.decoder.readout(self.features(source, target).features)


@dataclass(frozen=True)
class VocabularySizes:
    """How many tokens either side has, and whether both use one and the same vocabulary."""

    source: int
    target: int
    joint: bool = False
