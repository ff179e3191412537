"""ConvS2S: Gehring et al. 2017, "Convolutional Sequence to Sequence Learning" (arXiv 1705.03122).

Input (section 3.1):      e_j = w_j + p_j, words plus learned positions; on the target side g_i.
Block (section 3.2):      h^l = v(W^l [k inputs of h^{l-1}] + b) + h^{l-1}, v([A B]) = A * sigma(B); the encoder's
                          convolution is centred, the decoder's causal. Linear maps lead from the embedding's
                          width to the convolutions' and back.
Attention (section 3.3):  in every decoder layer d_i = W_d h_i + b_d + g_i (1),  a_ij = softmax_j d_i . z_j,
                          c_i = sum_j a_ij (z_j + e_j) (2), added to h_i.
Scaling (section 3.4):    the sum of a block's input and output times sqrt(0.5);  c_i times m sqrt(1 / m), m the
                          source's length;  the encoder's gradient over the number of attentions.
Weights (3.5 and 4.2):    normalised everywhere but in embeddings; drawn so that variance is kept.

Dropout:                  on embeddings, on the input of each convolution and on the decoder's output.

Where the paper leaves it open, as in its authors' code: a linear map takes c_i to the layer's width
and one takes h^{l-1} to h^l's where they differ; the encoder's gradient is divided by twice the number of
attentions, for z is in keys and values. A position beyond the last learned one is read as the last.

Where the paper and its authors' code (fairseq's fconv.py) differ, this model follows the paper. In the code:
- the sums W_d h_i + b_d + g_i, h_i + c_i and z_j + e_j are multiplied by sqrt(0.5) too, besides the residual sum;
- attention is inside the block: c_i is added to the gated convolution, and h^{l-1} after it;
- m is the padded length of the batch's sources. Here it is each source's own, so that padding changes nothing.
Weights that were trained with that code therefore do not fit this model.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import torch
import torch.nn.functional as F
from pydantic import BeforeValidator, Field, field_validator
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
)
from regard.nn.attention import masked_softmax
from regard.nn.attention_recorder import active_recorder
from regard.nn.convolution import CausalConvolution, CentredConvolution, WeightNormLinear
from regard.nn.dropout import Dropout
from regard.nn.output_layer import select_outputs
from regard.special_tokens import PAD


def _layers(given: Any) -> Any:
    """Pairs in lists, as TOML has them, to pairs in tuples."""
    if not isinstance(given, (list, tuple)) or not all(_is_layer(pair) for pair in given):
        raise ValueError(
            f"each layer is [width, kernel], whole numbers from 1 to {MAX_WIDTH:,} and {MAX_KERNEL:,}: "
            "for example [[256, 3], [256, 3]]"
        )
    return tuple(tuple(pair) for pair in given)


def _is_layer(pair: Any) -> bool:
    if not isinstance(pair, (list, tuple)) or len(pair) != 2 or not all(type(size) is int for size in pair):
        return False
    width, kernel = pair
    return bool(0 < width <= MAX_WIDTH and 0 < kernel <= MAX_KERNEL)


Layers = Annotated[tuple[tuple[int, int], ...], BeforeValidator(_layers), Field(min_length=1, max_length=MAX_LAYERS)]
"""Each layer's width and kernel, from the bottom up."""

PAPER_LAYERS = ((512, 3),) * 10 + ((768, 3),) * 3 + ((2048, 1),) * 2


class Config(ModelConfig):
    """Sizes; the defaults are the paper's English-German model (sections 4.2 and 5.1).

    The paper does not say its dropout, nor how many positions it learns: these are from its authors' code.
    """

    architecture: Literal["convs2s2017"] = "convs2s2017"
    embedding: int = Field(512, ge=1, le=MAX_WIDTH)  # f
    encoder: Layers = PAPER_LAYERS
    decoder: Layers = PAPER_LAYERS
    positions: int = Field(1024, ge=1, le=MAX_POSITIONS)
    dropout: float = Field(0.2, ge=0, lt=1)

    @field_validator("encoder")
    @classmethod
    def _centred(cls, layers: tuple[tuple[int, int], ...]) -> tuple[tuple[int, int], ...]:
        even = [kernel for _, kernel in layers if kernel % 2 == 0]
        if even:
            raise ValueError(f"a kernel of {even[0]} has no centre: make it odd")
        return layers


def paper() -> Config:
    """The paper's English-German model: 15 layers on either side."""
    return Config()


def small() -> Config:
    """For some ten thousand pairs and a CPU."""
    return Config(embedding=192, encoder=((192, 3),) * 4, decoder=((192, 3),) * 3)


def tiny() -> Config:
    """For thousands of pairs and a CPU; a training step costs about as much as with modern's tiny preset."""
    return Config(embedding=128, encoder=((160, 3),) * 4, decoder=((160, 3),) * 3)


def base() -> Config:
    """About as many parameters as modern's base preset, for millions of pairs and a GPU."""
    return Config(embedding=512, encoder=((512, 3),) * 8, decoder=((512, 3),) * 8)


PRESETS = {"paper": paper, "base": base, "small": small, "tiny": tiny}


class Embedding(nn.Module):
    """Words plus positions, with dropout (section 3.1)."""

    def __init__(self, config: Config, vocabulary: int) -> None:
        super().__init__()
        self.words = nn.Embedding(vocabulary, config.embedding, padding_idx=PAD)
        self.positions = nn.Embedding(config.positions, config.embedding)
        self.dropout = Dropout(config.dropout)

    def forward(self, tokens: Tensor, start: int = 0) -> Tensor:
        """(N, T) tokens, the first at position `start`, to (N, T, f)."""
        places = torch.arange(start, start + tokens.size(1), device=tokens.device)
        known = places.clamp(max=self.positions.num_embeddings - 1)
        embedded: Tensor = self.dropout(self.words(tokens) + self.positions(known))
        return embedded


class Residual(nn.Module):
    """(x + f(x)) sqrt(0.5); x passes through a linear map where f(x) has another width."""

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.projection = nn.Identity() if inputs == width else WeightNormLinear(inputs, width)

    def forward(self, x: Tensor, out: Tensor) -> Tensor:
        """x (..., inputs) and f(x) (..., width) to (..., width)."""
        total: Tensor = (self.projection(x) + out) * math.sqrt(0.5)
        return total


class EncoderBlock(nn.Module):
    """Convolution, gate, residual."""

    def __init__(self, inputs: int, width: int, kernel: int, dropout: float) -> None:
        super().__init__()
        self.dropout = Dropout(dropout)
        self.convolution = CentredConvolution(inputs, 2 * width, kernel, linear=WeightNormLinear)
        self.residual = Residual(inputs, width)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """(B, S, inputs) and its mask (B, S) to (B, S, width)."""
        out: Tensor = self.residual(x, F.glu(self.convolution(self.dropout(x), mask)))
        return out


class ConvS2SEncoder(Encoder):
    """Blocks over the embedded source, between two linear maps."""

    def __init__(self, config: Config, vocabulary: int) -> None:
        super().__init__()
        self.embedding = Embedding(config, vocabulary)
        widths = [config.encoder[0][0], *(width for width, _ in config.encoder)]
        self.enter = WeightNormLinear(config.embedding, widths[0])
        self.blocks = nn.ModuleList(
            EncoderBlock(inputs, width, kernel, config.dropout)
            for inputs, (width, kernel) in zip(widths, config.encoder, strict=False)
        )
        self.leave = WeightNormLinear(widths[-1], config.embedding)
        self.gradient_scale = 1 / (2 * len(config.decoder))

    def forward(self, tokens: Tensor, mask: Tensor) -> Memory:
        """(B, S) to keys z and values z + e, both (B, S, f)."""
        embedded = self.embedding(tokens)
        x = self.enter(embedded)
        for block in self.blocks:
            x = block(x, mask)
        z = self.leave(x)
        if z.requires_grad:
            z.register_hook(lambda gradient: gradient * self.gradient_scale)
        return Memory(keys=z, values=z + embedded, mask=mask)


@dataclass(frozen=True)
class Source(PerSource):
    """z (B, S, f), (z + e) m sqrt(1 / m) (B, S, f) and the mask (B, S)."""

    keys: Tensor
    values: Tensor
    mask: Tensor


class Attention(nn.Module):
    """One layer's attention (section 3.3)."""

    def __init__(self, width: int, embedding: int) -> None:
        super().__init__()
        self.query = WeightNormLinear(width, embedding)  # W_d, b_d
        self.spread = WeightNormLinear(embedding, width)

    def forward(self, h: Tensor, g: Tensor, source: Source) -> tuple[Tensor, Tensor]:
        """States h (B, T, width) and target embeddings g (B, T, f) to h + c (B, T, width) and weights (B, T, S)."""
        scores = (self.query(h) + g) @ source.keys.mT
        weights = masked_softmax(scores, source.mask.unsqueeze(1))
        if (recorder := active_recorder()) is not None:
            recorder.source_attention.append(weights.unsqueeze(1))
        attended: Tensor = h + self.spread(weights @ source.values)
        return attended, weights


class DecoderBlock(nn.Module):
    """Convolution over what is written, gate, residual, attention."""

    def __init__(self, inputs: int, width: int, kernel: int, config: Config) -> None:
        super().__init__()
        self.dropout = Dropout(config.dropout)
        self.convolution = CausalConvolution(inputs, 2 * width, kernel, linear=WeightNormLinear)
        self.residual = Residual(inputs, width)
        self.attention = Attention(width, config.embedding)

    def forward(self, x: Tensor, g: Tensor, source: Source) -> tuple[Tensor, Tensor]:
        """A whole target x (B, T, inputs), embedded as g (B, T, f), to (B, T, width) and weights (B, T, S)."""
        h = self.residual(x, F.glu(self.convolution(self.dropout(x))))
        attended: tuple[Tensor, Tensor] = self.attention(h, g, source)
        return attended

    def step(self, x: Tensor, g: Tensor, source: Source, past: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """As forward for a position x (B, rows of a sentence, inputs) of each row, and the past behind it.

        The past is (N, kernel - 1, inputs).
        """
        convolved, past = self.convolution.step(self.dropout(x.flatten(0, 1)), past)
        h = self.residual(x, F.glu(convolved).view(*x.shape[:2], -1))
        return *self.attention(h, g, source), past


@dataclass(frozen=True)
class ConvS2SState(State):
    """Each layer's last inputs, (N, kernel - 1, inputs), and how many tokens there were."""

    source: Source
    past: tuple[Tensor, ...]
    length: int


class ConvS2SDecoder(Decoder[ConvS2SState]):
    """Blocks over the target so far, each with its own look at the source."""

    def __init__(self, config: Config, vocabulary: int) -> None:
        super().__init__()
        self.vocabulary_size = vocabulary
        self.embedding = Embedding(config, vocabulary)
        widths = [config.decoder[0][0], *(width for width, _ in config.decoder)]
        self.enter = WeightNormLinear(config.embedding, widths[0])
        self.blocks = nn.ModuleList(
            DecoderBlock(inputs, width, kernel, config)
            for inputs, (width, kernel) in zip(widths, config.decoder, strict=False)
        )
        self.leave = WeightNormLinear(widths[-1], config.embedding)
        self.dropout = Dropout(config.dropout)
        self.output = WeightNormLinear(config.embedding, vocabulary)  # W_o, b_o

    def _decoder_blocks(self) -> list[DecoderBlock]:
        return [block for block in self.blocks if isinstance(block, DecoderBlock)]

    def _source(self, memory: Memory) -> Source:
        lengths = memory.mask.sum(1).to(memory.values.dtype)  # m; and m sqrt(1 / m) is sqrt(m)
        return Source(memory.keys, memory.values * lengths.sqrt()[:, None, None], memory.mask)

    def _features(self, x: Tensor) -> Tensor:
        features: Tensor = self.dropout(self.leave(x))
        return features

    def init_state(self, memory: Memory) -> ConvS2SState:
        """Nothing written yet: zeros in every layer's past."""
        past = tuple(block.convolution.start(memory.values) for block in self._decoder_blocks())
        return ConvS2SState(self._source(memory), past, length=0)

    def advance(
        self, tokens: Tensor, state: ConvS2SState, *, with_attention: bool = False
    ) -> StepFeatures[ConvS2SState]:
        """Attention is the mean over the layers."""
        g = self.embedding(tokens.unsqueeze(1), start=state.length)  # (N, 1, f)
        g = g.view(len(state.source.mask), -1, g.size(-1))  # (B, rows of a sentence, f)
        x = self.enter(g)
        kept: list[Tensor] = []
        looked: list[Tensor] = []
        for block, past in zip(self._decoder_blocks(), state.past, strict=True):
            x, weights, now = block.step(x, g, state.source, past)
            kept.append(now)
            looked.append(weights.flatten(0, 1))
        attention = torch.stack(looked).mean(0) if with_attention else None
        after = ConvS2SState(state.source, tuple(kept), state.length + 1)
        return StepFeatures(self._features(x).flatten(0, 1), after, attention)

    def forward(self, tokens: Tensor, memory: Memory, *, with_attention: bool = False) -> DecoderOutput:
        """All positions at once: (B, T) to features (B, T, f)."""
        source = self._source(memory)
        g = self.embedding(tokens)
        x = self.enter(g)
        looked: list[Tensor] = []
        for block in self.blocks:
            x, weights = block(x, g, source)
            looked.append(weights)
        return DecoderOutput(self._features(x), torch.stack(looked).mean(0) if with_attention else None)

    def readout(self, features: Tensor) -> Tensor:
        """(..., f) to logits (..., V)."""
        logits: Tensor = self.output(features)
        return logits

    def readout_subset(self, tokens: Tensor) -> Readout:
        """By the rows of W_o that are asked for."""
        return select_outputs(self.output, tokens)


def build(config: Config, vocabularies: VocabularySizes) -> Seq2Seq:
    """A model with fresh weights as section 3.5 has them.

    Embeddings are N(0, 0.1^2) and biases zero. A matrix of n inputs is N(0, 1 / n), before a gate
    N(0, 4 / n); behind dropout its variance is multiplied by the probability that an input is kept.
    """
    encoder, decoder = ConvS2SEncoder(config, vocabularies.source), ConvS2SDecoder(config, vocabularies.target)
    model = Seq2Seq(encoder, decoder)
    kept = 1 - config.dropout
    for name, module in model.named_modules():
        if isinstance(module, WeightNormLinear):
            gain = 4.0 if name.endswith("convolution.linear") else 1.0
            behind_dropout = name.endswith((".convolution.linear", ".enter", ".output"))
            module.draw(gain * kept if behind_dropout else gain)
        elif isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight, std=0.1)
    for table in (encoder.embedding.words, decoder.embedding.words):
        with torch.no_grad():
            table.weight[PAD].zero_()
    return model
