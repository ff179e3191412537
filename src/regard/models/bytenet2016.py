"""ByteNet: Kalchbrenner et al. 2016, "Neural Machine Translation in Linear Time" (arXiv 1610.10099v2).

Unfolding (section 3.2):  the encoder is computed to |t^| = a |s| + b columns; the decoder stands on top of it,
                          reads column i at position i, none beyond |t^|, and goes on until it says EOS.
Block (figure 3, left):   LayerNorm, ReLU, 1x1 from 2d to d;  LayerNorm, ReLU, 1xk from d to d, dilated;
                          LayerNorm, ReLU, 1x1 from d to 2d;  plus the block's input.
Dilation (section 3.5):   1, 2, 4, 8, 16, and from 1 again. The decoder's 1xk is masked, the encoder's centred.
Output:                   behind the last block a 1x1, ReLU, a 1x1 to the logits.

There is no attention. The paper's tokens are characters; which they are is the tokenizer's affair.
Where the paper leaves it open: the decoder's input is the sum of an embedding and its column, both 2d
wide; the layer before the logits is d wide; weights begin as `build` says. Dropout, on embeddings, on what
a block adds and before the logits, is ours: off in the paper's preset.

Deviation: the columns between |s| and |t^| begin as zeros, and a batch's padding is masked. The paper
(section 6) fills them with special characters, which have an embedding: it pads sentences to the next
multiple of 50, and sources by another 20 per cent for the unfolding.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import Field, field_validator
from torch import Tensor, nn

from regard.config.schema import MAX_KERNEL, MAX_LAYERS, MAX_POSITIONS, MAX_WIDTH, ModelConfig
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
from regard.nn.convolution import CausalConvolution, CentredConvolution
from regard.nn.dropout import Dropout
from regard.nn.output_layer import select_outputs
from regard.special_tokens import PAD


class Config(ModelConfig):
    """Sizes; the defaults are those of the paper's translation model, English to German."""

    architecture: Literal["bytenet2016"] = "bytenet2016"
    encoder_blocks: int = Field(30, ge=1, le=MAX_LAYERS)
    decoder_blocks: int = Field(30, ge=1, le=MAX_LAYERS)
    d: int = Field(800, ge=1, le=MAX_WIDTH)  # inside a block; between blocks it is twice that
    kernel: int = Field(3, ge=1, le=MAX_KERNEL)
    dilations: int = Field(5, ge=1, le=16)  # how often dilation doubles before it begins again at 1
    unfold_factor: float = Field(1.2, ge=1, le=100)  # a
    unfold_extra: int = Field(0, ge=0, le=MAX_POSITIONS)  # b
    dropout: float = Field(0.0, ge=0, lt=1)

    @field_validator("kernel")
    @classmethod
    def _centred(cls, kernel: int) -> int:
        if kernel % 2 == 0:
            raise ValueError(f"a kernel of {kernel} has no centre: make it odd")
        return kernel


def paper() -> Config:
    """The paper's constants."""
    return Config()


def small() -> Config:
    """For some ten thousand pairs and a CPU."""
    return Config(encoder_blocks=10, decoder_blocks=10, d=128, dropout=0.2)


def tiny() -> Config:
    """For thousands of pairs and a CPU; a training step costs about as much as with modern's tiny preset."""
    return Config(encoder_blocks=10, decoder_blocks=10, d=96, dropout=0.2)


def base() -> Config:
    """About as many parameters as modern's base preset, for millions of pairs and a GPU."""
    return Config(encoder_blocks=15, decoder_blocks=15, d=320, dropout=0.1)


PRESETS = {"paper": paper, "base": base, "small": small, "tiny": tiny}


class Block(nn.Module):
    """Figure 3's residual block (ReLU), around the convolution that reads (..., d) and writes (..., d)."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(2 * config.d)
        self.narrow = nn.Linear(2 * config.d, config.d)
        self.inner_norm = nn.LayerNorm(config.d)
        self.outer_norm = nn.LayerNorm(config.d)
        self.widen = nn.Linear(config.d, 2 * config.d)
        self.dropout = Dropout(config.dropout)

    def read(self, x: Tensor) -> Tensor:
        """(..., 2d) to what the convolution reads, (..., d)."""
        return F.relu(self.inner_norm(self.narrow(F.relu(self.norm(x)))))

    def add(self, x: Tensor, convolved: Tensor) -> Tensor:
        """The block's input (..., 2d) and what the convolution gave, (..., d), to the block's output (..., 2d)."""
        added: Tensor = self.dropout(self.widen(F.relu(self.outer_norm(convolved))))
        return x + added


class EncoderBlock(Block):
    """Sees to both sides."""

    def __init__(self, config: Config, dilation: int) -> None:
        super().__init__(config)
        self.convolution = CentredConvolution(config.d, config.d, config.kernel, dilation)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """(B, S, 2d) and its mask (B, S) to (B, S, 2d)."""
        return self.add(x, self.convolution(self.read(x), mask))


class DecoderBlock(Block):
    """Sees what is written."""

    def __init__(self, config: Config, dilation: int) -> None:
        super().__init__(config)
        self.convolution = CausalConvolution(config.d, config.d, config.kernel, dilation)

    def forward(self, x: Tensor) -> Tensor:
        """A whole target (B, T, 2d) to (B, T, 2d)."""
        return self.add(x, self.convolution(self.read(x)))

    def step(self, x: Tensor, past: Tensor) -> tuple[Tensor, Tensor]:
        """One position (N, 2d) and what the convolution read before it to (N, 2d) and that past with it."""
        convolved, past = self.convolution.step(self.read(x), past)
        return self.add(x, convolved), past


def unfold(mask: Tensor, factor: float, extra: int) -> Tensor:
    """A source's mask (B, S) to that of its columns (B, S'): ceil(factor x length + extra) of each row (equation 2)."""
    lengths = [math.ceil(round(factor * length + extra, 6)) for length in range(mask.size(1) + 1)]
    of_row = torch.tensor(lengths, device=mask.device)[mask.sum(1)]
    return torch.arange(lengths[-1], device=mask.device) < of_row.unsqueeze(1)


class ByteNetEncoder(Encoder):
    """Centred blocks over the unfolded source."""

    def __init__(self, config: Config, vocabulary: int) -> None:
        super().__init__()
        self.factor = config.unfold_factor
        self.extra = config.unfold_extra
        self.embedding = nn.Embedding(vocabulary, 2 * config.d, padding_idx=PAD)
        self.dropout = Dropout(config.dropout)
        dilations = (2 ** (number % config.dilations) for number in range(config.encoder_blocks))
        self.blocks = nn.ModuleList(EncoderBlock(config, dilation) for dilation in dilations)

    def forward(self, tokens: Tensor, mask: Tensor) -> Memory:
        """(B, S) to columns (B, S', 2d), zero where the memory's mask is False."""
        columns = unfold(mask, self.factor, self.extra)
        x = self.dropout(self.embedding(tokens)) * mask.unsqueeze(-1)
        x = F.pad(x, (0, 0, 0, columns.size(1) - x.size(1)))
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
    """What each block's convolution read last, (N, (k - 1) x dilation, d), and how many tokens there were."""

    source: Columns
    past: tuple[Tensor, ...]
    length: int


class ByteNetDecoder(Decoder[ByteNetState]):
    """Masked blocks on top of the encoder's columns."""

    has_attention = False

    def __init__(self, config: Config, vocabulary: int) -> None:
        super().__init__()
        self.vocabulary_size = vocabulary
        self.embedding = nn.Embedding(vocabulary, 2 * config.d, padding_idx=PAD)
        self.dropout = Dropout(config.dropout)
        dilations = (2 ** (number % config.dilations) for number in range(config.decoder_blocks))
        self.blocks = nn.ModuleList(DecoderBlock(config, dilation) for dilation in dilations)
        self.last = nn.Linear(2 * config.d, config.d)
        self.output = nn.Linear(config.d, vocabulary)

    def _decoder_blocks(self) -> list[DecoderBlock]:
        return [block for block in self.blocks if isinstance(block, DecoderBlock)]

    def _features(self, x: Tensor) -> Tensor:
        features: Tensor = self.dropout(F.relu(self.last(x)))
        return features

    def init_state(self, memory: Memory) -> ByteNetState:
        """Nothing written yet: zeros in every block's past."""
        past = tuple(block.convolution.start(memory.values) for block in self._decoder_blocks())
        return ByteNetState(Columns(memory.values), past, length=0)

    def advance(
        self, tokens: Tensor, state: ByteNetState, *, with_attention: bool = False
    ) -> StepFeatures[ByteNetState]:
        """One token and the column of its position."""
        x = self.dropout(self.embedding(tokens))  # (N, 2d)
        if state.length < state.source.values.size(1):
            x = x + expand_to_rows(state.source.values[:, state.length], len(x))
        kept: list[Tensor] = []
        for block, past in zip(self._decoder_blocks(), state.past, strict=True):
            x, now = block.step(x, past)
            kept.append(now)
        return StepFeatures(self._features(x), ByteNetState(state.source, tuple(kept), state.length + 1))

    def forward(self, tokens: Tensor, memory: Memory, *, with_attention: bool = False) -> DecoderOutput:
        """All positions at once: (B, T) to features (B, T, d)."""
        x = self.dropout(self.embedding(tokens))
        columns = memory.values[:, : x.size(1)]
        x = x + F.pad(columns, (0, 0, 0, x.size(1) - columns.size(1)))
        for block in self.blocks:
            x = block(x)
        return DecoderOutput(self._features(x))

    def readout(self, features: Tensor) -> Tensor:
        """(..., d) to logits (..., V)."""
        logits: Tensor = self.output(features)
        return logits

    def readout_subset(self, tokens: Tensor) -> Readout:
        """By the rows of the last 1x1 that are asked for."""
        return select_outputs(self.output, tokens)


def build(config: Config, vocabularies: VocabularySizes) -> Seq2Seq:
    """A model with fresh weights, of which the paper says nothing.

    Embeddings are N(0, 1), matrices behind a ReLU N(0, 2 / inputs), and what the blocks of one side add
    is scaled to have, all together, the variance of an embedding; the last two matrices are N(0, 1 / inputs).
    """
    encoder, decoder = ByteNetEncoder(config, vocabularies.source), ByteNetDecoder(config, vocabularies.target)
    for blocks in (encoder.blocks, decoder.blocks):
        for name, module in blocks.named_modules():
            if isinstance(module, nn.Linear):
                share = len(blocks) if name.endswith("widen") else 1
                nn.init.normal_(module.weight, std=math.sqrt(2 / module.in_features / share))
                nn.init.zeros_(module.bias)
    for last in (decoder.last, decoder.output):
        nn.init.normal_(last.weight, std=last.in_features**-0.5)
        nn.init.zeros_(last.bias)
    return Seq2Seq(encoder, decoder)
