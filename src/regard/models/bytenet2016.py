"""ByteNet: Kalchbrenner et al. 2016, "Neural Machine Translation in Linear Time" (arXiv 1610.10099v2).

Unfolding (section 3.2):  the encoder has |t^| = a |s| + b columns; the decoder is stacked on top of it, reads column i
                          at position i and none beyond |t^|, and continues until it writes EOS.
Block (figure 3, left):   LayerNorm, ReLU, 1x1 from 2d to d;  LayerNorm, ReLU, 1xk from d to d, dilated;
                          LayerNorm, ReLU, 1x1 from d to 2d;  plus the block's input.
Dilation (section 3.5):   1, 2, 4, 8, 16, and from 1 again. The decoder's 1xk is causal, the encoder's centred.
Output:                   after the last block a 1x1, ReLU, and a 1x1 to the logits.

There is no attention. The paper's tokens are characters; here the tokenizer decides.
Where the paper leaves it open: the decoder's input is the sum of an embedding and its column, both of size 2d; the
layer before the logits has size d; initial weights are as `build` says. Dropout on embeddings, on what a block adds and
before the logits is an addition; it is off in the paper's preset.

Padding (section 6):      a source is padded with a special character to the next multiple of 50, and then by another
                          20 percent for the unfolding, so |s| is the padded length. The special character has an
                          embedding, and the encoder reads it like any other.

`pad_to_multiple` is that multiple: 50 in the paper's preset. With 0, as in the other presets, |s| is the length of the
sentence, and the columns between |s| and |t^| start as zeros. Here a batch can hold sources of several padded lengths,
and the columns beyond |t^| are masked; in the paper all sources of a batch have the same padded length. The paper pads
targets, too, which changes nothing: the decoder is causal, and the padding follows EOS. This padding is from a
quotation of section 6, not checked against the text of the paper.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Literal

import torch
import torch.nn.functional as F
from pydantic import Field, field_validator
from torch import Tensor, nn

from regard.config.schema import MAX_KERNEL, MAX_LAYERS, MAX_POSITIONS, MAX_WIDTH, ModelConfig
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
from regard.nn.convolution import CausalConvolution, CentredConvolution
from regard.nn.dropout import Dropout
from regard.nn.embedding import token_embedding
from regard.nn.modules import LayerNorm, Linear, ModuleList
from regard.nn.output_layer import OutputLayerDecoder


class Config(ModelConfig):
    """Settings; the defaults are those of the paper's translation model, English to German, without its padding."""

    architecture: Literal["bytenet2016"] = Field("bytenet2016", description="The name of this architecture.")
    encoder_layers: int = Field(30, ge=1, le=MAX_LAYERS, description="Residual blocks of the encoder.")
    decoder_layers: int = Field(30, ge=1, le=MAX_LAYERS, description="Residual blocks of the decoder.")
    hidden_size: int = Field(
        800, ge=1, le=MAX_WIDTH, description="Channels inside a block (d); between blocks there are twice as many."
    )
    kernel_size: int = Field(
        3, ge=1, le=MAX_KERNEL, description="Positions that a convolution reads (k); an odd number."
    )
    num_dilations: int = Field(
        5, ge=1, le=16, description="Blocks in which dilation doubles, from 1, before it starts at 1 again."
    )
    unfold_factor: float = Field(1.2, ge=1, le=100, description="Encoder columns per source token (a).")
    unfold_extra: int = Field(
        0, ge=0, le=MAX_POSITIONS, description="Encoder columns in addition to `unfold_factor` per token (b)."
    )
    pad_to_multiple: int = Field(
        0,
        ge=0,
        le=MAX_POSITIONS,
        description="Pad sources with a special character to a multiple of this length, and then for unfolding. "
        "0: the columns after a source start as zeros.",
    )
    dropout: float = Field(
        0.0, ge=0, lt=1, description="Dropout on embeddings, on what a block adds and before the logits."
    )

    @field_validator("kernel_size")
    @classmethod
    def _check_odd(cls, kernel_size: int) -> int:
        if kernel_size % 2 == 0:
            raise ValueError(f"a kernel of {kernel_size} positions has no centre; use an odd number")
        return kernel_size


def paper() -> Config:
    """The paper's settings."""
    return Config(pad_to_multiple=50)


def small() -> Config:
    """For about ten thousand pairs and a CPU."""
    return Config(encoder_layers=10, decoder_layers=10, hidden_size=128, dropout=0.2)


def tiny() -> Config:
    """For thousands of pairs and a CPU. A training step costs about as much as with modern's tiny preset."""
    return Config(encoder_layers=10, decoder_layers=10, hidden_size=96, dropout=0.2)


def base() -> Config:
    """About as many parameters as modern's base preset, for millions of pairs and a GPU."""
    return Config(encoder_layers=15, decoder_layers=15, hidden_size=320, dropout=0.1)


PRESETS = {"paper": paper, "base": base, "small": small, "tiny": tiny}


class Block(nn.Module):
    """Figure 3's residual block (ReLU), without its convolution, which maps (..., d) to (..., d)."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        d = config.hidden_size
        self.norm = LayerNorm(2 * d)
        self.narrow = Linear(2 * d, d)
        self.inner_norm = LayerNorm(d)
        self.outer_norm = LayerNorm(d)
        self.widen = Linear(d, 2 * d)
        self.dropout = Dropout(config.dropout)

    def before_convolution(self, x: Tensor) -> Tensor:
        """Map the block's input (..., 2d) to the convolution's input (..., d)."""
        return F.relu(self.inner_norm(self.narrow(F.relu(self.norm(x)))))

    def after_convolution(self, x: Tensor, convolved: Tensor) -> Tensor:
        """Map the block's input (..., 2d) and the convolution's output (..., d) to the block's output (..., 2d)."""
        return x + self.dropout(self.widen(F.relu(self.outer_norm(convolved))))


class EncoderBlock(Block):
    """A block with a centred convolution."""

    def __init__(self, config: Config, dilation: int) -> None:
        super().__init__(config)
        self.convolution = CentredConvolution(config.hidden_size, config.hidden_size, config.kernel_size, dilation)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Map (B, S, 2d), with its mask (B, S), to (B, S, 2d)."""
        return self.after_convolution(x, self.convolution(self.before_convolution(x), mask))

    if TYPE_CHECKING:
        __call__ = forward


class DecoderBlock(Block):
    """A block with a causal convolution."""

    def __init__(self, config: Config, dilation: int) -> None:
        super().__init__(config)
        self.convolution = CausalConvolution(config.hidden_size, config.hidden_size, config.kernel_size, dilation)

    def forward(self, x: Tensor) -> Tensor:
        """Map a whole target (B, T, 2d) to (B, T, 2d)."""
        return self.after_convolution(x, self.convolution(self.before_convolution(x)))

    def step(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Map one position (N, 2d) to (N, 2d), and the convolution's state to the next."""
        convolved, state = self.convolution.step(self.before_convolution(x), state)
        return self.after_convolution(x, convolved), state

    if TYPE_CHECKING:
        __call__ = forward


def unfold(mask: Tensor, factor: float, extra: int, multiple: int = 1) -> Tensor:
    """Return the mask (B, S') of the columns for sources with mask (B, S) (equation 2).

    A source has ceil(factor x length + extra) columns, where length is rounded up to a multiple (section 6).
    """
    numerator, denominator = Fraction(factor).limit_denominator(10**6).as_integer_ratio()  # 1.2 is 6 / 5
    padded_lengths = (mask.sum(1) + multiple - 1) // multiple * multiple  # (B,)
    row_lengths = (numerator * padded_lengths + denominator - 1) // denominator + extra  # (B,)
    padded_width = (mask.size(1) + multiple - 1) // multiple * multiple
    width = (numerator * padded_width + denominator - 1) // denominator + extra
    return torch.arange(width, device=mask.device) < row_lengths.unsqueeze(1)


class ByteNetEncoder(Encoder):
    """Centred blocks over the unfolded source."""

    def __init__(self, config: Config, vocabulary_size: int) -> None:
        super().__init__()
        self.factor = config.unfold_factor
        self.extra = config.unfold_extra
        self.multiple = config.pad_to_multiple
        self.embedding = token_embedding(vocabulary_size, 2 * config.hidden_size)
        self.padding = nn.Parameter(torch.empty(2 * config.hidden_size).normal_()) if self.multiple else None
        self.dropout = Dropout(config.dropout)
        self.blocks: ModuleList[EncoderBlock] = ModuleList(
            EncoderBlock(config, 2 ** (number % config.num_dilations)) for number in range(config.encoder_layers)
        )

    def forward(self, tokens: Tensor, mask: Tensor) -> Memory:
        """Encode (B, S) as columns (B, S', 2d), zero where the memory's mask is False."""
        columns = unfold(mask, self.factor, self.extra, max(1, self.multiple))  # (B, S')
        x = self.dropout(self.embedding(tokens)) * mask.unsqueeze(-1)  # (B, S, 2d)
        missing = columns.size(1) - x.size(1)
        x = F.pad(x, (0, 0, 0, missing))  # (B, S', 2d)
        if self.padding is not None:
            is_source = F.pad(mask, (0, missing)).unsqueeze(-1)  # (B, S', 1)
            x = torch.where(is_source, x, self.dropout(self.padding.expand_as(x)))
        for block in self.blocks:
            x = block(x, columns)
        x = x * columns.unsqueeze(-1)
        return Memory(keys=x, values=x, mask=columns)


@dataclass(frozen=True)
class Columns(PerSource):
    """The encoder's columns (B, S', 2d), zero beyond the unfolded length."""

    values: Tensor


@dataclass(frozen=True)
class ByteNetState(State):
    """The state between steps.

    Attributes:
        source: The columns.
        blocks: The last inputs of each block's convolution, (N, (k - 1) x dilation, d).
        length: The number of target tokens so far.
    """

    source: Columns
    blocks: tuple[Tensor, ...]
    length: int


class ByteNetDecoder(OutputLayerDecoder[ByteNetState]):
    """Causal blocks on top of the encoder's columns."""

    has_attention = False

    def __init__(self, config: Config, vocabulary_size: int) -> None:
        super().__init__()
        self.vocabulary_size = vocabulary_size
        self.embedding = token_embedding(vocabulary_size, 2 * config.hidden_size)
        self.dropout = Dropout(config.dropout)
        self.blocks: ModuleList[DecoderBlock] = ModuleList(
            DecoderBlock(config, 2 ** (number % config.num_dilations)) for number in range(config.decoder_layers)
        )
        self.last = Linear(2 * config.hidden_size, config.hidden_size)
        self.output = Linear(config.hidden_size, vocabulary_size)

    def _features(self, x: Tensor) -> Tensor:
        return self.dropout(F.relu(self.last(x)))

    def init_state(self, memory: Memory) -> ByteNetState:
        """Return zeros for the inputs before the first position."""
        blocks = tuple(block.convolution.initial_state(memory.values) for block in self.blocks)
        return ByteNetState(Columns(memory.values), blocks, length=0)

    def advance(
        self, tokens: Tensor, state: ByteNetState, *, with_attention: bool = False
    ) -> StepFeatures[ByteNetState]:
        """Feed one token (N,), together with the column of its position."""
        x = self.dropout(self.embedding(tokens))  # (N, 2d)
        columns = F.pad(state.source.values, (0, 0, 0, 1))  # a column of zeros follows the last one
        position = torch.arange(state.length, state.length + 1, device=x.device).clamp(max=columns.size(1) - 1)
        x = x + expand_to_rows(columns.index_select(1, position).squeeze(1), x.size(0))
        next_blocks: list[Tensor] = []
        for block, before in zip(self.blocks, state.blocks, strict=True):
            x, after = block.step(x, before)
            next_blocks.append(after)
        return StepFeatures(self._features(x), ByteNetState(state.source, tuple(next_blocks), state.length + 1))

    def forward(self, tokens: Tensor, memory: Memory, *, with_attention: bool = False) -> DecoderOutput:
        """Decode all positions at once: (B, T) to features (B, T, d)."""
        x = self.dropout(self.embedding(tokens))  # (B, T, 2d)
        columns = memory.values[:, : x.size(1)]
        x = x + F.pad(columns, (0, 0, 0, x.size(1) - columns.size(1)))
        for block in self.blocks:
            x = block(x)
        return DecoderOutput(self._features(x))


def build(config: Config, vocabulary_sizes: VocabularySizes) -> Seq2Seq:
    """Return a model with new weights, about which the paper says nothing.

    Embeddings are N(0, 1), matrices after a ReLU N(0, 2 / inputs), and what the blocks of one side add is scaled so
    that all of it together has the variance of an embedding; the last two matrices are N(0, 1 / inputs).
    """
    encoder, decoder = ByteNetEncoder(config, vocabulary_sizes.source), ByteNetDecoder(config, vocabulary_sizes.target)
    for side, blocks in ((encoder, config.encoder_layers), (decoder, config.decoder_layers)):
        for name, module in side.blocks.named_modules():
            if isinstance(module, nn.Linear):
                share = blocks if name.endswith("widen") else 1
                nn.init.normal_(module.weight, std=math.sqrt(2 / module.in_features / share))
                nn.init.zeros_(module.bias)
    for last in (decoder.last, decoder.output):
        nn.init.normal_(last.weight, std=last.in_features**-0.5)
        nn.init.zeros_(last.bias)
    return Seq2Seq(encoder, decoder)
