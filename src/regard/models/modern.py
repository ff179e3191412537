"""A Transformer with the improvements since 2017 that proved themselves, compared with transformer2017 by measurement.

Layer:           x = x + f(norm(x)) for each sub-layer f (Xiong et al. 2020), with a norm after the last layer.
Norm:            layer normalization without a bias. RMSNorm (Zhang and Sennrich 2019) makes nearly the same model
                 (Jiang et al. 2023) and takes twice the time on a CPU, for which PyTorch fuses only the first.
Feed-forward:    (silu(x W) * x V) W_2 (Shazeer 2020, equation 6); `ffn_size` is two thirds of transformer2017's for
                 the same number of parameters.
Self-attention:  rotary positions (Su et al. 2021); several heads may share keys and values (Ainslie et al. 2023).
Source:          attention without positions to the encoder's output, as in transformer2017.
Recurrence:      with decoder = "ssru", an SSRU (Kim et al. 2019, D19-5632) replaces the self-attention of the decoder;
                 its state does not grow, which makes search fast.
Embeddings:      one matrix for source, target and output, multiplied by sqrt(d) in the input; with two vocabularies,
                 one for target and output.
Dropout:         on the output of each sub-layer and on embeddings.
Copying:         with `copy_attention`, a pointer-generator (regard.nn.copying, regard.nn.transformer).

Only the forget gate of the SSRU has a bias. Initial weights are N(0, 1 / inputs). Those that write into the residual
stream are divided by the square root of their number (Radford et al. 2019, section 2.3), so that its scale does not
depend on the depth.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field, model_validator
from torch import Tensor, nn

from regard.config.schema import COPY_ATTENTION, MAX_HEADS, MAX_LAYERS, MAX_WIDTH, ModelConfig
from regard.contract import Seq2Seq, VocabularySizes
from regard.nn.attention_memory import KeysValues, SequenceMemory, SourceMemory
from regard.nn.dropout import Dropout
from regard.nn.embedding import ScaledEmbedding, token_embedding, zero_padding
from regard.nn.feedforward import silu_times
from regard.nn.modules import Linear
from regard.nn.norm import LayerNorm, add, add_then_norm
from regard.nn.rotary import RotaryPositions
from regard.nn.scaled_dot_product import split_heads
from regard.nn.ssru import SSRU
from regard.nn.transformer import (
    TransformerDecoder,
    TransformerDecoderLayer,
    TransformerEncoder,
    TransformerEncoderLayer,
)


class Config(ModelConfig):
    """Settings; the defaults are those of transformer2017's base model."""

    architecture: Literal["modern"] = Field("modern", description="The name of this architecture.")
    encoder_layers: int = Field(6, ge=1, le=MAX_LAYERS, description="Layers of the encoder.")
    decoder_layers: int = Field(6, ge=1, le=MAX_LAYERS, description="Layers of the decoder.")
    hidden_size: int = Field(512, ge=2, le=MAX_WIDTH, description="Size of embeddings and of each layer's output.")
    ffn_size: int = Field(
        1344, ge=1, le=MAX_WIDTH, description="Units inside the gated feed-forward network, which has three matrices."
    )
    num_heads: int = Field(8, ge=1, le=MAX_HEADS, description="Attention heads; twice as many divide `hidden_size`.")
    num_kv_heads: int = Field(
        0, ge=0, le=MAX_HEADS, description="Heads of keys and values; they divide `num_heads`. 0: `num_heads`."
    )
    decoder: Literal["attention", "ssru"] = Field(
        "attention", description="How a target position reads those before it: self-attention or a recurrence (SSRU)."
    )
    dropout: float = Field(0.1, ge=0, lt=1, description="Dropout on the output of each sub-layer and on embeddings.")
    copy_attention: bool = COPY_ATTENTION

    @model_validator(mode="after")
    def _check_heads(self) -> Config:
        if self.hidden_size % (2 * self.num_heads):
            raise ValueError(f"twice num_heads ({self.num_heads}) must divide hidden_size ({self.hidden_size})")
        if self.num_kv_heads and self.num_heads % self.num_kv_heads:
            raise ValueError(f"num_kv_heads ({self.num_kv_heads}) must divide num_heads ({self.num_heads})")
        return self


def base() -> Config:
    """As large as transformer2017's base."""
    return Config()


def small() -> Config:
    """As large as transformer2017's small."""
    return Config(encoder_layers=3, decoder_layers=3, hidden_size=256, ffn_size=672, num_heads=4, dropout=0.2)


def tiny() -> Config:
    """As large as transformer2017's tiny."""
    return Config(encoder_layers=4, decoder_layers=4, hidden_size=128, ffn_size=336, num_heads=4, dropout=0.1)


def fast() -> Config:
    """As large as tiny, with most of it in the encoder, which search runs once: for fast translation."""
    return Config(
        encoder_layers=8,
        decoder_layers=2,
        hidden_size=128,
        ffn_size=336,
        num_heads=4,
        num_kv_heads=2,
        decoder="ssru",
        dropout=0.1,
    )


PRESETS = {"base": base, "small": small, "tiny": tiny, "fast": fast}


class Norm(LayerNorm):
    """Layer normalization with a gain and no bias."""

    def __init__(self, size: int) -> None:
        super().__init__(size, eps=1e-6, bias=False)


class GatedFeedForward(nn.Module):
    """(silu(x W) * x V) W_2, at each position separately."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.gate = Linear(config.hidden_size, config.ffn_size, bias=False)  # W
        self.input = Linear(config.hidden_size, config.ffn_size, bias=False)  # V
        self.output = Linear(config.ffn_size, config.hidden_size, bias=False)  # W_2

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, T, D) to (N, T, D)."""
        return self.output(silu_times(self.gate(x), self.input(x)))

    if TYPE_CHECKING:
        __call__ = forward


class GroupedQueryAttention(nn.Module):
    """The projections of attention, whose H query heads share K heads of keys and values."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.head_size = config.hidden_size // config.num_heads
        kv_size = (config.num_kv_heads or config.num_heads) * self.head_size
        self.query = Linear(config.hidden_size, config.hidden_size, bias=False)
        self.key = Linear(config.hidden_size, kv_size, bias=False)
        self.value = Linear(config.hidden_size, kv_size, bias=False)
        self.output = Linear(config.hidden_size, config.hidden_size, bias=False)


class SelfAttention(GroupedQueryAttention):
    """Attention between the positions of a sequence, with rotary positions."""

    def __init__(self, config: Config, rotary: RotaryPositions) -> None:
        super().__init__(config)
        self.rotary = rotary

    def forward(self, x: Tensor, sequence: SequenceMemory) -> Tensor:
        """Attend from x (N, T, D) to the sequence that it is part of: (N, T, D)."""
        keys = self.rotary(split_heads(self.key(x), self.head_size), sequence.positions)  # (N, T, K, W)
        values = split_heads(self.value(x), self.head_size)  # (N, T, K, W)
        queries = self.rotary(split_heads(self.query(x), self.head_size), sequence.positions)  # (N, T, H, W)
        return self.output(sequence.attend(queries, keys, values))

    if TYPE_CHECKING:
        __call__ = forward


class SourceAttention(GroupedQueryAttention):
    """Attention from target positions to the source, without positions."""

    def project(self, memory: Tensor) -> KeysValues:
        """Project the encoder's output (N, S, D) to keys and values (N, S, K, W)."""
        keys, values = self.key(memory), self.value(memory)
        return KeysValues(split_heads(keys, self.head_size), split_heads(values, self.head_size))

    def forward(self, x: Tensor, source: SourceMemory) -> Tensor:
        """Attend from x (N, T, D) to what `project` returned: (N, T, D)."""
        return self.output(source.attend(split_heads(self.query(x), self.head_size)))

    if TYPE_CHECKING:
        __call__ = forward


class EncoderLayer(TransformerEncoderLayer):
    """Self-attention and feed-forward."""

    def __init__(self, config: Config, rotary: RotaryPositions) -> None:
        super().__init__()
        self.attention_norm = Norm(config.hidden_size)
        self.attention = SelfAttention(config, rotary)
        self.ff_norm = Norm(config.hidden_size)
        self.ff = GatedFeedForward(config)
        self.dropout = Dropout(config.dropout)

    def forward(self, x: Tensor, source: SequenceMemory) -> Tensor:
        """Map source positions x (N, S, D) to (N, S, D)."""
        x, normed = add_then_norm(x, self.attention(self.attention_norm(x), source), self.ff_norm, self.dropout)
        return add(x, self.ff(normed), self.dropout)


class DecoderLayer(TransformerDecoderLayer):
    """Causal self-attention or an SSRU, attention to the source, and feed-forward."""

    def __init__(self, config: Config, rotary: RotaryPositions) -> None:
        super().__init__()
        self.past_norm = Norm(config.hidden_size)  # before `past`: these are the names in checkpoints
        self.past = SSRU(config.hidden_size) if config.decoder == "ssru" else SelfAttention(config, rotary)
        self.source_norm = Norm(config.hidden_size)
        self.source_attention = SourceAttention(config)
        self.ff_norm = Norm(config.hidden_size)
        self.ff = GatedFeedForward(config)
        self.dropout = Dropout(config.dropout)

    def forward(self, x: Tensor, target: SequenceMemory, source: SourceMemory) -> Tensor:
        """Map target positions x (N, T, D) to (N, T, D)."""
        x, normed = add_then_norm(x, self.past(self.past_norm(x), target), self.source_norm, self.dropout)
        x, normed = add_then_norm(x, self.source_attention(normed, source), self.ff_norm, self.dropout)
        return add(x, self.ff(normed), self.dropout)


def build(config: Config, vocabulary_sizes: VocabularySizes) -> Seq2Seq:
    """Return a model with new weights, as the module's docstring says; those of embeddings are N(0, 1/d)."""
    target = token_embedding(vocabulary_sizes.target, config.hidden_size)
    source = target if vocabulary_sizes.joint else token_embedding(vocabulary_sizes.source, config.hidden_size)
    head_size = config.hidden_size // config.num_heads
    rotary = RotaryPositions(head_size)
    encoder = TransformerEncoder(
        ScaledEmbedding(source, config.dropout),
        (EncoderLayer(config, rotary) for _ in range(config.encoder_layers)),
        Norm(config.hidden_size),
        head_size=head_size,
    )
    rotary = RotaryPositions(head_size)
    decoder = TransformerDecoder(
        ScaledEmbedding(target, config.dropout),
        (DecoderLayer(config, rotary) for _ in range(config.decoder_layers)),
        Norm(config.hidden_size),
        head_size=head_size,
        is_recurrent=config.decoder == "ssru",
        copies=config.copy_attention,
    )
    for stack, sublayers in ((encoder, 2 * config.encoder_layers), (decoder, 3 * config.decoder_layers)):
        for name, module in stack.named_modules():
            if isinstance(module, nn.Linear):
                is_residual = name.endswith(".output")  # it writes into the residual stream
                nn.init.normal_(module.weight, std=(module.in_features * (sublayers if is_residual else 1)) ** -0.5)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
    for table in (target,) if source is target else (source, target):
        nn.init.normal_(table.weight, std=config.hidden_size**-0.5)
    model = Seq2Seq(encoder, decoder)
    zero_padding(model)
    return model
