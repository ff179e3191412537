"""Deep LSTMs: Sutskever, Vinyals and Le 2014, "Sequence to Sequence Learning with Neural Networks"
(arXiv 1409.3215).

Encoder (sections 2 and 3.3):  an LSTM of several layers over the source's words in reverse order
Start (section 2):             the decoder's layers start from the encoder's last (h, c), layer by layer
Output (section 3.4):          logits = W h of the top layer, and a bias

There is no attention: all that the decoder sees of a source is those states, 8,000 numbers in the
paper's system.

The words are reversed, their end marker is not: as in the paper's figure 1, it is read last, just
before the target is written. The decoder is then fed BOS, where the figure goes on from the marker.

The cell is torch.nn.LSTM's, with two biases a gate; the paper takes Graves' (2013), which also has
peepholes. Dropout, on what goes into each layer and on the top layer's output, is ours: off in the
paper's preset.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from regard.config.schema import MAX_LAYERS, MAX_WIDTH, ModelConfig
from regard.contract import (
    Decoder,
    DecoderOutput,
    Encoder,
    Memory,
    Readout,
    Seq2Seq,
    State,
    StepFeatures,
    VocabularySizes,
)
from regard.nn.dropout import Dropout
from regard.nn.lstm import LSTMStack, LSTMState, reverse, uniform_
from regard.nn.output_layer import select_outputs
from regard.special_tokens import PAD


class Config(ModelConfig):
    """Sizes; the defaults are the paper's (section 3.4)."""

    architecture: Literal["sutskever2014"] = "sutskever2014"
    layers: int = Field(4, ge=1, le=MAX_LAYERS)  # of the encoder, and of the decoder
    hidden: int = Field(1000, ge=1, le=MAX_WIDTH)
    embedding: int = Field(1000, ge=1, le=MAX_WIDTH)
    weight_bound: float = Field(0.08, gt=0)  # initial weights are uniform in [-bound, bound]
    dropout: float = Field(0.0, ge=0, lt=1)


def paper() -> Config:
    """The paper's constants: 384 M parameters with its vocabularies, 64 M of them recurrent."""
    return Config()


def small() -> Config:
    """For some ten thousand pairs and a CPU; starts from larger weights, as narrow layers need."""
    return Config(layers=2, hidden=320, embedding=256, weight_bound=0.2, dropout=0.2)


def tiny() -> Config:
    """For thousands of pairs and a CPU; a training step costs about as much as with modern's tiny preset."""
    return Config(layers=2, hidden=224, embedding=128, weight_bound=0.2, dropout=0.2)


def base() -> Config:
    """About as many parameters as modern's base preset, for millions of pairs and a GPU."""
    return Config(layers=4, hidden=640, embedding=512, dropout=0.2)


PRESETS = {"paper": paper, "base": base, "small": small, "tiny": tiny}


class ReversedEncoder(Encoder):
    """Reads the source's words from the last to the first, and then its end marker."""

    def __init__(self, config: Config, vocabulary: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, config.embedding, padding_idx=PAD)
        self.dropout = Dropout(config.dropout)
        self.stack = LSTMStack(config.embedding, config.hidden, config.layers, config.dropout)

    def forward(self, tokens: Tensor, mask: Tensor) -> Memory:
        """(B, S), each ending with EOS, to the top layer's outputs (B, S, hidden) in the order of reading.

        No decoder of this system reads them; final holds h and c of the first layer, of the second, and so on.
        """
        words = F.pad(mask[:, 1:], (0, 1))  # real and not the last
        outputs, states = self.stack(self.dropout(self.embedding(reverse(tokens, words))), mask=mask)
        return Memory(keys=outputs, values=outputs, mask=mask, final=tuple(part for state in states for part in state))


@dataclass(frozen=True)
class StackState(State):
    """h and c of each layer, each (N, hidden)."""

    layers: tuple[LSTMState, ...]


class StackDecoder(Decoder[StackState]):
    """Goes on from where the encoder's layers ended."""

    has_attention = False

    def __init__(self, config: Config, vocabulary: int) -> None:
        super().__init__()
        self.vocabulary_size = vocabulary
        self.embedding = nn.Embedding(vocabulary, config.embedding, padding_idx=PAD)
        self.dropout = Dropout(config.dropout)
        self.stack = LSTMStack(config.embedding, config.hidden, config.layers, config.dropout)
        self.output = nn.Linear(config.hidden, vocabulary)

    def init_state(self, memory: Memory) -> StackState:
        """The encoder's last states."""
        return StackState(tuple(zip(memory.final[::2], memory.final[1::2], strict=True)))

    def _run(self, tokens: Tensor, state: StackState) -> tuple[Tensor, StackState]:
        outputs, layers = self.stack(self.dropout(self.embedding(tokens)), states=state.layers)
        return self.dropout(outputs), StackState(layers)

    def advance(self, tokens: Tensor, state: StackState, *, with_attention: bool = False) -> StepFeatures[StackState]:
        """One word; there is no attention to give."""
        features, after = self._run(tokens.unsqueeze(1), state)
        return StepFeatures(features.squeeze(1), after)

    def forward(self, tokens: Tensor, memory: Memory, *, with_attention: bool = False) -> DecoderOutput:
        """All positions in one run of each layer: (B, T) to features (B, T, hidden)."""
        features, _ = self._run(tokens, self.init_state(memory))
        return DecoderOutput(features)

    def readout(self, features: Tensor) -> Tensor:
        """(..., hidden) to logits (..., V)."""
        logits: Tensor = self.output(features)
        return logits

    def readout_subset(self, tokens: Tensor) -> Readout:
        """By the rows of W that are asked for."""
        return select_outputs(self.output, tokens)


def build(config: Config, vocabularies: VocabularySizes) -> Seq2Seq:
    """A model with fresh weights, all uniform as section 3.4 has them."""
    encoder = ReversedEncoder(config, vocabularies.source)
    decoder = StackDecoder(config, vocabularies.target)
    model = Seq2Seq(encoder, decoder)
    uniform_(model, config.weight_bound)
    with torch.no_grad():
        for table in (encoder.embedding, decoder.embedding):
            table.weight[PAD].zero_()
    return model
