"""Deep LSTMs: Sutskever, Vinyals and Le 2014, "Sequence to Sequence Learning with Neural Networks"
(arXiv 1409.3215).

Encoder (sections 2 and 3.3):  an LSTM of several layers over the source's words in reverse order
Start (section 2):             the decoder's layers start from the encoder's last (h, c), layer by layer
Output (section 3.4):          logits = W h of the top layer, and a bias

There is no attention: the decoder sees nothing of a source but those states, 8,000 numbers in the paper's system.

The words are reversed, their end marker is not: as in the paper's figure 1, it is read last, just before the target is
written. The decoder is then fed BOS, where the figure continues from the marker.

The cell is torch.nn.LSTM's, with two biases per gate; the paper's is that of Graves (2013), which also has peepholes.
Dropout on the input of each layer and on the top layer's output is an addition; it is off in the paper's preset.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from regard.config.schema import MAX_LAYERS, MAX_WIDTH, ModelConfig
from regard.contract import DecoderOutput, Encoder, Memory, Seq2Seq, State, StepFeatures, VocabularySizes
from regard.nn.dropout import Dropout
from regard.nn.embedding import token_embedding, zero_padding
from regard.nn.lstm import LSTMStack, LSTMState, init_uniform_, reverse_sequences
from regard.nn.modules import Linear
from regard.nn.output_layer import OutputLayerDecoder


class Config(ModelConfig):
    """Settings; the defaults are the paper's (section 3.4)."""

    architecture: Literal["sutskever2014"] = Field("sutskever2014", description="The name of this architecture.")
    num_layers: int = Field(4, ge=1, le=MAX_LAYERS, description="LSTM layers of the encoder, and of the decoder.")
    hidden_size: int = Field(1000, ge=1, le=MAX_WIDTH, description="Units of each LSTM layer.")
    embedding_size: int = Field(1000, ge=1, le=MAX_WIDTH, description="Size of word embeddings.")
    init_bound: float = Field(0.08, gt=0, description="Initial weights are uniform between minus and plus this bound.")
    dropout: float = Field(
        0.0, ge=0, lt=1, description="Dropout on the input of each LSTM layer and on the top layer's output."
    )


def paper() -> Config:
    """The paper's settings: 384 M parameters with its vocabularies, 64 M of them recurrent."""
    return Config()


def small() -> Config:
    """For about ten thousand pairs and a CPU. Narrow layers need larger initial weights."""
    return Config(num_layers=2, hidden_size=320, embedding_size=256, init_bound=0.2, dropout=0.2)


def tiny() -> Config:
    """For thousands of pairs and a CPU. A training step costs about as much as with modern's tiny preset."""
    return Config(num_layers=2, hidden_size=224, embedding_size=128, init_bound=0.2, dropout=0.2)


def base() -> Config:
    """About as many parameters as modern's base preset, for millions of pairs and a GPU."""
    return Config(num_layers=4, hidden_size=640, embedding_size=512, dropout=0.2)


PRESETS = {"paper": paper, "base": base, "small": small, "tiny": tiny}


class ReversedEncoder(Encoder):
    """Reads the source's words from last to first, and then its end marker."""

    def __init__(self, config: Config, vocabulary_size: int) -> None:
        super().__init__()
        self.embedding = token_embedding(vocabulary_size, config.embedding_size)
        self.dropout = Dropout(config.dropout)
        self.stack = LSTMStack(config.embedding_size, config.hidden_size, config.num_layers, config.dropout)

    def forward(self, tokens: Tensor, mask: Tensor) -> Memory:
        """Encode (B, S), each ending with EOS, as the top layer's outputs (B, S, D) in the order of reading.

        The decoder does not read them. `final` is h and c of the first layer, of the second, and so on.
        """
        words = F.pad(mask[:, 1:], (0, 1))  # (B, S) real, and not the end marker
        outputs, states = self.stack(self.dropout(self.embedding(reverse_sequences(tokens, words))), mask=mask)
        return Memory(keys=outputs, values=outputs, mask=mask, final=tuple(part for state in states for part in state))


@dataclass(frozen=True)
class StackState(State):
    """(h, c) of each layer, each (N, D)."""

    layers: tuple[LSTMState, ...]


class StackDecoder(OutputLayerDecoder[StackState]):
    """Continues from the encoder's last states."""

    has_attention = False

    def __init__(self, config: Config, vocabulary_size: int) -> None:
        super().__init__()
        self.vocabulary_size = vocabulary_size
        self.embedding = token_embedding(vocabulary_size, config.embedding_size)
        self.dropout = Dropout(config.dropout)
        self.stack = LSTMStack(config.embedding_size, config.hidden_size, config.num_layers, config.dropout)
        self.output = Linear(config.hidden_size, vocabulary_size)  # W

    def init_state(self, memory: Memory) -> StackState:
        """Return the encoder's last states."""
        return StackState(tuple(zip(memory.final[::2], memory.final[1::2], strict=True)))

    def _run(self, tokens: Tensor, state: StackState) -> tuple[Tensor, StackState]:
        outputs, layers = self.stack(self.dropout(self.embedding(tokens)), states=state.layers)
        return self.dropout(outputs), StackState(layers)

    def advance(self, tokens: Tensor, state: StackState, *, with_attention: bool = False) -> StepFeatures[StackState]:
        """Feed one word (N,). There is no attention."""
        features, next_state = self._run(tokens.unsqueeze(1), state)
        return StepFeatures(features.squeeze(1), next_state)

    def forward(self, tokens: Tensor, memory: Memory, *, with_attention: bool = False) -> DecoderOutput:
        """Decode all positions in one run of each layer: (B, T) to features (B, T, D)."""
        features, _ = self._run(tokens, self.init_state(memory))
        return DecoderOutput(features)


def build(config: Config, vocabulary_sizes: VocabularySizes) -> Seq2Seq:
    """Return a model with new weights, all uniform (section 3.4)."""
    encoder = ReversedEncoder(config, vocabulary_sizes.source)
    decoder = StackDecoder(config, vocabulary_sizes.target)
    model = Seq2Seq(encoder, decoder)
    init_uniform_(model, config.init_bound)
    zero_padding(model)
    return model
