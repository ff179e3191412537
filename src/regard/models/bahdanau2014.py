"""RNNsearch: Bahdanau, Cho and Bengio 2014, "Neural Machine Translation by Jointly Learning to Align and
Translate" (arXiv 1409.0473), as its appendix A writes it.

Encoder (A.2.1):    h_j = [forward_j ; backward_j], gated units in both directions.
Start (A.2.2):      s_0 = tanh(W_s backward_1)
Alignment (A.1.2):  e_ij = v^T tanh(W_a s_{i-1} + U_a h_j),  a_ij = softmax_j e_ij,  c_i = sum_j a_ij h_j
State (A.2.2):      a gated unit over y_{i-1}, s_{i-1} and c_i gives s_i
Output (A.2.2):     t~_i = U_o s_{i-1} + V_o E y_{i-1} + C_o c_i;  t_i = maxout over pairs of t~_i;  logits = W_o t_i

The paper leaves biases out of its equations "to increase readability"; here each sum has one.
Dropout, on embeddings and on t_i, is ours: off in the paper's preset.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from regard.config.schema import MAX_WIDTH, ModelConfig
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
from regard.nn.output_layer import select_outputs
from regard.nn.recurrent import GatedUnit, orthogonal_, scan
from regard.special_tokens import PAD


class Config(ModelConfig):
    """Sizes; the defaults are the paper's (appendix A.2.3 and B.1)."""

    architecture: Literal["bahdanau2014"] = "bahdanau2014"
    hidden: int = Field(1000, ge=1, le=MAX_WIDTH)  # n, of either direction and of the decoder
    embedding: int = Field(620, ge=1, le=MAX_WIDTH)  # m
    alignment: int = Field(1000, ge=1, le=MAX_WIDTH)  # n', the alignment model's hidden units
    maxout: int = Field(500, ge=1, le=MAX_WIDTH)  # l, each over two units
    weight_deviation: float = Field(0.01, gt=0)  # of the initial weights that are not recurrent
    dropout: float = Field(0.0, ge=0, lt=1)


def paper() -> Config:
    """RNNsearch-50: the paper's constants."""
    return Config()


def small() -> Config:
    """For some ten thousand pairs and a CPU; starts from larger weights, as narrow layers need."""
    return Config(hidden=256, embedding=192, alignment=192, maxout=192, weight_deviation=0.06, dropout=0.2)


def tiny() -> Config:
    """For thousands of pairs and a CPU; a training step costs about as much as with modern's tiny preset."""
    return Config(hidden=192, embedding=128, alignment=128, maxout=128, weight_deviation=0.06, dropout=0.2)


def base() -> Config:
    """About as many parameters as modern's base preset, for millions of pairs and a GPU."""
    return Config(hidden=1024, embedding=512, alignment=512, maxout=512, dropout=0.2)


PRESETS = {"paper": paper, "base": base, "small": small, "tiny": tiny}


class RNNsearchEncoder(Encoder):
    """Annotations that know the words before and behind them."""

    def __init__(self, config: Config, vocabulary: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, config.embedding, padding_idx=PAD)
        self.dropout = Dropout(config.dropout)
        self.forward_input = nn.Linear(config.embedding, 3 * config.hidden)
        self.backward_input = nn.Linear(config.embedding, 3 * config.hidden)
        self.forward_unit = GatedUnit(config.hidden)
        self.backward_unit = GatedUnit(config.hidden)

    def forward(self, tokens: Tensor, mask: Tensor) -> Memory:
        """(B, S) to annotations (B, S, 2 x hidden); final holds the backward state at the first word."""
        embedded = self.dropout(self.embedding(tokens))
        ahead = scan(self.forward_unit, self.forward_input(embedded), mask)
        back = scan(self.backward_unit, self.backward_input(embedded), mask, backward=True)
        annotations = torch.cat((ahead, back), dim=-1)
        return Memory(keys=annotations, values=annotations, mask=mask, final=(back[:, 0],))


@dataclass(frozen=True)
class Annotations(PerSource):
    """The source as the decoder sees it: U_a h_j (B, S, alignment), h_j (B, S, 2 x hidden), mask (B, S)."""

    projected: Tensor
    values: Tensor
    mask: Tensor


@dataclass(frozen=True)
class RNNsearchState(State):
    """s_{i-1} (N, hidden), and the source."""

    hidden: Tensor
    source: Annotations


class RNNsearchDecoder(Decoder[RNNsearchState]):
    """Searches the source before each word."""

    def __init__(self, config: Config, vocabulary: int) -> None:
        super().__init__()
        self.vocabulary_size = vocabulary
        annotation = 2 * config.hidden
        self.embedding = nn.Embedding(vocabulary, config.embedding, padding_idx=PAD)
        self.dropout = Dropout(config.dropout)
        self.start = nn.Linear(config.hidden, config.hidden)  # W_s
        self.score = AdditiveScore(config.hidden, annotation, config.alignment)  # W_a, U_a, v
        self.word_input = nn.Linear(config.embedding, 3 * config.hidden)  # W_z, W_r, W
        self.context_input = nn.Linear(annotation, 3 * config.hidden, bias=False)  # C_z, C_r, C
        self.unit = GatedUnit(config.hidden)
        self.out_state = nn.Linear(config.hidden, 2 * config.maxout)  # U_o
        self.out_word = nn.Linear(config.embedding, 2 * config.maxout, bias=False)  # V_o
        self.out_context = nn.Linear(annotation, 2 * config.maxout, bias=False)  # C_o
        self.output = nn.Linear(config.maxout, vocabulary)  # W_o

    def init_state(self, memory: Memory) -> RNNsearchState:
        """s_0 = tanh(W_s backward_1)."""
        source = Annotations(self.score.project(memory.keys), memory.values, memory.mask)
        return RNNsearchState(torch.tanh(self.start(memory.final[0])), source)

    def _attend(self, hidden: Tensor, source: Annotations) -> tuple[Tensor, Tensor]:
        queries = hidden.unflatten(0, (len(source.mask), -1))  # (B, rows of a sentence, hidden)
        weights = masked_softmax(self.score(queries, source.projected), source.mask.unsqueeze(1))
        context = torch.bmm(weights, source.values)
        return weights.flatten(0, 1), context.flatten(0, 1)  # a_i (N, S), c_i (N, 2 x hidden)

    def _maxout(self, hidden: Tensor, word: Tensor, context: Tensor) -> Tensor:
        linear = self.out_state(hidden) + self.out_word(word) + self.out_context(context)  # t~_i (..., 2l)
        features: Tensor = self.dropout(linear.unflatten(-1, (-1, 2)).amax(-1))  # t_i (..., l)
        return features

    def advance(
        self, tokens: Tensor, state: RNNsearchState, *, with_attention: bool = False
    ) -> StepFeatures[RNNsearchState]:
        """One word: attention is by the state before it."""
        word = self.dropout(self.embedding(tokens))
        weights, context = self._attend(state.hidden, state.source)
        hidden = self.unit(self.word_input(word) + self.context_input(context), state.hidden)
        features = self._maxout(state.hidden, word, context)
        return StepFeatures(features, RNNsearchState(hidden, state.source), weights if with_attention else None)

    def forward(self, tokens: Tensor, memory: Memory, *, with_attention: bool = False) -> DecoderOutput:
        """As advance, step by step, with the products that do not wait for a state taken over all steps at once."""
        state = self.init_state(memory)
        hidden, source = state.hidden, state.source
        words = self.dropout(self.embedding(tokens))  # (B, T, m)
        before: list[Tensor] = []
        contexts: list[Tensor] = []
        attention: list[Tensor] = []
        for x in self.word_input(words).unbind(1):
            weights, context = self._attend(hidden, source)
            before.append(hidden)
            contexts.append(context)
            attention.append(weights)
            hidden = self.unit(x + self.context_input(context), hidden)
        features = self._maxout(torch.stack(before, 1), words, torch.stack(contexts, 1))
        return DecoderOutput(features, torch.stack(attention, 1) if with_attention else None)

    def readout(self, features: Tensor) -> Tensor:
        """t_i (..., l) to logits (..., V)."""
        logits: Tensor = self.output(features)
        return logits

    def readout_subset(self, tokens: Tensor) -> Readout:
        """By the rows of W_o that are asked for."""
        return select_outputs(self.output, tokens)


def build(config: Config, vocabularies: VocabularySizes) -> Seq2Seq:
    """A model with fresh weights as appendix B.1 has them.

    Recurrent matrices are orthogonal, the alignment model's matrices N(0, (deviation / 10)^2), its v
    and all biases zero, the others N(0, deviation^2); the paper's deviation is 0.01.
    """
    encoder = RNNsearchEncoder(config, vocabularies.source)
    decoder = RNNsearchDecoder(config, vocabularies.target)
    model = Seq2Seq(encoder, decoder)
    for name, parameter in model.named_parameters():
        if name.endswith("bias"):
            nn.init.zeros_(parameter)
        else:
            nn.init.normal_(parameter, std=config.weight_deviation)
    for unit in (encoder.forward_unit, encoder.backward_unit, decoder.unit):
        orthogonal_(unit)
    nn.init.normal_(decoder.score.query.weight, std=config.weight_deviation / 10)
    nn.init.normal_(decoder.score.key.weight, std=config.weight_deviation / 10)
    nn.init.zeros_(decoder.score.score.weight)
    for table in (encoder.embedding, decoder.embedding):
        with torch.no_grad():
            table.weight[PAD].zero_()
    return model
