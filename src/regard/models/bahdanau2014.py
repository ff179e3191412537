"""RNNsearch: Bahdanau, Cho and Bengio 2014, "Neural Machine Translation by Jointly Learning to Align and
Translate" (arXiv 1409.0473), after its appendix A.

Encoder (A.2.1):    h_j = [forward_j ; backward_j], gated units in both directions
Start (A.2.2):      s_0 = tanh(W_s backward_1)
Alignment (A.1.2):  e_ij = v^T tanh(W_a s_{i-1} + U_a h_j),  a_ij = softmax_j e_ij,  c_i = sum_j a_ij h_j
State (A.2.2):      s_i = a gated unit over y_{i-1}, s_{i-1} and c_i
Output (A.2.2):     t~_i = U_o s_{i-1} + V_o E y_{i-1} + C_o c_i;  t_i = maxout over pairs of t~_i;  logits = W_o t_i

The paper omits biases from its equations "to increase readability"; here each sum has one.
Dropout on embeddings and on t_i is an addition; it is off in the paper's preset. So is `copy_attention`
(regard.nn.copying), whose gate reads s_{i-1}, as the output does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from regard.config.schema import COPY_ATTENTION, MAX_WIDTH, ModelConfig
from regard.contract import DecoderOutput, Encoder, Memory, Seq2Seq, State, StepFeatures, VocabularySizes
from regard.nn.attention import AdditiveScore, Annotations
from regard.nn.copying import CopyingDecoder
from regard.nn.dropout import Dropout
from regard.nn.embedding import token_embedding, zero_padding
from regard.nn.modules import Linear
from regard.nn.recurrent import GatedUnit, init_orthogonal_, scan


class Config(ModelConfig):
    """Settings; the defaults are the paper's (appendices A.2.3 and B.1)."""

    architecture: Literal["bahdanau2014"] = Field("bahdanau2014", description="The name of this architecture.")
    hidden_size: int = Field(
        1000, ge=1, le=MAX_WIDTH, description="Units of the decoder, and of the encoder in each direction (n)."
    )
    embedding_size: int = Field(620, ge=1, le=MAX_WIDTH, description="Size of word embeddings (m).")
    attention_size: int = Field(1000, ge=1, le=MAX_WIDTH, description="Hidden units of the alignment model (n').")
    maxout_size: int = Field(500, ge=1, le=MAX_WIDTH, description="Maxout units, each over two inputs (l).")
    init_std: float = Field(0.01, gt=0, description="Standard deviation of the initial weights that are not recurrent.")
    dropout: float = Field(0.0, ge=0, lt=1, description="Dropout on embeddings and on the maxout units.")
    copy_attention: bool = COPY_ATTENTION


def paper() -> Config:
    """RNNsearch-50: the paper's settings."""
    return Config()


def small() -> Config:
    """For about ten thousand pairs and a CPU. Narrow layers need larger initial weights."""
    return Config(hidden_size=256, embedding_size=192, attention_size=192, maxout_size=192, init_std=0.06, dropout=0.2)


def tiny() -> Config:
    """For thousands of pairs and a CPU. A training step costs about as much as with modern's tiny preset."""
    return Config(hidden_size=192, embedding_size=128, attention_size=128, maxout_size=128, init_std=0.06, dropout=0.2)


def base() -> Config:
    """About as many parameters as modern's base preset, for millions of pairs and a GPU."""
    return Config(hidden_size=1024, embedding_size=512, attention_size=512, maxout_size=512, dropout=0.2)


PRESETS = {"paper": paper, "base": base, "small": small, "tiny": tiny}


class RNNsearchEncoder(Encoder):
    """A bidirectional recurrent network: each annotation summarizes the words before and after it."""

    def __init__(self, config: Config, vocabulary_size: int) -> None:
        super().__init__()
        self.embedding = token_embedding(vocabulary_size, config.embedding_size)
        self.dropout = Dropout(config.dropout)
        self.forward_input = Linear(config.embedding_size, 3 * config.hidden_size)
        self.backward_input = Linear(config.embedding_size, 3 * config.hidden_size)
        self.forward_unit = GatedUnit(config.hidden_size)
        self.backward_unit = GatedUnit(config.hidden_size)

    def forward(self, tokens: Tensor, mask: Tensor) -> Memory:
        """Encode (B, S) as annotations (B, S, 2n); `final` is the backward state at the first word, (B, n)."""
        embedded = self.dropout(self.embedding(tokens))  # (B, S, m)
        forward = scan(self.forward_unit, self.forward_input, embedded, mask)  # (B, S, n)
        backward = scan(self.backward_unit, self.backward_input, embedded, mask, backward=True)  # (B, S, n)
        annotations = torch.cat((forward, backward), dim=-1)  # (B, S, 2n)
        return Memory(keys=annotations, values=annotations, mask=mask, final=(backward[:, 0],), tokens=tokens)


@dataclass(frozen=True)
class RNNsearchState(State):
    """s_{i-1} (N, n), and the source."""

    hidden: Tensor
    source: Annotations


class RNNsearchDecoder(CopyingDecoder[RNNsearchState]):
    """A gated unit that attends to the source before each word."""

    def __init__(self, config: Config, vocabulary_size: int) -> None:
        super().__init__()
        self.vocabulary_size = vocabulary_size
        n, m, maxout = config.hidden_size, config.embedding_size, config.maxout_size
        self.embedding = token_embedding(vocabulary_size, m)
        self.dropout = Dropout(config.dropout)
        self.start = Linear(n, n)  # W_s
        self.score = AdditiveScore(n, 2 * n, config.attention_size)  # W_a, U_a, v
        self.word_input = Linear(m, 3 * n)  # W_z, W_r, W
        self.context_input = Linear(2 * n, 3 * n, bias=False)  # C_z, C_r, C
        self.unit = GatedUnit(n)
        self.out_state = Linear(n, 2 * maxout)  # U_o
        self.out_word = Linear(m, 2 * maxout, bias=False)  # V_o
        self.out_context = Linear(2 * n, 2 * maxout, bias=False)  # C_o
        self.output = Linear(maxout, vocabulary_size)  # W_o
        if config.copy_attention:
            self.enable_copying(features_size=maxout, context_size=2 * n, state_size=n, word_size=m)

    def init_state(self, memory: Memory) -> RNNsearchState:
        """Return s_0 = tanh(W_s backward_1)."""
        source = Annotations.of(memory, self.score, copies=self.copy_gate is not None)
        return RNNsearchState(torch.tanh(self.start(memory.final[0])), source)

    def _maxout(self, hidden: Tensor, word: Tensor, context: Tensor) -> Tensor:
        linear = self.out_state(hidden) + self.out_word(word) + self.out_context(context)  # t~_i (..., 2l)
        return self.dropout(linear.unflatten(-1, (-1, 2)).amax(-1))  # t_i (..., l)

    def advance(
        self, tokens: Tensor, state: RNNsearchState, *, with_attention: bool = False
    ) -> StepFeatures[RNNsearchState]:
        """Feed one word (N,). Attention is computed from the state before it."""
        word = self.dropout(self.embedding(tokens))  # (N, m)
        context, weights = state.source.attend(state.hidden, self.score)  # c_i (N, 2n), a_i (N, S)
        hidden = self.unit(self.word_input(word) + self.context_input(context), state.hidden)  # s_i (N, n)
        features = self._maxout(state.hidden, word, context)  # (N, l)
        features = self.with_copying(features, weights, state.hidden, word, state.source.copied)
        return StepFeatures(features, RNNsearchState(hidden, state.source), weights if with_attention else None)

    def forward(self, tokens: Tensor, memory: Memory, *, with_attention: bool = False) -> DecoderOutput:
        """Decode step by step as `advance` does; products that need no state cover all steps at once."""
        state = self.init_state(memory)
        hidden = state.hidden
        words = self.dropout(self.embedding(tokens))  # (B, T, m)
        states: list[Tensor] = []  # s_{i-1}
        contexts: list[Tensor] = []
        attention: list[Tensor] = []
        for word_input in self.word_input(words).unbind(1):
            context, weights = state.source.attend(hidden, self.score)
            states.append(hidden)
            contexts.append(context)
            attention.append(weights)
            hidden = self.unit(word_input + self.context_input(context), hidden)
        before, weights = torch.stack(states, 1), torch.stack(attention, 1)  # (B, T, n), (B, T, S)
        features = self._maxout(before, words, torch.stack(contexts, 1))  # (B, T, l)
        features = self.with_copying(features, weights, before, words, state.source.copied)
        return DecoderOutput(features, weights if with_attention else None)


def build(config: Config, vocabulary_sizes: VocabularySizes) -> Seq2Seq:
    """Return a model with new weights, as in appendix B.1.

    Recurrent matrices are orthogonal, the alignment model's matrices N(0, (std / 10)^2), its v and all biases zero, and
    the others N(0, std^2). The paper's std is 0.01.
    """
    encoder = RNNsearchEncoder(config, vocabulary_sizes.source)
    decoder = RNNsearchDecoder(config, vocabulary_sizes.target)
    model = Seq2Seq(encoder, decoder)
    for name, parameter in model.named_parameters():
        if name.endswith("bias"):
            nn.init.zeros_(parameter)
        else:
            nn.init.normal_(parameter, std=config.init_std)
    for unit in (encoder.forward_unit, encoder.backward_unit, decoder.unit):
        init_orthogonal_(unit)
    nn.init.normal_(decoder.score.query.weight, std=config.init_std / 10)
    nn.init.normal_(decoder.score.key.weight, std=config.init_std / 10)
    nn.init.zeros_(decoder.score.score.weight)
    zero_padding(model)
    return model
