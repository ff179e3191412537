"""The RNN Encoder-Decoder: Cho, van Merriënboer, Gulcehre, Bahdanau, Bougares, Schwenk and Bengio 2014,
"Learning Phrase Representations using RNN Encoder-Decoder for Statistical Machine Translation"
(arXiv 1406.1078), as its section 2 and its appendix on the RNN Encoder-Decoder write it.

Encoder:   gated units over e(x_t), from zeros;  c = tanh(V h_N), the summary of the whole source
Start:     s_0 = tanh(V' c)
Gates:     z_t and r_t = sigma(W' e(y_{t-1}) + U' s_{t-1} + C c), each with its own matrices
State:     s~_t = tanh(W' e(y_{t-1}) + r_t * (U' s_{t-1} + C c));  s_t = z_t * s_{t-1} + (1 - z_t) * s~_t
Output:    maxout over pairs of O_h s_t + O_y e(y_{t-1}) + O_c c;  logits = G_l G_r maxout
First:     e(y_0) = 0

There is no attention: all that the decoder sees of a source is c, of one size for every length.

The paper leaves biases out; here each sum has one. What is z here is the paper's 1 - z, in the
encoder and in the decoder: the same function, with the sign of those weights turned. The paper gives
100 as the rank of the matrices that take words in and give them out in section 4.1.1, and 500 in the
appendix; the preset follows section 4.1.1, and O_y acts on the embedding, too. Dropout, on embeddings
and on the maxout units, is ours: off in the paper's preset.
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
    expand_to_rows,
)
from regard.nn.dropout import Dropout
from regard.nn.output_layer import select_outputs
from regard.nn.recurrent import GatedUnit, orthogonal_, scan
from regard.special_tokens import BOS, PAD


class Config(ModelConfig):
    """Sizes; the defaults are the paper's (section 4.1.1)."""

    architecture: Literal["cho2014"] = "cho2014"
    hidden: int = Field(1000, ge=1, le=MAX_WIDTH)  # of the encoder, of the decoder and of the summary
    embedding: int = Field(100, ge=1, le=MAX_WIDTH)  # the rank of what takes words in, and of what gives them out
    maxout: int = Field(500, ge=1, le=MAX_WIDTH)  # each over two units
    weight_deviation: float = Field(0.01, gt=0)  # of the initial weights that are not recurrent
    dropout: float = Field(0.0, ge=0, lt=1)


def paper() -> Config:
    """The paper's constants."""
    return Config()


def small() -> Config:
    """For some ten thousand pairs and a CPU; starts from larger weights, as narrow layers need."""
    return Config(hidden=384, embedding=192, maxout=256, weight_deviation=0.06, dropout=0.2)


def tiny() -> Config:
    """For thousands of pairs and a CPU; a training step costs about as much as with modern's tiny preset."""
    return Config(hidden=320, embedding=128, maxout=128, weight_deviation=0.06, dropout=0.2)


def base() -> Config:
    """About as many parameters as modern's base preset, for millions of pairs and a GPU."""
    return Config(hidden=1536, embedding=512, maxout=512, dropout=0.2)


PRESETS = {"paper": paper, "base": base, "small": small, "tiny": tiny}


class SummaryEncoder(Encoder):
    """Reads the source from left to right and keeps one vector of it."""

    def __init__(self, config: Config, vocabulary: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, config.embedding, padding_idx=PAD)
        self.dropout = Dropout(config.dropout)
        self.input = nn.Linear(config.embedding, 3 * config.hidden)  # W_z, W_r, W
        self.unit = GatedUnit(config.hidden)
        self.summary = nn.Linear(config.hidden, config.hidden)  # V

    def forward(self, tokens: Tensor, mask: Tensor) -> Memory:
        """(B, S) to the states (B, S, hidden), which no decoder of this system reads; final holds c."""
        states = scan(self.unit, self.input(self.dropout(self.embedding(tokens))), mask)
        summary = torch.tanh(self.summary(states[:, -1]))  # at padding the last state stands still
        return Memory(keys=states, values=states, mask=mask, final=(summary,))


class ContextUnit(nn.Module):
    """The decoder's gated unit: its candidate resets what comes of the state and of the context alike.

    z = sigma(x_z + U_z s + c_z), r = sigma(x_r + U_r s + c_r), s~ = tanh(x_s + r * (U s + c_s)),
    s' = (1 - z) * s + z * s~, where x and c are what the word and the context add.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        self.recurrent = nn.Linear(width, 3 * width, bias=False)  # U_z over U_r over U

    def forward(self, x: Tensor, context: Tensor, state: Tensor) -> Tensor:
        """x and context (N, 3 x W) in the order z, r, s~, and state (N, W), to the next state (N, W)."""
        sizes = (2 * self.width, self.width)
        gate_word, candidate_word = x.split(sizes, dim=-1)
        gate_inner, candidate_inner = (context + self.recurrent(state)).split(sizes, dim=-1)
        update, reset = torch.sigmoid(gate_word + gate_inner).chunk(2, dim=-1)
        candidate = torch.tanh(torch.addcmul(candidate_word, reset, candidate_inner))
        return torch.lerp(state, candidate, update)


@dataclass(frozen=True)
class Summary(PerSource):
    """What c adds to every step: to the unit (B, 3 x hidden), and to the output (B, 2 x maxout)."""

    to_unit: Tensor
    to_output: Tensor


@dataclass(frozen=True)
class SummaryState(State):
    """s_t (N, hidden), and the source."""

    hidden: Tensor
    source: Summary


class SummaryDecoder(Decoder[SummaryState]):
    """Writes from the summary, which it sees at every step."""

    has_attention = False

    def __init__(self, config: Config, vocabulary: int) -> None:
        super().__init__()
        self.vocabulary_size = vocabulary
        self.embedding = nn.Embedding(vocabulary, config.embedding, padding_idx=PAD)
        self.dropout = Dropout(config.dropout)
        self.start = nn.Linear(config.hidden, config.hidden)  # V'
        self.word_input = nn.Linear(config.embedding, 3 * config.hidden)  # W'_z, W'_r, W'
        self.context_input = nn.Linear(config.hidden, 3 * config.hidden, bias=False)  # C_z, C_r, C
        self.unit = ContextUnit(config.hidden)
        self.out_state = nn.Linear(config.hidden, 2 * config.maxout)  # O_h
        self.out_word = nn.Linear(config.embedding, 2 * config.maxout, bias=False)  # O_y
        self.out_context = nn.Linear(config.hidden, 2 * config.maxout, bias=False)  # O_c
        self.out_rank = nn.Linear(config.maxout, config.embedding, bias=False)  # G_r
        self.output = nn.Linear(config.embedding, vocabulary)  # G_l

    def init_state(self, memory: Memory) -> SummaryState:
        """s_0 = tanh(V' c), and the products of c that every step needs."""
        (summary,) = memory.final
        source = Summary(self.context_input(summary), self.out_context(summary))
        return SummaryState(torch.tanh(self.start(summary)), source)

    def _embed(self, tokens: Tensor) -> Tensor:
        embedded: Tensor = self.dropout(self.embedding(tokens) * tokens.ne(BOS).unsqueeze(-1))
        return embedded

    def _features(self, hidden: Tensor, word: Tensor, context: Tensor) -> Tensor:
        linear = self.out_state(hidden) + self.out_word(word) + context  # (..., 2 x maxout)
        features: Tensor = self.out_rank(self.dropout(linear.unflatten(-1, (-1, 2)).amax(-1)))  # (..., embedding)
        return features

    def advance(
        self, tokens: Tensor, state: SummaryState, *, with_attention: bool = False
    ) -> StepFeatures[SummaryState]:
        """One word; there is no attention to give."""
        word, source = self._embed(tokens), state.source
        hidden = self.unit(self.word_input(word), expand_to_rows(source.to_unit, len(tokens)), state.hidden)
        features = self._features(hidden, word, expand_to_rows(source.to_output, len(tokens)))
        return StepFeatures(features, SummaryState(hidden, source))

    def forward(self, tokens: Tensor, memory: Memory, *, with_attention: bool = False) -> DecoderOutput:
        """As advance, with all that does not wait for a state taken over all steps at once."""
        state = self.init_state(memory)
        hidden, source = state.hidden, state.source
        words = self._embed(tokens)  # (B, T, embedding)
        states: list[Tensor] = []
        for x in self.word_input(words).unbind(1):
            hidden = self.unit(x, source.to_unit, hidden)
            states.append(hidden)
        return DecoderOutput(self._features(torch.stack(states, 1), words, source.to_output.unsqueeze(1)))

    def readout(self, features: Tensor) -> Tensor:
        """G_r of the maxout units (..., embedding) to logits (..., V)."""
        logits: Tensor = self.output(features)
        return logits

    def readout_subset(self, tokens: Tensor) -> Readout:
        """By the rows of G_l that are asked for."""
        return select_outputs(self.output, tokens)


def build(config: Config, vocabularies: VocabularySizes) -> Seq2Seq:
    """A model with fresh weights as section 4.1.1 has them.

    Recurrent matrices are orthogonal, the other weights N(0, deviation^2), and biases zero; the
    paper's deviation is 0.01.
    """
    encoder = SummaryEncoder(config, vocabularies.source)
    decoder = SummaryDecoder(config, vocabularies.target)
    model = Seq2Seq(encoder, decoder)
    for name, parameter in model.named_parameters():
        if name.endswith("bias"):
            nn.init.zeros_(parameter)
        else:
            nn.init.normal_(parameter, std=config.weight_deviation)
    orthogonal_(encoder.unit)
    with torch.no_grad():
        for matrix in decoder.unit.recurrent.weight.split(config.hidden):
            nn.init.orthogonal_(matrix)
        for table in (encoder.embedding, decoder.embedding):
            table.weight[PAD].zero_()
    return model
