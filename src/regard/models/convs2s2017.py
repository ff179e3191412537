"""ConvS2S: Gehring et al. 2017, "Convolutional Sequence to Sequence Learning" (arXiv 1705.03122).

Input (section 3.1):      e_j = w_j + p_j, words plus learned positions; on the target side g_i.
Block (section 3.2):      h^l = v(W^l [k inputs of h^{l-1}] + b) + h^{l-1}, v([A B]) = A * sigma(B); the encoder's
                          convolution is centred, the decoder's causal. Linear maps lead from the embedding's
                          size to the convolutions' and back.
Attention (section 3.3):  in each decoder layer d_i = W_d h_i + b_d + g_i (1),  a_ij = softmax_j d_i . z_j,
                          c_i = sum_j a_ij (z_j + e_j) (2), added to h_i.
Scaling (section 3.4):    the sum of a block's input and output times sqrt(0.5);  c_i times m sqrt(1 / m), m the
                          source's length;  the encoder's gradient divided by the number of attentions.
Weights (3.5 and 4.2):    normalized everywhere but in embeddings; drawn so that the variance is kept.

Dropout:                  on embeddings, on the input of each convolution and on the decoder's output.

Where the paper leaves it open, as in its authors' code: a linear map takes c_i to the layer's size, and one takes
h^{l-1} to the size of h^l where they differ; the encoder's gradient is divided by twice the number of attentions,
because z is in keys and values. In the encoder, an even kernel reads one more position after its own than before it.
A position beyond the last learned one is read as the last.

Where the paper and its authors' code (fairseq's fconv.py) differ, `equations` chooses. With "fairseq"
- the sums W_d h_i + b_d + g_i, h_i + c_i and z_j + e_j are multiplied by sqrt(0.5) as well as the residual sum;
- attention is inside the block: c_i is added to the gated convolution, and h^{l-1} after it.
Different from early versions of that code in either case: m is each source's length, not the padded length of the
batch; the rows of all weights are normalized, not the taps of the decoder's convolutions.

`attention_layers` names the decoder layers that attend; in the paper all do.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Self

import torch
import torch.nn.functional as F
from pydantic import Field, model_validator
from torch import Tensor, nn

from regard.config.layers import Convolutions, LayerNumbers
from regard.config.schema import MAX_POSITIONS, MAX_WIDTH, ModelConfig
from regard.contract import DecoderOutput, Encoder, Memory, PerSource, Seq2Seq, State, StepFeatures, VocabularySizes
from regard.nn.attention import masked_softmax
from regard.nn.attention_recorder import active_recorder
from regard.nn.convolution import CausalConvolution, CentredConvolution, WeightNormLinear
from regard.nn.dropout import Dropout
from regard.nn.embedding import token_embedding, zero_padding
from regard.nn.modules import Embedding, ModuleList
from regard.nn.output_layer import OutputLayerDecoder

PAPER_LAYERS = ((512, 3),) * 10 + ((768, 3),) * 3 + ((2048, 1),) * 2


class Config(ModelConfig):
    """Settings; the defaults are the paper's English-German model (sections 4.2 and 5.1).

    The paper does not give its dropout nor the number of learned positions; these are from its authors' code.
    """

    architecture: Literal["convs2s2017"] = Field("convs2s2017", description="The name of this architecture.")
    embedding_size: int = Field(512, ge=1, le=MAX_WIDTH, description="Size of embeddings (f).")
    encoder_convolutions: Convolutions = Field(
        PAPER_LAYERS, description="The encoder's layers from the bottom up, each [channels, kernel size]."
    )
    decoder_convolutions: Convolutions = Field(
        PAPER_LAYERS, description="The decoder's layers from the bottom up, each [channels, kernel size]."
    )
    attention_layers: LayerNumbers = Field(
        None, description="Decoder layers that attend to the source, such as [1]; 1 is the lowest. Default: all."
    )
    equations: Literal["paper", "fairseq"] = Field(
        "paper",
        description="`fairseq`: the equations of the authors' code, which scales every sum and attends before the "
        "residual connection.",
    )
    max_positions: int = Field(
        1024, ge=1, le=MAX_POSITIONS, description="Learned positions; later tokens share the last one."
    )
    dropout: float = Field(
        0.2,
        ge=0,
        lt=1,
        description="Dropout on embeddings, on the input of each convolution and on the decoder's output.",
    )

    @model_validator(mode="after")
    def _check_attention_layers(self) -> Self:
        count = len(self.decoder_convolutions)
        if self.attention_layers is not None and self.attention_layers[-1] > count:
            raise ValueError(f"`attention_layers` has layer {self.attention_layers[-1]}, but the decoder has {count}")
        return self

    @property
    def attends(self) -> tuple[bool, ...]:
        """Whether each decoder layer attends to the source, from the bottom up."""
        numbers = range(1, len(self.decoder_convolutions) + 1)
        return tuple(self.attention_layers is None or number in self.attention_layers for number in numbers)

    @property
    def sum_scale(self) -> float:
        """The factor of the sums around attention: W_d h + b_d + g, h + c and z + e."""
        return math.sqrt(0.5) if self.equations == "fairseq" else 1.0


def paper() -> Config:
    """The paper's English-German model: 15 layers on either side."""
    return Config()


def small() -> Config:
    """For about ten thousand pairs and a CPU."""
    return Config(embedding_size=192, encoder_convolutions=((192, 3),) * 4, decoder_convolutions=((192, 3),) * 3)


def tiny() -> Config:
    """For thousands of pairs and a CPU. A training step costs about as much as with modern's tiny preset."""
    return Config(embedding_size=128, encoder_convolutions=((160, 3),) * 4, decoder_convolutions=((160, 3),) * 3)


def base() -> Config:
    """About as many parameters as modern's base preset, for millions of pairs and a GPU."""
    return Config(embedding_size=512, encoder_convolutions=((512, 3),) * 8, decoder_convolutions=((512, 3),) * 8)


PRESETS = {"paper": paper, "base": base, "small": small, "tiny": tiny}


class PositionalEmbedding(nn.Module):
    """Words plus learned positions, with dropout (section 3.1)."""

    def __init__(self, config: Config, vocabulary_size: int) -> None:
        super().__init__()
        self.words = token_embedding(vocabulary_size, config.embedding_size)
        self.positions = Embedding(config.max_positions, config.embedding_size)
        self.dropout = Dropout(config.dropout)

    def forward(self, tokens: Tensor, start: int = 0) -> Tensor:
        """Embed tokens (N, T), the first of which is at position `start`, as (N, T, f)."""
        positions = torch.arange(start, start + tokens.size(1), device=tokens.device)
        positions = positions.clamp(max=self.positions.num_embeddings - 1)
        return self.dropout(self.words(tokens) + self.positions(positions))

    if TYPE_CHECKING:
        __call__ = forward


class Residual(nn.Module):
    """(x + f(x)) sqrt(0.5); x passes through a linear map where f(x) has another size."""

    def __init__(self, input_size: int, size: int) -> None:
        super().__init__()
        self.projection = nn.Identity() if input_size == size else WeightNormLinear(input_size, size)

    def forward(self, x: Tensor, out: Tensor) -> Tensor:
        """Add x (..., input size) and f(x) (..., size)."""
        total: Tensor = (self.projection(x) + out) * math.sqrt(0.5)
        return total

    if TYPE_CHECKING:
        __call__ = forward


class EncoderBlock(nn.Module):
    """Centred convolution, gate, residual."""

    def __init__(self, input_size: int, size: int, kernel_size: int, dropout: float) -> None:
        super().__init__()
        self.dropout = Dropout(dropout)
        self.convolution = CentredConvolution(input_size, 2 * size, kernel_size, linear=WeightNormLinear)
        self.residual = Residual(input_size, size)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Map (B, S, input size), with its mask (B, S), to (B, S, size)."""
        return self.residual(x, F.glu(self.convolution(self.dropout(x), mask)))

    if TYPE_CHECKING:
        __call__ = forward


class ConvS2SEncoder(Encoder):
    """Blocks over the embedded source, between two linear maps."""

    def __init__(self, config: Config, vocabulary_size: int) -> None:
        super().__init__()
        layers = config.encoder_convolutions
        self.embedding = PositionalEmbedding(config, vocabulary_size)
        sizes = [layers[0][0], *(size for size, _ in layers)]
        self.enter = WeightNormLinear(config.embedding_size, sizes[0])
        self.blocks: ModuleList[EncoderBlock] = ModuleList(
            EncoderBlock(input_size, size, kernel_size, config.dropout)
            for input_size, (size, kernel_size) in zip(sizes, layers, strict=False)
        )
        self.leave = WeightNormLinear(sizes[-1], config.embedding_size)
        self.sum_scale = config.sum_scale
        self.gradient_scale = 1 / (2 * sum(config.attends))

    def forward(self, tokens: Tensor, mask: Tensor) -> Memory:
        """Encode (B, S) as keys z and values z + e, both (B, S, f)."""
        embedded = self.embedding(tokens)  # e (B, S, f)
        x = self.enter(embedded)
        for block in self.blocks:
            x = block(x, mask)
        z = self.leave(x)  # (B, S, f)
        if z.requires_grad:
            z.register_hook(lambda gradient: gradient * self.gradient_scale)
        return Memory(keys=z, values=(z + embedded) * self.sum_scale, mask=mask)


@dataclass(frozen=True)
class Source(PerSource):
    """z (B, S, f), (z + e) m sqrt(1 / m) (B, S, f) and the mask (B, S)."""

    keys: Tensor
    values: Tensor
    mask: Tensor

    @classmethod
    def of(cls, memory: Memory) -> Source:
        """Scale the encoder's values by the length of each source."""
        lengths = memory.mask.sum(1).to(memory.values.dtype)  # m; and m sqrt(1 / m) is sqrt(m)
        return cls(memory.keys, memory.values * lengths.sqrt()[:, None, None], memory.mask)


class Attention(nn.Module):
    """The attention of one decoder layer (section 3.3)."""

    def __init__(self, size: int, config: Config) -> None:
        super().__init__()
        self.query = WeightNormLinear(size, config.embedding_size)  # W_d, b_d
        self.spread = WeightNormLinear(config.embedding_size, size)
        self.sum_scale = config.sum_scale

    def forward(self, h: Tensor, g: Tensor, source: Source) -> tuple[Tensor, Tensor]:
        """Map states h (B, T, size) and target embeddings g (B, T, f) to h + c (B, T, size) and weights (B, T, S)."""
        scores = (self.query(h) + g) * self.sum_scale @ source.keys.mT  # (B, T, S)
        weights = masked_softmax(scores, source.mask.unsqueeze(1))
        if (recorder := active_recorder()) is not None:
            recorder.source_attention.append(weights.unsqueeze(1))
        return (h + self.spread(weights @ source.values)) * self.sum_scale, weights

    if TYPE_CHECKING:
        __call__ = forward


class DecoderBlock(nn.Module):
    """Causal convolution, gate, residual, attention if this layer attends."""

    def __init__(self, input_size: int, size: int, kernel_size: int, attends: bool, config: Config) -> None:
        super().__init__()
        self.dropout = Dropout(config.dropout)
        self.convolution = CausalConvolution(input_size, 2 * size, kernel_size, linear=WeightNormLinear)
        self.residual = Residual(input_size, size)
        self.attention = Attention(size, config) if attends else None
        self.attends_before_residual = config.equations == "fairseq"

    def forward(self, x: Tensor, g: Tensor, source: Source) -> tuple[Tensor, Tensor | None]:
        """Map a whole target x (B, T, input size), embedded as g (B, T, f), to (B, T, size) and weights (B, T, S)."""
        return self._attend(x, F.glu(self.convolution(self.dropout(x))), g, source)

    def _attend(self, x: Tensor, gated: Tensor, g: Tensor, source: Source) -> tuple[Tensor, Tensor | None]:
        """Add the block's input x (B, T, input size) and attention to the gated convolution (B, T, size)."""
        if self.attention is None:
            return self.residual(x, gated), None
        if self.attends_before_residual:
            h, weights = self.attention(gated, g, source)
            return self.residual(x, h), weights
        return self.attention(self.residual(x, gated), g, source)

    def step(self, x: Tensor, g: Tensor, source: Source, state: Tensor) -> tuple[Tensor, Tensor | None, Tensor]:
        """Map one position of each row, x (B, N / B, input size), as `forward` does, and return the next state too.

        The state is the convolution's last inputs, (N, k - 1, input size).
        """
        convolved, state = self.convolution.step(self.dropout(x.flatten(0, 1)), state)
        return *self._attend(x, F.glu(convolved).view(*x.shape[:2], -1), g, source), state

    if TYPE_CHECKING:
        __call__ = forward


@dataclass(frozen=True)
class ConvS2SState(State):
    """The state between steps.

    Attributes:
        source: The source.
        blocks: The last inputs of each block's convolution, (N, k - 1, input size).
        length: The number of target tokens so far.
    """

    source: Source
    blocks: tuple[Tensor, ...]
    length: int


class ConvS2SDecoder(OutputLayerDecoder[ConvS2SState]):
    """Blocks over the target so far, with attention to the source."""

    def __init__(self, config: Config, vocabulary_size: int) -> None:
        super().__init__()
        self.vocabulary_size = vocabulary_size
        layers = config.decoder_convolutions
        self.embedding = PositionalEmbedding(config, vocabulary_size)
        sizes = [layers[0][0], *(size for size, _ in layers)]
        self.enter = WeightNormLinear(config.embedding_size, sizes[0])
        self.blocks: ModuleList[DecoderBlock] = ModuleList(
            DecoderBlock(input_size, size, kernel_size, attends, config)
            for input_size, (size, kernel_size), attends in zip(sizes, layers, config.attends, strict=False)
        )
        self.leave = WeightNormLinear(sizes[-1], config.embedding_size)
        self.dropout = Dropout(config.dropout)
        self.output = WeightNormLinear(config.embedding_size, vocabulary_size)  # W_o, b_o

    def _features(self, x: Tensor) -> Tensor:
        return self.dropout(self.leave(x))

    def init_state(self, memory: Memory) -> ConvS2SState:
        """Return zeros for the inputs before the first position."""
        blocks = tuple(block.convolution.initial_state(memory.values) for block in self.blocks)
        return ConvS2SState(Source.of(memory), blocks, length=0)

    def advance(
        self, tokens: Tensor, state: ConvS2SState, *, with_attention: bool = False
    ) -> StepFeatures[ConvS2SState]:
        """Feed one token (N,). Attention is the mean over the layers that attend."""
        g = self.embedding(tokens.unsqueeze(1), start=state.length)  # (N, 1, f)
        g = g.view(state.source.mask.size(0), -1, g.size(-1))  # (B, N / B, f)
        x = self.enter(g)
        next_blocks: list[Tensor] = []
        weights: list[Tensor] = []
        for block, before in zip(self.blocks, state.blocks, strict=True):
            x, block_weights, after = block.step(x, g, state.source, before)
            next_blocks.append(after)
            if block_weights is not None:
                weights.append(block_weights.flatten(0, 1))  # (N, S)
        attention = torch.stack(weights).mean(0) if with_attention else None
        next_state = ConvS2SState(state.source, tuple(next_blocks), state.length + 1)
        return StepFeatures(self._features(x).flatten(0, 1), next_state, attention)

    def forward(self, tokens: Tensor, memory: Memory, *, with_attention: bool = False) -> DecoderOutput:
        """Decode all positions at once: (B, T) to features (B, T, f)."""
        source = Source.of(memory)
        g = self.embedding(tokens)  # (B, T, f)
        x = self.enter(g)
        weights: list[Tensor] = []
        for block in self.blocks:
            x, block_weights = block(x, g, source)
            if block_weights is not None:
                weights.append(block_weights)
        return DecoderOutput(self._features(x), torch.stack(weights).mean(0) if with_attention else None)


def build(config: Config, vocabulary_sizes: VocabularySizes) -> Seq2Seq:
    """Return a model with new weights, as in section 3.5.

    Embeddings are N(0, 0.1^2) and biases zero. A matrix of n inputs is N(0, 1 / n), before a gate N(0, 4 / n); after
    dropout its variance is multiplied by the probability that an input is kept.
    """
    encoder = ConvS2SEncoder(config, vocabulary_sizes.source)
    decoder = ConvS2SDecoder(config, vocabulary_sizes.target)
    model = Seq2Seq(encoder, decoder)
    keep_probability = 1 - config.dropout
    for name, module in model.named_modules():
        if isinstance(module, WeightNormLinear):
            gain = 4.0 if name.endswith("convolution.linear") else 1.0
            is_after_dropout = name.endswith((".convolution.linear", ".enter", ".output"))
            module.init_weights(gain * keep_probability if is_after_dropout else gain)
        elif isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight, std=0.1)
    zero_padding(model)
    return model
