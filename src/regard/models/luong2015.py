"""Global and local attention: Luong, Pham and Manning 2015, "Effective Approaches to Attention-based Neural
Machine Translation" (arXiv 1508.04025).

Encoder (section 2):       a stack of LSTMs over the source, its words in reverse order (sections 4.1 and 4.2)
Start:                     the decoder's layers start from the encoder's last (h, c), layer by layer
Score (section 3.1):       dot h^T k_s, general h^T W_a k_s or concat v_a^T tanh(W_a [h; k_s]), with h the top layer's
                           state after the word just read and k_s that of the encoder at source position s
Global (equation 7):       a_s = softmax_s score, over all of the source
local-m (section 3.2):     the same over the window [p - D, p + D] only, p = t
local-p (equations 9, 10): p = S sigma(v_p^T tanh(W_p h)), and a_s = softmax_s score x exp(-(s - p)^2 / (2 (D/2)^2))
Context and output:        c = sum_s a_s k_s, h~ = tanh(W_c [c; h]) (equation 5), logits = W_s h~ (equation 6)
Input feeding (3.3):       h~ of the step before is concatenated to the word that goes into the bottom layer

Positions count from 1 and S counts the end marker. Source positions are those of the sentence: the encoder's outputs
are put back into its order, so reading backward changes what a state has seen and not its position. The words are
reversed, the end marker is read last.

The product in equation 10 does not sum to 1, and the context is computed from it as it is; the attention that is
returned is the product divided by its sum.

Deviations: where local-m's t is past the source's end, its window stays at the last position, which the paper leaves
open. A local window is a mask on scores over the whole source, which for sentences is cheaper than gathering it. Concat
has a full W_a, where the paper's experiments use the identity for its part on k_s. scaled_dot, dot / sqrt(d), is not in
the paper (Vaswani et al. 2017). The paper's location score, which it drops, is left out. torch.nn.LSTM has two biases
per gate. Unknown words are not replaced: the paper's unk replacement (section 4.2), which copies them from the source
by attention, is left out. `copy_attention` (regard.nn.copying), which copies any token, is not in the paper; its gate
reads h. Dropout (Zaremba et al., as cited) acts on the input of each LSTM layer and on h~, which is fed after dropout.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from regard.config.names import NameOf
from regard.config.schema import COPY_ATTENTION, MAX_LAYERS, MAX_POSITIONS, MAX_WIDTH, ModelConfig
from regard.contract import DecoderOutput, Encoder, Memory, Seq2Seq, State, StepFeatures, VocabularySizes
from regard.nn.attention import SCORES, Annotations, masked_softmax
from regard.nn.copying import CopyingDecoder
from regard.nn.dropout import Dropout
from regard.nn.embedding import token_embedding, zero_padding
from regard.nn.lstm import LSTMCellStep, LSTMStack, LSTMState, init_uniform_, reverse_sequences
from regard.nn.modules import Linear


class Config(ModelConfig):
    """Settings; the defaults are those of the paper's best single system (section 4.1 and table 4)."""

    architecture: Literal["luong2015"] = Field("luong2015", description="The name of this architecture.")
    num_layers: int = Field(4, ge=1, le=MAX_LAYERS, description="LSTM layers of the encoder, and of the decoder.")
    hidden_size: int = Field(1000, ge=1, le=MAX_WIDTH, description="Units of each LSTM layer.")
    embedding_size: int = Field(1000, ge=1, le=MAX_WIDTH, description="Size of word embeddings.")
    score: Annotated[str, NameOf("scores")] = Field(
        "general",
        description="How decoder and encoder states are compared; `scaled_dot` is `dot` / sqrt(`hidden_size`).",
    )
    attention: Literal["global", "local_m", "local_p"] = Field(
        "local_p",
        description="Attend to all of the source (`global`), or to a window at the target's position (`local_m`) or at "
        "a predicted position (`local_p`).",
    )
    window_size: int = Field(
        10, ge=1, le=MAX_POSITIONS, description="Positions on each side of the centre of a local window (D)."
    )
    input_feeding: bool = Field(
        True,
        description="Feed the attentional vector to the next step; if false, training runs over all positions at once.",
    )
    reverse_source: bool = Field(True, description="Read the words of the source in reverse order.")
    init_bound: float = Field(0.1, gt=0, description="Initial weights are uniform between minus and plus this bound.")
    dropout: float = Field(
        0.2, ge=0, lt=1, description="Dropout on the input of each LSTM layer and on the attentional vector."
    )
    copy_attention: bool = COPY_ATTENTION


def paper() -> Config:
    """local-p (general) with input feeding: the paper's settings."""
    return Config()


def small() -> Config:
    """For about ten thousand pairs and a CPU. Narrow layers need larger initial weights."""
    return Config(num_layers=2, hidden_size=256, embedding_size=192, init_bound=0.2)


def tiny() -> Config:
    """For thousands of pairs and a CPU. A training step costs about as much as with modern's tiny preset."""
    return Config(num_layers=2, hidden_size=192, embedding_size=128, init_bound=0.2)


def base() -> Config:
    """About as many parameters as modern's base preset, for millions of pairs and a GPU."""
    return Config(num_layers=2, hidden_size=768, embedding_size=512)


PRESETS = {"paper": paper, "base": base, "small": small, "tiny": tiny}


class LuongEncoder(Encoder):
    """A stack of LSTMs in one direction."""

    def __init__(self, config: Config, vocabulary_size: int) -> None:
        super().__init__()
        self.embedding = token_embedding(vocabulary_size, config.embedding_size)
        self.dropout = Dropout(config.dropout)
        self.stack = LSTMStack(config.embedding_size, config.hidden_size, config.num_layers, config.dropout)
        self.reverse_source = config.reverse_source

    def forward(self, tokens: Tensor, mask: Tensor) -> Memory:
        """Encode (B, S), each ending with EOS, as the top layer's outputs (B, S, D) in the order of tokens.

        `final` is h and c of the first layer, of the second, and so on.
        """
        words = F.pad(mask[:, 1:], (0, 1))  # (B, S) real, and not the end marker
        embedded = self.dropout(self.embedding(reverse_sequences(tokens, words) if self.reverse_source else tokens))
        outputs, states = self.stack(embedded, mask=mask)
        if self.reverse_source:
            outputs = reverse_sequences(outputs, words)
        final = tuple(part for state in states for part in state)
        return Memory(keys=outputs, values=outputs, mask=mask, final=final, tokens=tokens)


class Attention(nn.Module):
    """Attention by any of the scores, over all of the source or a window of it."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        size = config.hidden_size
        self.score = SCORES[config.score](size, size)
        self.kind = config.attention
        self.window_size = config.window_size
        if self.kind == "local_p":
            self.position = Linear(size, size, bias=False)  # W_p
            self.position_score = Linear(size, 1, bias=False)  # v_p

    def forward(self, queries: Tensor, source: Annotations, steps: Tensor) -> tuple[Tensor, Tensor]:
        """Return the contexts (B, T, D) of states h (B, T, D), and weights (B, T, S) that sum to 1 over the source.

        Args:
            queries: h.
            source: The source.
            steps: (T,) t of each state, or (1,) of all of them.
        """
        scores = self.score(queries, source.projected)  # (B, T, S)
        mask = source.mask.unsqueeze(1)  # (B, 1, S)
        if self.kind == "global":
            weights = masked_softmax(scores, mask)
            return weights @ source.values, weights
        positions = torch.arange(1, source.mask.size(1) + 1, device=scores.device)
        distance = positions - self._centre(queries, source.mask, steps)  # (B, T, S)
        weights = masked_softmax(scores, mask & (distance.abs() <= self.window_size))
        if self.kind == "local_m":
            return weights @ source.values, weights
        products = weights * torch.exp(-2 * (distance / self.window_size) ** 2)  # equation 10, sigma = D / 2
        return products @ source.values, products / products.sum(-1, keepdim=True)

    def _centre(self, queries: Tensor, mask: Tensor, steps: Tensor) -> Tensor:
        """Return p of each state, (B, T, 1)."""
        lengths = mask.sum(1)[:, None, None]  # S of each sentence
        if self.kind == "local_p":
            return lengths * torch.sigmoid(self.position_score(torch.tanh(self.position(queries))))
        return torch.minimum(steps[None, :, None], lengths)

    if TYPE_CHECKING:
        __call__ = forward


@dataclass(frozen=True)
class LuongState(State):
    """The state between steps.

    Attributes:
        layers: (h, c) of each layer.
        fed: h~ of the last step (N, D), with input feeding.
        steps: The number of steps so far.
        source: The source.
    """

    layers: tuple[LSTMState, ...]
    fed: Tensor | None
    steps: int
    source: Annotations


class LuongDecoder(CopyingDecoder[LuongState]):
    """A stack of LSTMs that attends to the source after each word, and may feed the result to the next step."""

    def __init__(self, config: Config, vocabulary_size: int) -> None:
        super().__init__()
        self.vocabulary_size = vocabulary_size
        size = config.hidden_size
        self.input_feeding = config.input_feeding
        self.embedding = token_embedding(vocabulary_size, config.embedding_size)
        self.dropout = Dropout(config.dropout)
        input_size = config.embedding_size + (size if config.input_feeding else 0)
        self.stack = LSTMStack(input_size, size, config.num_layers, config.dropout)
        self.attention = Attention(config)
        self.combine = Linear(2 * size, size, bias=False)  # W_c
        self.output = Linear(size, vocabulary_size, bias=False)  # W_s
        if config.copy_attention:
            self.enable_copying(size, context_size=size, state_size=size, word_size=config.embedding_size)

    def init_state(self, memory: Memory) -> LuongState:
        """Return the encoder's last states, and zeros for h~."""
        layers = tuple(zip(memory.final[::2], memory.final[1::2], strict=True))
        fed = torch.zeros_like(memory.final[0]) if self.input_feeding else None
        source = Annotations.of(memory, self.attention.score, copies=self.copy_gate is not None)
        return LuongState(layers, fed, 0, source)

    def _attend(self, top: Tensor, source: Annotations, steps: Tensor) -> tuple[Tensor, Tensor]:
        """Map h (B, T, D) to h~ (B, T, D) and weights (B, T, S)."""
        context, weights = self.attention(top, source, steps)
        return self.dropout(torch.tanh(self.combine(torch.cat((context, top), dim=-1)))), weights

    def _attend_step(self, top: Tensor, source: Annotations, steps_before: int) -> tuple[Tensor, Tensor]:
        """Map h (N, D) of one step of all rows to h~ (N, D) and weights (N, S)."""
        rows = top.unflatten(0, (source.mask.size(0), -1))  # (B, N / B, D)
        attentional, weights = self._attend(rows, source, top.new_full((1,), steps_before + 1, dtype=torch.long))
        return attentional.flatten(0, 1), weights.flatten(0, 1)

    def advance(self, tokens: Tensor, state: LuongState, *, with_attention: bool = False) -> StepFeatures[LuongState]:
        """Feed one word (N,). Attention is computed from the state after it."""
        word = self.dropout(self.embedding(tokens))
        x = word if state.fed is None else torch.cat((word, state.fed), dim=-1)
        top, layers = self.stack(x.unsqueeze(1), states=state.layers)
        top = top.squeeze(1)  # h (N, D)
        attentional, weights = self._attend_step(top, state.source, state.steps)
        features = self.with_copying(attentional, weights, top, word, state.source.copied)
        next_state = LuongState(layers, attentional if self.input_feeding else None, state.steps + 1, state.source)
        return StepFeatures(features, next_state, weights if with_attention else None)

    def forward(self, tokens: Tensor, memory: Memory, *, with_attention: bool = False) -> DecoderOutput:
        """Decode all positions at once, or with input feeding step by step."""
        state = self.init_state(memory)
        words = self.dropout(self.embedding(tokens))  # (B, T, embedding)
        if state.fed is not None:
            return self._run_with_input_feeding(words, state, state.fed, with_attention)
        top, _ = self.stack(words, states=state.layers)
        steps = torch.arange(1, top.size(1) + 1, device=top.device)
        attentional, weights = self._attend(top, state.source, steps)
        features = self.with_copying(attentional, weights, top, words, state.source.copied)
        return DecoderOutput(features, weights if with_attention else None)

    def _run_with_input_feeding(
        self, words: Tensor, state: LuongState, fed: Tensor, with_attention: bool
    ) -> DecoderOutput:
        bottom, *upper = (
            LSTMCellStep(layer, 0 if index else words.size(-1)) for index, layer in enumerate(self.stack.layers)
        )
        layers = list(state.layers)
        tops: list[Tensor] = []
        attentional: list[Tensor] = []
        attention: list[Tensor] = []
        for position, word_gates in enumerate(bottom.project_known(words).unbind(1)):
            layers[0] = bottom(word_gates, fed, layers[0])
            for index, step in enumerate(upper, 1):
                layers[index] = step(step.bias, self.stack.dropout(layers[index - 1][0]), layers[index])
            fed, weights = self._attend_step(layers[-1][0], state.source, position)
            tops.append(layers[-1][0])
            attentional.append(fed)
            attention.append(weights)
        weights = torch.stack(attention, 1)  # (B, T, S)
        features = self.with_copying(
            torch.stack(attentional, 1), weights, torch.stack(tops, 1), words, state.source.copied
        )
        return DecoderOutput(features, weights if with_attention else None)


def build(config: Config, vocabulary_sizes: VocabularySizes) -> Seq2Seq:
    """Return a model with new weights, all uniform (section 4.1)."""
    encoder = LuongEncoder(config, vocabulary_sizes.source)
    decoder = LuongDecoder(config, vocabulary_sizes.target)
    model = Seq2Seq(encoder, decoder)
    init_uniform_(model, config.init_bound)
    zero_padding(model)
    return model
