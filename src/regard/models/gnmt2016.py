"""GNMT: Wu et al. 2016, "Google's Neural Machine Translation System: Bridging the Gap between Human and
Machine Translation" (arXiv 1609.08144).

Encoder (figures 1 and 3):  the bottom layer reads in both directions, x^1 = [forward ; backward], the others forward
Attention (equation 4):     a_i = sum_t softmax_t(v^T tanh(W y_{i-1} + U x_t)) x_t, with x_t the encoder's top layer
                            and y_{i-1} the output of the decoder's bottom layer at the step before
Decoder (figure 1):         every layer reads what the one below it gives, the bottom one the word, and a_i beside it
Residuals (equation 6):     from the third layer up, in encoder and decoder, x^l = LSTM(x^{l-1}) + x^{l-1}
Output (equation 13):       logits = W_s y_i, y_i being what the top layer gives

a_i waits for the bottom layer alone: in training that layer goes step by step, and each of the layers
above it over all positions at once.

The decoder starts from zeros, and so does y_0: of what the encoder leaves behind, the paper names only
what attention reads.

Deviations: the cell is torch.nn.LSTM's, with biases and tanh(c) on its way out, where equation 11 has
neither. Left out is what the paper adds for quantised inference (section 6): limits on cell states,
on layers' outputs and on logits. Source and target each have a table of embeddings, also where they
share a vocabulary: the paper shares wordpieces and does not speak of tables. Dropout (section 8.3,
after Zaremba et al.) acts on what goes into each LSTM layer, beside the residual connection, and on y_i.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from regard.config.schema import MAX_LAYERS, MAX_WIDTH, ModelConfig
from regard.contract import (
    Decoder,
    DecoderOutput,
    Encoder,
    Memory,
    PerSource,
    Readout,
    Seq2Seq,
    State,
    StepFeatures,
    VocabularySizes,
)
from regard.nn.attention import AdditiveScore, masked_softmax
from regard.nn.dropout import Dropout
from regard.nn.lstm import LSTMState, reverse, run, uniform_
from regard.nn.lstm_steps import LSTMCellStep
from regard.nn.output_layer import select_outputs
from regard.special_tokens import PAD

RESIDUAL_FROM = 2  # the third layer, counted from 0


class Config(ModelConfig):
    """Sizes; the defaults are the paper's (figure 1 and section 8.3)."""

    architecture: Literal["gnmt2016"] = "gnmt2016"
    encoder_layers: int = Field(8, ge=1, le=MAX_LAYERS)  # the bottom one counted once
    decoder_layers: int = Field(8, ge=1, le=MAX_LAYERS)
    hidden: int = Field(1024, ge=1, le=MAX_WIDTH)  # of either direction of the bottom layer, and of every other
    embedding: int = Field(1024, ge=1, le=MAX_WIDTH)
    alignment: int = Field(1024, ge=1, le=MAX_WIDTH)  # hidden units of attention
    weight_bound: float = Field(0.04, gt=0)  # initial weights are uniform in [-bound, bound]
    dropout: float = Field(0.2, ge=0, lt=1)


def paper() -> Config:
    """The paper's constants; its dropout is 0.2 or 0.3."""
    return Config()


def small() -> Config:
    """For some ten thousand pairs and a CPU: of three layers the third is residual; narrow ones need larger weights."""
    return Config(encoder_layers=3, decoder_layers=3, hidden=256, embedding=192, alignment=192, weight_bound=0.2)


def tiny() -> Config:
    """For thousands of pairs and a CPU; a training step costs about as much as with modern's tiny preset."""
    return Config(encoder_layers=2, decoder_layers=2, hidden=160, embedding=128, alignment=128, weight_bound=0.2)


def base() -> Config:
    """About as many parameters as modern's base preset, for millions of pairs and a GPU."""
    return Config(encoder_layers=4, decoder_layers=4, hidden=512, embedding=512, alignment=512, weight_bound=0.08)


PRESETS = {"paper": paper, "base": base, "small": small, "tiny": tiny}


class GnmtEncoder(Encoder):
    """Both directions at the bottom, then upward with residual connections."""

    def __init__(self, config: Config, vocabulary: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, config.embedding, padding_idx=PAD)
        self.dropout = Dropout(config.dropout)
        self.bottom_forward = nn.LSTM(config.embedding, config.hidden, batch_first=True)
        self.bottom_backward = nn.LSTM(config.embedding, config.hidden, batch_first=True)
        self.layers = nn.ModuleList(
            nn.LSTM(config.hidden if layer > 1 else 2 * config.hidden, config.hidden, batch_first=True)
            for layer in range(1, config.encoder_layers)
        )

    def forward(self, tokens: Tensor, mask: Tensor) -> Memory:
        """(B, S) to the top layer's outputs (B, S, hidden).

        Padding comes last in both orders of reading, and no real position reads it.
        """
        embedded = self.dropout(self.embedding(tokens))
        ahead, _ = run(self.bottom_forward, embedded)
        back, _ = run(self.bottom_backward, reverse(embedded, mask))
        x = torch.cat((ahead, reverse(back, mask)), dim=-1)
        for index, layer in enumerate(_lstms(self.layers), 1):
            above, _ = run(layer, self.dropout(x))
            x = above + x if index >= RESIDUAL_FROM else above
        return Memory(keys=x, values=x, mask=mask)


@dataclass(frozen=True)
class Annotations(PerSource):
    """The source as the decoder sees it: U x_t (B, S, alignment), x_t (B, S, D), mask (B, S)."""

    projected: Tensor
    values: Tensor
    mask: Tensor


@dataclass(frozen=True)
class GnmtState(State):
    """(h, c) of each layer, the bottom one's h being y_{i-1}, and the source."""

    layers: tuple[LSTMState, ...]
    source: Annotations


class GnmtDecoder(Decoder[GnmtState]):
    """Looks at the source from its bottom layer, and tells every layer what it saw."""

    def __init__(self, config: Config, vocabulary: int) -> None:
        super().__init__()
        self.vocabulary_size = vocabulary
        annotation = config.hidden if config.encoder_layers > 1 else 2 * config.hidden
        self.embedding = nn.Embedding(vocabulary, config.embedding, padding_idx=PAD)
        self.dropout = Dropout(config.dropout)
        self.score = AdditiveScore(config.hidden, annotation, config.alignment)  # W, U, v
        self.bottom = nn.LSTM(config.embedding + annotation, config.hidden, batch_first=True)
        self.layers = nn.ModuleList(
            nn.LSTM(config.hidden + annotation, config.hidden, batch_first=True)
            for _ in range(1, config.decoder_layers)
        )
        self.output = nn.Linear(config.hidden, vocabulary, bias=False)  # W_s

    def init_state(self, memory: Memory) -> GnmtState:
        """Zeros."""
        source = Annotations(self.score.project(memory.keys), memory.values, memory.mask)
        zeros = memory.values.new_zeros(memory.values.size(0), self.bottom.hidden_size)
        return GnmtState(((zeros, zeros),) * (len(self.layers) + 1), source)

    def _attend(self, before: Tensor, source: Annotations) -> tuple[Tensor, Tensor]:
        queries = before.unflatten(0, (len(source.mask), -1))  # (B, rows of a sentence, hidden)
        weights = masked_softmax(self.score(queries, source.projected), source.mask.unsqueeze(1))
        context = torch.bmm(weights, source.values)
        return weights.flatten(0, 1), context.flatten(0, 1)  # (N, S), a_i (N, D)

    def _upward(
        self, x: Tensor, contexts: Tensor, states: tuple[LSTMState, ...]
    ) -> tuple[Tensor, tuple[LSTMState, ...]]:
        """From what the bottom layer gives (N, T, hidden) and a_i (N, T, D) to y_i (N, T, hidden)."""
        after: list[LSTMState] = []
        for index, (layer, state) in enumerate(zip(_lstms(self.layers), states, strict=True), 1):
            above, state = run(layer, self.dropout(torch.cat((x, contexts), dim=-1)), state=state)
            x = above + x if index >= RESIDUAL_FROM else above
            after.append(state)
        return self.dropout(x), tuple(after)

    def advance(self, tokens: Tensor, state: GnmtState, *, with_attention: bool = False) -> StepFeatures[GnmtState]:
        """One word: attention is by the bottom layer's output before it."""
        weights, context = self._attend(state.layers[0][0], state.source)
        x = self.dropout(torch.cat((self.embedding(tokens), context), dim=-1)).unsqueeze(1)
        x, bottom = run(self.bottom, x, state=state.layers[0])
        x, others = self._upward(x, context.unsqueeze(1), state.layers[1:])
        after = GnmtState((bottom, *others), state.source)
        return StepFeatures(x.squeeze(1), after, weights if with_attention else None)

    def forward(self, tokens: Tensor, memory: Memory, *, with_attention: bool = False) -> DecoderOutput:
        """The bottom layer step by step, the products of its words and all the layers above it at once."""
        state = self.init_state(memory)
        words = self.dropout(self.embedding(tokens))  # (B, T, embedding)
        step = LSTMCellStep(self.bottom, words.size(-1))
        bottom = state.layers[0]
        outputs: list[Tensor] = []
        contexts: list[Tensor] = []
        attention: list[Tensor] = []
        for x in step.inputs(words).unbind(1):
            weights, context = self._attend(bottom[0], state.source)
            bottom = step(x, self.dropout(context), bottom)
            outputs.append(bottom[0])
            contexts.append(context)
            attention.append(weights)
        features, _ = self._upward(torch.stack(outputs, 1), torch.stack(contexts, 1), state.layers[1:])
        return DecoderOutput(features, torch.stack(attention, 1) if with_attention else None)

    def readout(self, features: Tensor) -> Tensor:
        """y_i (..., hidden) to logits (..., V)."""
        logits: Tensor = self.output(features)
        return logits

    def readout_subset(self, tokens: Tensor) -> Readout:
        """By the rows of W_s that are asked for."""
        return select_outputs(self.output, tokens)


def _lstms(layers: nn.ModuleList) -> list[nn.LSTM]:
    return [layer for layer in layers if isinstance(layer, nn.LSTM)]


def build(config: Config, vocabularies: VocabularySizes) -> Seq2Seq:
    """A model with fresh weights: all of them uniform (section 8.3)."""
    encoder = GnmtEncoder(config, vocabularies.source)
    decoder = GnmtDecoder(config, vocabularies.target)
    model = Seq2Seq(encoder, decoder)
    uniform_(model, config.weight_bound)
    for table in (encoder.embedding, decoder.embedding):
        with torch.no_grad():
            table.weight[PAD].zero_()
    return model
