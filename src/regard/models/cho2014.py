"""The RNN Encoder-Decoder: Cho, van Merriënboer, Gulcehre, Bahdanau, Bougares, Schwenk and Bengio 2014,
"Learning Phrase Representations using RNN Encoder-Decoder for Statistical Machine Translation"
(arXiv 1406.1078), after its section 2 and its appendix on the RNN Encoder-Decoder.

Encoder:   gated units over e(x_t), from zeros;  c = tanh(V h_N), the summary of the whole source
Start:     s_0 = tanh(V' c)
Gates:     z_t and r_t = sigma(W' e(y_{t-1}) + U' s_{t-1} + C c), each with its own matrices
State:     s~_t = tanh(W' e(y_{t-1}) + r_t * (U' s_{t-1} + C c));  s_t = z_t * s_{t-1} + (1 - z_t) * s~_t
Output:    maxout over pairs of O_h s_t + O_y e(y_{t-1}) + O_c c;  logits = G_l G_r maxout
First:     e(y_0) = 0

There is no attention: the decoder sees nothing of a source but c, which has the same size for every length.

The paper omits biases; here each sum has one. z in the code is the paper's 1 - z, in the encoder and in the decoder:
the same function, with the sign of those weights reversed. The paper gives 100 as the rank of the matrices for input
and output words in section 4.1.1, and 500 in the appendix; the preset follows section 4.1.1, and O_y multiplies the
embedding too. Dropout on embeddings and on the maxout units is an addition; it is off in the paper's preset.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from regard.config.schema import MAX_WIDTH, ModelConfig
from regard.contract import (
    DecoderOutput,
    Encoder,
    Memory,
    PerSource,
    Seq2Seq,
    State,
    StepFeatures,
    VocabularySizes,
    expand_to_rows,
)
from regard.nn.dropout import Dropout
from regard.nn.embedding import token_embedding, zero_padding
from regard.nn.modules import Linear
from regard.nn.output_layer import OutputLayerDecoder
from regard.nn.recurrent import GatedUnit, init_orthogonal_, scan
from regard.special_tokens import BOS


class Config(ModelConfig):
    """Settings; the defaults are the paper's (section 4.1.1)."""

    architecture: Literal["cho2014"] = Field("cho2014", description="The name of this architecture.")
    hidden_size: int = Field(
        1000, ge=1, le=MAX_WIDTH, description="Units of the encoder, of the decoder and of the summary c."
    )
    embedding_size: int = Field(
        100, ge=1, le=MAX_WIDTH, description="Rank of the matrices for input words and for output words."
    )
    maxout_size: int = Field(500, ge=1, le=MAX_WIDTH, description="Maxout units, each over two inputs.")
    init_std: float = Field(0.01, gt=0, description="Standard deviation of the initial weights that are not recurrent.")
    dropout: float = Field(0.0, ge=0, lt=1, description="Dropout on embeddings and on the maxout units.")


def paper() -> Config:
    """The paper's settings."""
    return Config()


def small() -> Config:
    """For about ten thousand pairs and a CPU. Narrow layers need larger initial weights."""
    return Config(hidden_size=384, embedding_size=192, maxout_size=256, init_std=0.06, dropout=0.2)


def tiny() -> Config:
    """For thousands of pairs and a CPU. A training step costs about as much as with modern's tiny preset."""
    return Config(hidden_size=320, embedding_size=128, maxout_size=128, init_std=0.06, dropout=0.2)


def base() -> Config:
    """About as many parameters as modern's base preset, for millions of pairs and a GPU."""
    return Config(hidden_size=1536, embedding_size=512, maxout_size=512, dropout=0.2)


PRESETS = {"paper": paper, "base": base, "small": small, "tiny": tiny}


class SummaryEncoder(Encoder):
    """Reads the source from left to right into one vector."""

    def __init__(self, config: Config, vocabulary_size: int) -> None:
        super().__init__()
        self.embedding = token_embedding(vocabulary_size, config.embedding_size)
        self.dropout = Dropout(config.dropout)
        self.input = Linear(config.embedding_size, 3 * config.hidden_size)  # W_z, W_r, W
        self.unit = GatedUnit(config.hidden_size)
        self.summary = Linear(config.hidden_size, config.hidden_size)  # V

    def forward(self, tokens: Tensor, mask: Tensor) -> Memory:
        """Encode (B, S) as states (B, S, D), which the decoder does not read; `final` is c, (B, D)."""
        states = scan(self.unit, self.input, self.dropout(self.embedding(tokens)), mask)
        summary = torch.tanh(self.summary(states[:, -1]))  # in the padding the last state does not change
        return Memory(keys=states, values=states, mask=mask, final=(summary,))


class ContextUnit(nn.Module):
    """The decoder's gated unit: its reset gate acts on the state's and on the context's contribution.

    z = sigma(x_z + U_z s + c_z), r = sigma(x_r + U_r s + c_r), s~ = tanh(x_s + r * (U s + c_s)),
    s' = (1 - z) * s + z * s~, where x comes from the word and c from the context.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size
        self.recurrent = Linear(size, 3 * size, bias=False)  # U_z over U_r over U

    def forward(self, x: Tensor, context: Tensor, state: Tensor) -> Tensor:
        """Advance a state (N, D) by x and context (N, 3 D) in the order z, r, s~."""
        sizes = (2 * self.size, self.size)
        gate_word, candidate_word = x.split(sizes, dim=-1)
        gate_inner, candidate_inner = (context + self.recurrent(state)).split(sizes, dim=-1)
        update, reset = torch.sigmoid(gate_word + gate_inner).chunk(2, dim=-1)  # z, r (N, D)
        candidate = torch.tanh(torch.addcmul(candidate_word, reset, candidate_inner))  # s~ (N, D)
        return torch.lerp(state, candidate, update)

    if TYPE_CHECKING:
        __call__ = forward


@dataclass(frozen=True)
class Summary(PerSource):
    """The contribution of c to every step: C c (B, 3 D), and O_c c (B, 2 x maxout)."""

    to_unit: Tensor
    to_output: Tensor


@dataclass(frozen=True)
class SummaryState(State):
    """s_t (N, D), and the source."""

    hidden: Tensor
    source: Summary


class SummaryDecoder(OutputLayerDecoder[SummaryState]):
    """Sees the summary at every step."""

    has_attention = False

    def __init__(self, config: Config, vocabulary_size: int) -> None:
        super().__init__()
        self.vocabulary_size = vocabulary_size
        size, maxout = config.hidden_size, config.maxout_size
        self.embedding = token_embedding(vocabulary_size, config.embedding_size)
        self.dropout = Dropout(config.dropout)
        self.start = Linear(size, size)  # V'
        self.word_input = Linear(config.embedding_size, 3 * size)  # W'_z, W'_r, W'
        self.context_input = Linear(size, 3 * size, bias=False)  # C_z, C_r, C
        self.unit = ContextUnit(size)
        self.out_state = Linear(size, 2 * maxout)  # O_h
        self.out_word = Linear(config.embedding_size, 2 * maxout, bias=False)  # O_y
        self.out_context = Linear(size, 2 * maxout, bias=False)  # O_c
        self.out_rank = Linear(maxout, config.embedding_size, bias=False)  # G_r
        self.output = Linear(config.embedding_size, vocabulary_size)  # G_l

    def init_state(self, memory: Memory) -> SummaryState:
        """Return s_0 = tanh(V' c), and the products with c that every step needs."""
        (summary,) = memory.final
        source = Summary(self.context_input(summary), self.out_context(summary))
        return SummaryState(torch.tanh(self.start(summary)), source)

    def _embed(self, tokens: Tensor) -> Tensor:
        return self.dropout(self.embedding(tokens) * tokens.ne(BOS).unsqueeze(-1))  # e(y_0) = 0

    def _features(self, hidden: Tensor, word: Tensor, context: Tensor) -> Tensor:
        linear = self.out_state(hidden) + self.out_word(word) + context  # (..., 2 x maxout)
        return self.out_rank(self.dropout(linear.unflatten(-1, (-1, 2)).amax(-1)))  # (..., rank)

    def advance(
        self, tokens: Tensor, state: SummaryState, *, with_attention: bool = False
    ) -> StepFeatures[SummaryState]:
        """Feed one word (N,). There is no attention."""
        word, source = self._embed(tokens), state.source
        hidden = self.unit(self.word_input(word), expand_to_rows(source.to_unit, tokens.size(0)), state.hidden)
        features = self._features(hidden, word, expand_to_rows(source.to_output, tokens.size(0)))
        return StepFeatures(features, SummaryState(hidden, source))

    def forward(self, tokens: Tensor, memory: Memory, *, with_attention: bool = False) -> DecoderOutput:
        """Decode step by step as `advance` does; products that need no state cover all steps at once."""
        state = self.init_state(memory)
        hidden, source = state.hidden, state.source
        words = self._embed(tokens)  # (B, T, rank)
        states: list[Tensor] = []
        for word_input in self.word_input(words).unbind(1):
            hidden = self.unit(word_input, source.to_unit, hidden)
            states.append(hidden)
        return DecoderOutput(self._features(torch.stack(states, 1), words, source.to_output.unsqueeze(1)))


def build(config: Config, vocabulary_sizes: VocabularySizes) -> Seq2Seq:
    """Return a model with new weights, as in section 4.1.1.

    Recurrent matrices are orthogonal, the other weights N(0, std^2), and biases zero. The paper's std is 0.01.
    """
    encoder = SummaryEncoder(config, vocabulary_sizes.source)
    decoder = SummaryDecoder(config, vocabulary_sizes.target)
    model = Seq2Seq(encoder, decoder)
    for name, parameter in model.named_parameters():
        if name.endswith("bias"):
            nn.init.zeros_(parameter)
        else:
            nn.init.normal_(parameter, std=config.init_std)
    init_orthogonal_(encoder.unit)
    with torch.no_grad():
        for matrix in decoder.unit.recurrent.weight.split(config.hidden_size):
            nn.init.orthogonal_(matrix)
    zero_padding(model)
    return model
