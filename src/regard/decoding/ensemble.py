"""Several models that decode as one: their probabilities are averaged at every step."""

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
    """Each member's memory of the same source; to others it looks like the first one's."""

    members: tuple[Memory, ...] = ()

    @classmethod
    def of(cls, members: Sequence[Memory]) -> Self:
        """Of as many memories as there are decoders, in their order."""
        first = members[0]
        return cls(first.keys, first.values, first.mask, first.final, tuple(members))


@dataclass(frozen=True)
class EnsembleState(State):
    """Each member's state."""

    members: tuple[State, ...]


class EnsembleEncoder(Encoder):
    """Reads a source with every member's encoder."""

    def __init__(self, members: Sequence[Encoder]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)

    def forward(self, tokens: Tensor, mask: Tensor) -> EnsembleMemory:
        """Source tokens (B, S) and their mask (B, S) to one memory a member."""
        return EnsembleMemory.of([member(tokens, mask) for member in self.members])


class Ensemble(Decoder[EnsembleState]):
    """Averages the probabilities of decoders over one vocabulary, and their attention.

    Its features are the log-probabilities themselves (..., V), which are logits as well as any. It
    decodes an EnsembleMemory. Raises DecodingError where the vocabularies' sizes differ.
    """

    def __init__(self, members: Sequence[Decoder[Any]]) -> None:
        super().__init__()
        sizes = {member.vocabulary_size for member in members}
        if len(sizes) != 1:
            raise DecodingError(
                f"an ensemble's members must share one target vocabulary; theirs have the sizes {sorted(sizes)}",
                fix="choose models that were trained with the same tokenizer",
            )
        self.members = nn.ModuleList(members)
        self.vocabulary_size = sizes.pop()
        self.has_attention = any(member.has_attention for member in members)

    def init_state(self, memory: Memory) -> EnsembleState:
        """Each member's state before the first token."""
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
        """The features as they are."""
        return features

    def forward(self, tokens: Tensor, memory: Memory, *, with_attention: bool = False) -> DecoderOutput:
        """Teacher forcing in every member: tokens (B, T) to log-probabilities (B, T, V)."""
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
            raise TypeError("an ensemble decodes an EnsembleMemory")
        return list(zip(self._decoders(), memory.members, strict=True))


def ensemble(models: Sequence[Seq2Seq]) -> Seq2Seq:
    """One model of several with the same vocabularies. Raises DecodingError where they differ in size."""
    return Seq2Seq(EnsembleEncoder([model.encoder for model in models]), Ensemble([model.decoder for model in models]))


def _mean_probability(logits: Sequence[Tensor]) -> Tensor:
    precise = [one.to(torch.promote_types(one.dtype, torch.float32)).log_softmax(-1) for one in logits]
    return torch.stack(precise).logsumexp(0) - math.log(len(precise))


def _mean(attention: Sequence[Tensor | None]) -> Tensor | None:
    """Over the members that have any."""
    some = [weights for weights in attention if weights is not None]
    return torch.stack(some).mean(0) if some else None
