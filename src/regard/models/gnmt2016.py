"""GNMT: Wu et al. 2016, "Google's Neural Machine Translation System: Bridging the Gap between Human and
Machine Translation" (arXiv 1609.08144).

Encoder (figures 1 and 3):  the bottom layer reads in both directions, x^1 = [forward ; backward], the others forward
Attention (equation 4):     a_i = sum_t softmax_t(v^T tanh(W y_{i-1} + U x_t)) x_t, with x_t the encoder's top layer
                            and y_{i-1} the output of the decoder's bottom layer at the step before
Decoder (figure 1):         every layer reads the output of the layer below, the bottom one the word, and a_i
Residuals (equation 6):     from the third layer up, in encoder and decoder, x^l = LSTM(x^{l-1}) + x^{l-1}
Output (equation 13):       logits = W_s y_i, with y_i the output of the top layer

a_i depends on the bottom layer only: in training that layer runs step by step, and each layer above it over all
positions at once.

The decoder starts from zeros, and so does y_0: the paper names no other use of the encoder's output than attention.

Deviations: the cell is torch.nn.LSTM's, with biases and with tanh(c) in its output, where equation 11 has neither.
Quantized inference (section 6) is left out: limits on cell states, on the outputs of layers and on logits. Source and
target have separate embeddings even if they share a vocabulary: the paper shares wordpieces and does not mention
tables. Dropout (section 8.3, after Zaremba et al.) acts on the input of each LSTM layer, next to the residual
connection, and on y_i. `copy_attention` (regard.nn.copying) is an addition; its gate reads y_i.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from regard.config.schema import COPY_ATTENTION, MAX_LAYERS, MAX_WIDTH, ModelConfig
from regard.contract import DecoderOutput, Encoder, Memory, Seq2Seq, State, StepFeatures, VocabularySizes
from regard.nn.attention import AdditiveScore, Annotations
from regard.nn.copying import CopyingDecoder
from regard.nn.dropout import Dropout
from regard.nn.embedding import token_embedding, zero_padding
from regard.nn.lstm import LSTMCellStep, LSTMState, init_uniform_, reverse_sequences, run_lstm
from regard.nn.modules import Linear, ModuleList

FIRST_RESIDUAL_LAYER = 2  # the third layer, counted from 0


class Config(ModelConfig):
    """Settings; the defaults are the paper's (figure 1 and section 8.3)."""

    architecture: Literal["gnmt2016"] = Field("gnmt2016", description="The name of this architecture.")
    encoder_layers: int = Field(
        8, ge=1, le=MAX_LAYERS, description="LSTM layers of the encoder; the bidirectional bottom layer counts as one."
    )
    decoder_layers: int = Field(8, ge=1, le=MAX_LAYERS, description="LSTM layers of the decoder.")
    hidden_size: int = Field(
        1024, ge=1, le=MAX_WIDTH, description="Units of each LSTM layer, in the bottom encoder layer per direction."
    )
    embedding_size: int = Field(1024, ge=1, le=MAX_WIDTH, description="Size of word embeddings.")
    attention_size: int = Field(1024, ge=1, le=MAX_WIDTH, description="Hidden units of attention.")
    init_bound: float = Field(0.04, gt=0, description="Initial weights are uniform between minus and plus this bound.")
    dropout: float = Field(
        0.2, ge=0, lt=1, description="Dropout on the input of each LSTM layer and on the top layer's output."
    )
    copy_attention: bool = COPY_ATTENTION


def paper() -> Config:
    """The paper's settings; its dropout is 0.2 or 0.3."""
    return Config()


def small() -> Config:
    """For about ten thousand pairs and a CPU. The third layer is residual; narrow layers need larger weights."""
    return Config(
        encoder_layers=3, decoder_layers=3, hidden_size=256, embedding_size=192, attention_size=192, init_bound=0.2
    )


def tiny() -> Config:
    """For thousands of pairs and a CPU. A training step costs about as much as with modern's tiny preset."""
    return Config(
        encoder_layers=2, decoder_layers=2, hidden_size=160, embedding_size=128, attention_size=128, init_bound=0.2
    )


def base() -> Config:
    """About as many parameters as modern's base preset, for millions of pairs and a GPU."""
    return Config(
        encoder_layers=4, decoder_layers=4, hidden_size=512, embedding_size=512, attention_size=512, init_bound=0.08
    )


PRESETS = {"paper": paper, "base": base, "small": small, "tiny": tiny}


class GnmtEncoder(Encoder):
    """A bidirectional bottom layer, and forward layers with residual connections above it."""

    def __init__(self, config: Config, vocabulary_size: int) -> None:
        super().__init__()
        size = config.hidden_size
        self.embedding = token_embedding(vocabulary_size, config.embedding_size)
        self.dropout = Dropout(config.dropout)
        self.bottom_forward = nn.LSTM(config.embedding_size, size, batch_first=True)
        self.bottom_backward = nn.LSTM(config.embedding_size, size, batch_first=True)
        self.layers: ModuleList[nn.LSTM] = ModuleList(
            nn.LSTM(size if layer > 1 else 2 * size, size, batch_first=True)
            for layer in range(1, config.encoder_layers)
        )

    def forward(self, tokens: Tensor, mask: Tensor) -> Memory:
        """Encode (B, S) as the top layer's outputs (B, S, D).

        Padding comes last in both orders of reading, and no real position reads it.
        """
        embedded = self.dropout(self.embedding(tokens))
        forward, _ = run_lstm(self.bottom_forward, embedded)  # (B, S, D)
        backward, _ = run_lstm(self.bottom_backward, reverse_sequences(embedded, mask))  # (B, S, D)
        x = torch.cat((forward, reverse_sequences(backward, mask)), dim=-1)  # (B, S, 2 D)
        for index, layer in enumerate(self.layers, 1):
            output, _ = run_lstm(layer, self.dropout(x))
            x = output + x if index >= FIRST_RESIDUAL_LAYER else output  # (B, S, D)
        return Memory(keys=x, values=x, mask=mask, tokens=tokens)


@dataclass(frozen=True)
class GnmtState(State):
    """(h, c) of each layer, the bottom one's h being y_{i-1}, and the source."""

    layers: tuple[LSTMState, ...]
    source: Annotations


class GnmtDecoder(CopyingDecoder[GnmtState]):
    """The bottom layer attends to the source; every layer reads the context."""

    def __init__(self, config: Config, vocabulary_size: int) -> None:
        super().__init__()
        self.vocabulary_size = vocabulary_size
        size = config.hidden_size
        context_size = size if config.encoder_layers > 1 else 2 * size
        self.embedding = token_embedding(vocabulary_size, config.embedding_size)
        self.dropout = Dropout(config.dropout)
        self.score = AdditiveScore(size, context_size, config.attention_size)  # W, U, v
        self.bottom = nn.LSTM(config.embedding_size + context_size, size, batch_first=True)
        self.layers: ModuleList[nn.LSTM] = ModuleList(
            nn.LSTM(size + context_size, size, batch_first=True) for _ in range(1, config.decoder_layers)
        )
        self.output = Linear(size, vocabulary_size, bias=False)  # W_s
        if config.copy_attention:
            self.enable_copying(size, context_size, state_size=size, word_size=config.embedding_size)

    def init_state(self, memory: Memory) -> GnmtState:
        """Return zeros."""
        zeros = memory.values.new_zeros(memory.values.size(0), self.bottom.hidden_size)
        source = Annotations.of(memory, self.score, copies=self.copy_gate is not None)
        return GnmtState(((zeros, zeros),) * (len(self.layers) + 1), source)

    def _run_upper_layers(
        self, x: Tensor, contexts: Tensor, states: tuple[LSTMState, ...]
    ) -> tuple[Tensor, tuple[LSTMState, ...]]:
        """Map the bottom layer's outputs (N, T, D) and a_i (N, T, D) to y_i (N, T, D), and return the last states."""
        last_states: list[LSTMState] = []
        for index, (layer, state) in enumerate(zip(self.layers, states, strict=True), 1):
            output, last = run_lstm(layer, self.dropout(torch.cat((x, contexts), dim=-1)), state=state)
            x = output + x if index >= FIRST_RESIDUAL_LAYER else output
            last_states.append(last)
        return self.dropout(x), tuple(last_states)

    def advance(self, tokens: Tensor, state: GnmtState, *, with_attention: bool = False) -> StepFeatures[GnmtState]:
        """Feed one word (N,). Attention is computed from the bottom layer's output before it."""
        context, weights = state.source.attend(state.layers[0][0], self.score)  # a_i (N, D), (N, S)
        word = self.embedding(tokens)  # (N, embedding)
        x = self.dropout(torch.cat((word, context), dim=-1)).unsqueeze(1)
        x, bottom = run_lstm(self.bottom, x, state=state.layers[0])
        x, upper = self._run_upper_layers(x, context.unsqueeze(1), state.layers[1:])
        x = x.squeeze(1)  # y_i (N, D)
        features = self.with_copying(x, weights, x, word, state.source.copied)
        next_state = GnmtState((bottom, *upper), state.source)
        return StepFeatures(features, next_state, weights if with_attention else None)

    def forward(self, tokens: Tensor, memory: Memory, *, with_attention: bool = False) -> DecoderOutput:
        """Run the bottom layer step by step, and its products with words and the other layers for all steps at once."""
        state = self.init_state(memory)
        words = self.dropout(self.embedding(tokens))  # (B, T, embedding)
        step = LSTMCellStep(self.bottom, words.size(-1))
        bottom = state.layers[0]
        outputs: list[Tensor] = []
        contexts: list[Tensor] = []
        attention: list[Tensor] = []
        for word_gates in step.project_known(words).unbind(1):
            context, weights = state.source.attend(bottom[0], self.score)
            bottom = step(word_gates, self.dropout(context), bottom)
            outputs.append(bottom[0])
            contexts.append(context)
            attention.append(weights)
        x, _ = self._run_upper_layers(torch.stack(outputs, 1), torch.stack(contexts, 1), state.layers[1:])
        attended = torch.stack(attention, 1)  # (B, T, S)
        features = self.with_copying(x, attended, x, words, state.source.copied)
        return DecoderOutput(features, attended if with_attention else None)


def build(config: Config, vocabulary_sizes: VocabularySizes) -> Seq2Seq:
    """Return a model with new weights, all uniform (section 8.3)."""
    encoder = GnmtEncoder(config, vocabulary_sizes.source)
    decoder = GnmtDecoder(config, vocabulary_sizes.target)
    model = Seq2Seq(encoder, decoder)
    init_uniform_(model, config.init_bound)
    zero_padding(model)
    return model
