"""Ensembles: several models decode as one model by averaging their probabilities at every step."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor, nn

from regard.contract import Decoder, DecoderOutput, Encoder, Memory, Seq2Seq, State, StepFeatures
from regard.errors import DecodingError


@dataclass(frozen=True)
class EnsembleMemory(Memory):
    """The memories of all members for the same source. Its own tensors are those of the first member."""

    members: tuple[Memory, ...] = ()

    @classmethod
    def of(cls, members: Sequence[Memory]) -> Self:
        """Combine the memories of all members, in the order of the decoders."""
        first = members[0]
        return cls(first.keys, first.values, first.mask, first.final, members=tuple(members))


@dataclass(frozen=True)
class EnsembleState(State):
    """The states of all members."""

    members: tuple[State, ...]


class EnsembleEncoder(Encoder):
    """Encodes a source with the encoder of every member."""

    def __init__(self, members: Sequence[Encoder]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)

    def forward(self, tokens: Tensor, mask: Tensor) -> EnsembleMemory:
        """Return the memories of all members, given source tokens (B, S) and their mask (B, S)."""
        return EnsembleMemory.of([member(tokens, mask) for member in self.members])


class Ensemble(Decoder[EnsembleState]):
    """Averages the probabilities and the attention of decoders with the same vocabulary.

    Its features are log-probabilities (..., V), which also serve as logits. It decodes an `EnsembleMemory`. Raises
    DecodingError if the sizes of the vocabularies differ.
    """

    def __init__(self, members: Sequence[Decoder[Any]]) -> None:
        super().__init__()
        sizes = {member.vocabulary_size for member in members}
        if len(sizes) != 1:
            raise DecodingError(
                f"the models of an ensemble must share one target vocabulary, but the sizes are {sorted(sizes)}",
                fix="choose models that were trained with the same tokenizer",
            )
        self.members = nn.ModuleList(members)
        self.vocabulary_size = sizes.pop()
        self.has_attention = any(member.has_attention for member in members)

    def init_state(self, memory: Memory) -> EnsembleState:
        """Return the state of each member before the first token."""
        return EnsembleState(tuple(member.init_state(part) for member, part in self._pair(memory)))

    def advance(
        self, tokens: Tensor, state: EnsembleState, *, with_attention: bool = False
    ) -> StepFeatures[EnsembleState]:
        """Feed tokens (N,) to every member."""
        steps = [
            member.step(tokens, part, with_attention=with_attention)
            for member, part in zip(self._decoders(), state.members, strict=True)
        ]
        features = _mean_probability([step.logits for step in steps])
        return StepFeatures(
            features, EnsembleState(tuple(step.state for step in steps)), _mean([step.attention for step in steps])
        )

    def readout(self, features: Tensor) -> Tensor:
        """Return the features: they are the logits."""
        return features

    def forward(self, tokens: Tensor, memory: Memory, *, with_attention: bool = False) -> DecoderOutput:
        """Return the log-probabilities (B, T, V) of tokens (B, T) under teacher forcing."""
        logits: list[Tensor] = []
        attention: list[Tensor | None] = []
        for member, part in self._pair(memory):
            output = member.forward(tokens, part, with_attention=with_attention)
            logits.append(member.readout(output.features))
            attention.append(output.attention)
        return DecoderOutput(_mean_probability(logits), _mean(attention))

    def _decoders(self) -> list[Decoder[Any]]:
        return [member for member in self.members if isinstance(member, Decoder)]

    def _pair(self, memory: Memory) -> list[tuple[Decoder[Any], Memory]]:
        if not isinstance(memory, EnsembleMemory):
            raise TypeError(f"an ensemble needs an EnsembleMemory, not a {type(memory).__name__}")
        return list(zip(self._decoders(), memory.members, strict=True))


def ensemble(models: Sequence[Seq2Seq]) -> Seq2Seq:
    """Combine models into one. Raises DecodingError if the sizes of their target vocabularies differ."""
    return Seq2Seq(EnsembleEncoder([model.encoder for model in models]), Ensemble([model.decoder for model in models]))


def _mean_probability(logits: Sequence[Tensor]) -> Tensor:
    precise = [member.to(torch.promote_types(member.dtype, torch.float32)).log_softmax(-1) for member in logits]
    return torch.stack(precise).logsumexp(0) - math.log(len(precise))


def _mean(attention: Sequence[Tensor | None]) -> Tensor | None:
    """Return the mean attention of the members that have any."""
    present = [weights for weights in attention if weights is not None]
    return torch.stack(present).mean(0) if present else None
