"""Search over a few likely tokens of the vocabulary (Jean et al. 2015; L'Hostis et al. 2016), which knows of no others.

A sentence may be translated by the candidates of its source tokens, by what is frequent, and by the special tokens. The
decoder of a batch has the tokens of all its sentences for its vocabulary, and counts them from 0; those that are
not a sentence's own have no probability in it, so that its translation does not depend on its batch.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor

from regard.contract import Decoder, Memory, PerSource, State, StepFeatures
from regard.special_tokens import SPECIAL


@dataclass(frozen=True)
class Choice:
    """The tokens of a batch (U,), ascending, the special ones first, and which each sentence may have, (B, U)."""

    tokens: Tensor
    allowed: Tensor


@dataclass(frozen=True)
class Shortlist:
    """What each source token may become, (source V, K), filled up with PAD, and what may always be said, (F,)."""

    candidates: Tensor
    frequent: Tensor

    def choose(self, sources: Sequence[Sequence[int]], besides: Sequence[Sequence[int]], vocabulary: int) -> Choice:
        """For the source tokens of each sentence, what it needs besides, and a target vocabulary of that size."""
        allowed = torch.zeros(len(sources), vocabulary, dtype=torch.bool)
        allowed[:, : len(SPECIAL)] = True
        allowed[:, self.frequent] = True
        for own, source, more in zip(allowed, sources, besides, strict=True):
            own[self.candidates[list(source)].flatten()] = True
            own[list(more)] = True
        tokens = allowed.any(0).nonzero().squeeze(1)
        return Choice(tokens, allowed[:, tokens])


@dataclass(frozen=True, kw_only=True)
class ShortlistMemory(Memory):
    """The memory of a decoder's own kind, and what is added to each sentence's logits (B, U): 0 or minus infinity."""

    inner: Memory
    bar: Tensor

    @classmethod
    def of(cls, memory: Memory, choice: Choice) -> Self:
        """For the choice that was made for the same sentences."""
        bar = torch.zeros(choice.allowed.shape).masked_fill(~choice.allowed, -math.inf).to(memory.values)
        return cls(keys=memory.keys, values=memory.values, mask=memory.mask, final=memory.final, inner=memory, bar=bar)


@dataclass(frozen=True)
class Bar(PerSource):
    """What is added to each sentence's logits, (B, U)."""

    added: Tensor


@dataclass(frozen=True)
class ShortlistState(State):
    """The decoder's own state; no bar where all sentences have the same tokens."""

    inner: State
    bar: Bar | None


class ShortlistDecoder(Decoder[ShortlistState]):
    """A decoder over some tokens (U,) alone, which are fed to it and given by their places among them.

    Its features are its logits. It decodes a ShortlistMemory.
    """

    def __init__(self, decoder: Decoder[Any], tokens: Tensor) -> None:
        super().__init__()
        self.decoder = decoder
        self.tokens = tokens
        self.vocabulary_size = len(tokens)
        self.has_attention = decoder.has_attention
        self._inner_readout = decoder.readout_subset(tokens)

    def init_state(self, memory: Memory) -> ShortlistState:
        """The decoder's own."""
        if not isinstance(memory, ShortlistMemory):
            raise TypeError("a ShortlistDecoder decodes a ShortlistMemory")
        bar = Bar(memory.bar) if memory.bar.any() else None
        return ShortlistState(self.decoder.init_state(memory.inner), bar)

    def advance(
        self, tokens: Tensor, state: ShortlistState, *, with_attention: bool = False
    ) -> StepFeatures[ShortlistState]:
        """Feed the tokens that have these places (N,)."""
        advanced = self.decoder.advance(self.tokens[tokens], state.inner, with_attention=with_attention)
        logits = self._inner_readout(advanced.features)
        if state.bar is not None:
            rows = logits.unflatten(0, (len(state.bar.added), -1))  # (B, rows of a sentence, U)
            logits = rows.add_(state.bar.added[:, None]).flatten(0, 1)
        return StepFeatures(logits, ShortlistState(advanced.state, state.bar), advanced.attention)

    def readout(self, features: Tensor) -> Tensor:
        """The features as they are."""
        return features
