"""A tiny architecture that obeys all laws; its parts are overridden to break one at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
from pydantic import Field
from torch import Tensor

from regard.config.schema import ModelConfig
from regard.contract import DecoderOutput, Encoder, Memory, Seq2Seq, State, StepFeatures, VocabularySizes
from regard.models import Architecture
from regard.nn.attention import Annotations, DotScore
from regard.nn.dropout import Dropout
from regard.nn.embedding import token_embedding
from regard.nn.modules import Linear
from regard.nn.output_layer import OutputLayerDecoder


class Config(ModelConfig):
    """Settings."""

    architecture: Literal["tiny"] = Field("tiny", description="The name of this architecture.")
    hidden_size: int = Field(8, description="Units of every layer.")
    dropout: float = Field(0.0, description="Dropout on embeddings.")


class TinyEncoder(Encoder):
    """Embeds each token."""

    def __init__(self, config: Config, vocabulary_size: int) -> None:
        super().__init__()
        self.embedding = token_embedding(vocabulary_size, config.hidden_size)
        self.dropout = Dropout(config.dropout)

    def forward(self, tokens: Tensor, mask: Tensor) -> Memory:
        embedded = self.dropout(self.embedding(tokens))  # (B, S, D)
        return Memory(embedded, embedded, mask, (self.final(embedded, mask),))

    def final(self, embedded: Tensor, mask: Tensor) -> Tensor:
        """Return the mean over real positions (B, D)."""
        return (embedded * mask[:, :, None]).sum(1) / mask.sum(1, keepdim=True)


@dataclass(frozen=True)
class TinyState(State):
    """The source, and the hidden state (N, D)."""

    source: Annotations
    hidden: Tensor


class TinyDecoder(OutputLayerDecoder[Any]):
    """A recurrent layer that attends to the source."""

    def __init__(self, config: Config, vocabulary_size: int) -> None:
        super().__init__()
        size = config.hidden_size
        self.vocabulary_size = vocabulary_size
        self.embedding = token_embedding(vocabulary_size, size)
        self.dropout = Dropout(config.dropout)
        self.score = DotScore(size**-0.5)
        self.recurrent = Linear(3 * size, size)
        self.output = Linear(2 * size, vocabulary_size)

    def init_state(self, memory: Memory) -> Any:
        return TinyState(Annotations.of(memory, self.score), memory.final[0])

    def advance(self, tokens: Tensor, state: Any, *, with_attention: bool = False) -> StepFeatures[Any]:
        embedded = self.dropout(self.embedding(tokens))
        context, weights = state.source.attend(state.hidden, self.score)
        hidden = torch.tanh(self.recurrent(torch.cat((embedded, context, state.hidden), 1)))
        features = torch.cat((hidden, context), 1)  # (N, 2D)
        return StepFeatures(features, TinyState(state.source, hidden), weights if with_attention else None)

    def forward(self, tokens: Tensor, memory: Memory, *, with_attention: bool = False) -> DecoderOutput:
        return TinyDecoder.unroll(self, tokens, memory, with_attention)

    def unroll(self, tokens: Tensor, memory: Memory, with_attention: bool) -> DecoderOutput:
        """Decode step by step with the steps of this class, whatever a subclass overrides."""
        state = TinyDecoder.init_state(self, memory)
        steps: list[StepFeatures[Any]] = []
        for column in tokens.unbind(1):
            steps.append(TinyDecoder.advance(self, column, state, with_attention=True))
            state = steps[-1].state
        attention = [step.attention for step in steps if step.attention is not None]
        features = torch.stack([step.features for step in steps], 1)
        return DecoderOutput(features, torch.stack(attention, 1) if with_attention else None)


def architecture(encoder: type[TinyEncoder] = TinyEncoder, decoder: type[TinyDecoder] = TinyDecoder) -> Architecture:
    """Return the architecture, or one with other parts."""

    def build(config: Config, sizes: VocabularySizes) -> Seq2Seq:
        return Seq2Seq(encoder(config, sizes.source), decoder(config, sizes.target))

    return Architecture(Config, build, {"small": Config}, "none")
