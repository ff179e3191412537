"""Search over a shortlist of the target vocabulary (Jean et al. 2015; L'Hostis et al. 2016).

A sentence may be translated with the candidates of its source tokens, frequent tokens, and special tokens. The decoder
of a batch uses the union of the shortlists of all its sentences as its vocabulary and numbers it from 0. Tokens outside
a sentence's own shortlist have no probability in that sentence, so its translation does not depend on its batch.
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
class BatchShortlist:
    """The shortlist of a batch.

    Attributes:
        tokens: (U,) ascending, the special tokens first.
        allowed: (B, U) True at the tokens that each sentence may have.
    """

    tokens: Tensor
    allowed: Tensor


@dataclass(frozen=True)
class Shortlist:
    """Likely target tokens.

    Attributes:
        candidates: (source V, K) target tokens for each source token, padded with PAD.
        frequent: (F,) target tokens that are always allowed.
    """

    candidates: Tensor
    frequent: Tensor

    def choose(
        self, sources: Sequence[Sequence[int]], required: Sequence[Sequence[int]], vocabulary_size: int
    ) -> BatchShortlist:
        """Return the shortlist of a batch, given the source tokens and the required target tokens of each sentence."""
        allowed = torch.zeros(len(sources), vocabulary_size, dtype=torch.bool)
        allowed[:, : len(SPECIAL)] = True
        allowed[:, self.frequent] = True
        for row, source, extra in zip(allowed, sources, required, strict=True):
            row[self.candidates[list(source)].flatten()] = True
            row[list(extra)] = True
        tokens = allowed.any(0).nonzero().squeeze(1)
        return BatchShortlist(tokens, allowed[:, tokens])


@dataclass(frozen=True, kw_only=True)
class ShortlistMemory(Memory):
    """The memory of the inner decoder, and what is added to each sentence's logits.

    Attributes:
        logit_mask: (B, U) 0 at allowed tokens, minus infinity at others.
    """

    inner: Memory
    logit_mask: Tensor

    @classmethod
    def of(cls, memory: Memory, batch: BatchShortlist) -> Self:
        """Wrap the memory of the sentences for which the shortlist was made."""
        logit_mask = torch.zeros(batch.allowed.shape).masked_fill(~batch.allowed, -math.inf).to(memory.values)
        return cls(
            keys=memory.keys,
            values=memory.values,
            mask=memory.mask,
            final=memory.final,
            inner=memory,
            logit_mask=logit_mask,
        )


@dataclass(frozen=True)
class LogitMask(PerSource):
    """What is added to each sentence's logits, (B, U)."""

    values: Tensor


@dataclass(frozen=True)
class ShortlistState(State):
    """The state of the inner decoder; logit_mask is None if all sentences have the same shortlist."""

    inner: State
    logit_mask: LogitMask | None


class ShortlistDecoder(Decoder[ShortlistState]):
    """A decoder whose vocabulary is a subset of tokens (U,), numbered by their positions in it.

    Its features are its logits. It decodes a `ShortlistMemory`.
    """

    def __init__(self, decoder: Decoder[Any], tokens: Tensor) -> None:
        super().__init__()
        self.decoder = decoder
        self.tokens = tokens
        self.vocabulary_size = len(tokens)
        self.has_attention = decoder.has_attention
        self._inner_readout = decoder.readout_subset(tokens)

    def init_state(self, memory: Memory) -> ShortlistState:
        """Return the first state of the inner decoder."""
        if not isinstance(memory, ShortlistMemory):
            raise TypeError(f"a ShortlistDecoder needs a ShortlistMemory, not a {type(memory).__name__}")
        logit_mask = LogitMask(memory.logit_mask) if memory.logit_mask.any() else None
        return ShortlistState(self.decoder.init_state(memory.inner), logit_mask)

    def advance(
        self, tokens: Tensor, state: ShortlistState, *, with_attention: bool = False
    ) -> StepFeatures[ShortlistState]:
        """Feed tokens (N,), given by their positions in the subset."""
        advanced = self.decoder.advance(self.tokens[tokens], state.inner, with_attention=with_attention)
        logits = self._inner_readout(advanced.features)
        if state.logit_mask is not None:
            mask = state.logit_mask.values
            rows = logits.unflatten(0, (len(mask), -1))  # (B, N / B, U)
            logits = rows.add_(mask[:, None]).flatten(0, 1)  # (N, U)
        return StepFeatures(logits, ShortlistState(advanced.state, state.logit_mask), advanced.attention)

    def readout(self, features: Tensor) -> Tensor:
        """Return the features: they are the logits."""
        return features
