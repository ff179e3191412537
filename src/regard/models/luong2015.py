"""Global and local attention: Luong, Pham and Manning 2015, "Effective Approaches to Attention-based Neural
Machine Translation" (arXiv 1508.04025).

Encoder (section 2):       a stack of LSTMs over the source, its words in reverse order (sections 4.1 and 4.2)
Start:                     the decoder's layers start from the encoder's last (h, c), layer by layer
Score (section 3.1):       dot h^T k_s, general h^T W_a k_s or concat v_a^T tanh(W_a [h; k_s]), with h the top layer's
                           state behind the word just read and k_s that of the encoder at source position s
Global (equation 7):       a_s = softmax_s score, over all of the source
local-m (section 3.2):     the same over the window [p - D, p + D] alone, p = t
local-p (equations 9, 10): p = S sigma(v_p^T tanh(W_p h)), and a_s = softmax_s score x exp(-(s - p)^2 / (2 (D/2)^2))
Context and output:        c = sum_s a_s k_s, h~ = tanh(W_c [c; h]) (equation 5), logits = W_s h~ (equation 6)
Input feeding (3.3):       h~ of the step before is concatenated to the word that goes into the bottom layer

Positions count from 1 and S counts the end marker. Source positions are those of the sentence: the
encoder's outputs are put back into its order, so that reading backward changes what a state has seen
and not where it stands. The words are reversed, the end marker is read last.

The product in equation 10 does not sum to 1, and the context is made of it as it is; the attention
that is handed out is that product divided by its sum.

Deviations: where local-m's t is past the source's end, its window stays at the last position, which
the paper leaves open. A local window is cut out of scores over the whole source, which at the length
of sentences costs less than gathering it. Concat has a full W_a, where the paper's experiments put
the identity in the place of its part for k_s. scaled_dot, dot / sqrt(d), is not in the paper (Vaswani
et al. 2017). Its location score, tried and dropped, is left out. torch.nn.LSTM has two biases a gate.
Unknown words stay as they are: the paper's unk replacement (section 4.2), by which a translation takes
them from the source by its attention, is left out. Dropout (Zaremba et al., as cited) acts on what goes
into each LSTM layer and on h~, which is fed as dropout leaves it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from regard.config.schema import MAX_LAYERS, MAX_POSITIONS, MAX_WIDTH, ModelConfig
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
from regard.nn.attention import ConcatScore, DotScore, GeneralScore, masked_softmax
from regard.nn.dropout import Dropout
from regard.nn.lstm import LSTMStack, LSTMState, reverse, uniform_
from regard.nn.lstm_steps import LSTMCellStep
from regard.nn.output_layer import select_outputs
from regard.special_tokens import PAD


class Config(ModelConfig):
    """Sizes; the defaults are those of the paper's best single system (section 4.1 and table 4)."""

    architecture: Literal["luong2015"] = "luong2015"
    layers: int = Field(4, ge=1, le=MAX_LAYERS)  # of the encoder, and of the decoder
    hidden: int = Field(1000, ge=1, le=MAX_WIDTH)
    embedding: int = Field(1000, ge=1, le=MAX_WIDTH)
    score: Literal["dot", "general", "concat", "scaled_dot"] = "general"
    attention: Literal["global", "local_m", "local_p"] = "local_p"
    window: int = Field(10, ge=1, le=MAX_POSITIONS)  # D, of local attention
    input_feeding: bool = True  # False: training goes over all positions at once
    reverse_source: bool = True
    weight_bound: float = Field(0.1, gt=0)  # initial weights are uniform in [-bound, bound]
    dropout: float = Field(0.2, ge=0, lt=1)


def paper() -> Config:
    """local-p (general) with input feeding: the paper's constants."""
    return Config()


def small() -> Config:
    """For some ten thousand pairs and a CPU; starts from larger weights, as narrow layers need."""
    return Config(layers=2, hidden=256, embedding=192, weight_bound=0.2)


def tiny() -> Config:
    """For thousands of pairs and a CPU; a training step costs about as much as with modern's tiny preset."""
    return Config(layers=2, hidden=192, embedding=128, weight_bound=0.2)


def base() -> Config:
    """About as many parameters as modern's base preset, for millions of pairs and a GPU."""
    return Config(layers=2, hidden=768, embedding=512)


PRESETS = {"paper": paper, "base": base, "small": small, "tiny": tiny}


class LuongEncoder(Encoder):
    """A stack of LSTMs in one direction."""

    def __init__(self, config: Config, vocabulary: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, config.embedding, padding_idx=PAD)
        self.dropout = Dropout(config.dropout)
        self.stack = LSTMStack(config.embedding, config.hidden, config.layers, config.dropout)
        self.backward_words = config.reverse_source

    def forward(self, tokens: Tensor, mask: Tensor) -> Memory:
        """(B, S), each ending with EOS, to the top layer's outputs (B, S, hidden) in the order of tokens.

        final holds h and c of the first layer, of the second, and so on.
        """
        words = F.pad(mask[:, 1:], (0, 1))  # real and not the last
        embedded = self.dropout(self.embedding(reverse(tokens, words) if self.backward_words else tokens))
        outputs, states = self.stack(embedded, mask=mask)
        if self.backward_words:
            outputs = reverse(outputs, words)
        return Memory(keys=outputs, values=outputs, mask=mask, final=tuple(part for state in states for part in state))


@dataclass(frozen=True)
class Annotations(PerSource):
    """The source as the decoder sees it: what the score makes of k_s (B, S, ...), k_s (B, S, hidden), mask (B, S)."""

    projected: Tensor
    values: Tensor
    mask: Tensor


class Attention(nn.Module):
    """Where the decoder looks: any of the scores, over all of the source or a window of it."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        width = config.hidden
        self.score: DotScore | GeneralScore | ConcatScore
        match config.score:
            case "dot":
                self.score = DotScore()
            case "scaled_dot":
                self.score = DotScore(width**-0.5)
            case "general":
                self.score = GeneralScore(width, width)
            case "concat":
                self.score = ConcatScore(width, width, width)
        self.kind = config.attention
        self.window = config.window
        if self.kind == "local_p":
            self.position = nn.Linear(width, width, bias=False)  # W_p
            self.position_score = nn.Linear(width, 1, bias=False)  # v_p

    def forward(self, queries: Tensor, source: Annotations, steps: Tensor) -> tuple[Tensor, Tensor]:
        """States h (B, T, hidden) to contexts (B, T, hidden) and weights (B, T, S), which sum to 1 over the source.

        steps: t of each state (T,), or of all of them (1,).
        """
        scores = self.score(queries, source.projected)
        allowed = source.mask.unsqueeze(1)  # (B, 1, S)
        if self.kind == "global":
            weights = masked_softmax(scores, allowed)
            return weights @ source.values, weights
        positions = torch.arange(1, source.mask.size(1) + 1, device=scores.device)
        distance = positions - self._centre(queries, source.mask, steps)  # (B, T, S)
        weights = masked_softmax(scores, allowed & (distance.abs() <= self.window))
        if self.kind == "local_m":
            return weights @ source.values, weights
        favoured = weights * torch.exp(-2 * (distance / self.window) ** 2)  # sigma = D / 2
        return favoured @ source.values, favoured / favoured.sum(-1, keepdim=True)

    def _centre(self, queries: Tensor, mask: Tensor, steps: Tensor) -> Tensor:
        """p of each state: (B, T, 1)."""
        lengths = mask.sum(1)[:, None, None]  # S of each sentence
        if self.kind == "local_p":
            share: Tensor = torch.sigmoid(self.position_score(torch.tanh(self.position(queries))))
            return lengths * share
        return torch.minimum(steps[None, :, None], lengths)


@dataclass(frozen=True)
class LuongState(State):
    """(h, c) of each layer, h~ of the last step (N, hidden) if it is fed, how many steps were taken, and the source."""

    layers: tuple[LSTMState, ...]
    fed: Tensor | None
    steps: int
    source: Annotations


class LuongDecoder(Decoder[LuongState]):
    """Reads a word, looks at the source, and may remember what it saw."""

    def __init__(self, config: Config, vocabulary: int) -> None:
        super().__init__()
        self.vocabulary_size = vocabulary
        self.feeds = config.input_feeding
        self.embedding = nn.Embedding(vocabulary, config.embedding, padding_idx=PAD)
        self.dropout = Dropout(config.dropout)
        inputs = config.embedding + (config.hidden if config.input_feeding else 0)
        self.stack = LSTMStack(inputs, config.hidden, config.layers, config.dropout)
        self.attention = Attention(config)
        self.combine = nn.Linear(2 * config.hidden, config.hidden, bias=False)  # W_c
        self.output = nn.Linear(config.hidden, vocabulary, bias=False)  # W_s

    def init_state(self, memory: Memory) -> LuongState:
        """The encoder's last states; zeros in the place of h~."""
        layers = tuple(zip(memory.final[::2], memory.final[1::2], strict=True))
        fed = torch.zeros_like(memory.final[0]) if self.feeds else None
        source = Annotations(self.attention.score.project(memory.keys), memory.values, memory.mask)
        return LuongState(layers, fed, 0, source)

    def _attend(self, top: Tensor, source: Annotations, steps: Tensor) -> tuple[Tensor, Tensor]:
        context, weights = self.attention(top, source, steps)
        attentional: Tensor = self.dropout(torch.tanh(self.combine(torch.cat((context, top), dim=-1))))
        return attentional, weights  # h~ (B, T, hidden), (B, T, S)

    def _attend_once(self, top: Tensor, source: Annotations, before: int) -> tuple[Tensor, Tensor]:
        """One step of all rows, behind as many `before` it: h (N, hidden) to h~ (N, hidden) and weights (N, S)."""
        rows = top.unflatten(0, (len(source.mask), -1))  # (B, rows of a sentence, hidden)
        attentional, weights = self._attend(rows, source, torch.tensor([before + 1], device=top.device))
        return attentional.flatten(0, 1), weights.flatten(0, 1)

    def advance(self, tokens: Tensor, state: LuongState, *, with_attention: bool = False) -> StepFeatures[LuongState]:
        """One word: attention is by the state behind it."""
        x = self.dropout(self.embedding(tokens))
        if state.fed is not None:
            x = torch.cat((x, state.fed), dim=-1)
        top, layers = self.stack(x.unsqueeze(1), states=state.layers)
        features, weights = self._attend_once(top.squeeze(1), state.source, state.steps)
        after = LuongState(layers, features if self.feeds else None, state.steps + 1, state.source)
        return StepFeatures(features, after, weights if with_attention else None)

    def forward(self, tokens: Tensor, memory: Memory, *, with_attention: bool = False) -> DecoderOutput:
        """All positions at once; with input feeding step by step, with all that does not wait taken at once."""
        state = self.init_state(memory)
        words = self.dropout(self.embedding(tokens))  # (B, T, embedding)
        if state.fed is not None:
            return self._fed(words, state, state.fed, with_attention)
        top, _ = self.stack(words, states=state.layers)
        steps = torch.arange(1, top.size(1) + 1, device=top.device)
        features, weights = self._attend(top, state.source, steps)
        return DecoderOutput(features, weights if with_attention else None)

    def _fed(self, words: Tensor, state: LuongState, fed: Tensor, with_attention: bool) -> DecoderOutput:
        cells = [layer for layer in self.stack.layers if isinstance(layer, nn.LSTM)]
        bottom, *others = (LSTMCellStep(cell, 0 if index else words.size(-1)) for index, cell in enumerate(cells))
        layers = list(state.layers)
        features: list[Tensor] = []
        attention: list[Tensor] = []
        for position, x in enumerate(bottom.inputs(words).unbind(1)):
            layers[0] = bottom(x, fed, layers[0])
            for index, step in enumerate(others, 1):
                layers[index] = step(step.bias, self.stack.dropout(layers[index - 1][0]), layers[index])
            fed, weights = self._attend_once(layers[-1][0], state.source, position)
            features.append(fed)
            attention.append(weights)
        return DecoderOutput(torch.stack(features, 1), torch.stack(attention, 1) if with_attention else None)

    def readout(self, features: Tensor) -> Tensor:
        """h~ (..., hidden) to logits (..., V)."""
        logits: Tensor = self.output(features)
        return logits

    def readout_subset(self, tokens: Tensor) -> Readout:
        """By the rows of W_s that are asked for."""
        return select_outputs(self.output, tokens)


def build(config: Config, vocabularies: VocabularySizes) -> Seq2Seq:
    """A model with fresh weights: all of them uniform (section 4.1)."""
    encoder = LuongEncoder(config, vocabularies.source)
    decoder = LuongDecoder(config, vocabularies.target)
    model = Seq2Seq(encoder, decoder)
    uniform_(model, config.weight_bound)
    for table in (encoder.embedding, decoder.embedding):
        with torch.no_grad():
            table.weight[PAD].zero_()
    return model
