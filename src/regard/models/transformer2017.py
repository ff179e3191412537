"""The Transformer: Vaswani et al. 2017, "Attention Is All You Need" (arXiv 1706.03762).

Encoder layer (section 3.1):   x = LayerNorm(x + Attention(x, x, x));  x = LayerNorm(x + FFN(x))
Decoder layer:                 masked self-attention, then attention to the encoder's output, then FFN, each so.
FFN (equation 2):              max(0, x W1 + b1) W2 + b2
Embeddings (section 3.4):      one matrix for source, target and output, times sqrt(d) on the way in.
Dropout (section 5.4):         on each sub-layer's output and on embeddings + positions.

Deviations: attention's projections carry biases (the equations show none), as in the systems that
share weights with this one. With two separate vocabularies, only target and output share a matrix.

Marian's Transformers (Junczys-Dowmunt et al. 2018, P18-4020), which regard imports, differ from the paper's by two
options: `activation = "silu"` is x sigmoid(x) in the place of max(0, x), and `output_bias` adds a bias to the logits.
Their defaults are the paper's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field, model_validator
from torch import Tensor, nn

from regard.config.schema import MAX_HEADS, MAX_LAYERS, MAX_WIDTH, ModelConfig
from regard.contract import Seq2Seq, VocabularySizes
from regard.nn.attention_memory import SequenceMemory, SourceMemory
from regard.nn.dropout import Dropout
from regard.nn.embedding import ScaledEmbedding, token_embedding, zero_padding
from regard.nn.feedforward import feed_forward
from regard.nn.modules import LayerNorm, Linear
from regard.nn.multihead import MultiHeadSelfAttention, MultiHeadSourceAttention
from regard.nn.norm import add_norm
from regard.nn.position import SinusoidPositions
from regard.nn.transformer import (
    TransformerDecoder,
    TransformerDecoderLayer,
    TransformerEncoder,
    TransformerEncoderLayer,
)


class Config(ModelConfig):
    """Sizes; the defaults are the paper's base model (table 3)."""

    architecture: Literal["transformer2017"] = "transformer2017"
    encoder_layers: int = Field(6, ge=1, le=MAX_LAYERS)
    decoder_layers: int = Field(6, ge=1, le=MAX_LAYERS)
    d_model: int = Field(512, ge=2, multiple_of=2, le=MAX_WIDTH)
    ff: int = Field(2048, ge=1, le=MAX_WIDTH)
    heads: int = Field(8, ge=1, le=MAX_HEADS)
    dropout: float = Field(0.1, ge=0, lt=1)
    activation: Literal["relu", "silu"] = "relu"  # inside the feed-forward
    output_bias: bool = False  # a bias for each token of the target

    @model_validator(mode="after")
    def _heads_divide(self) -> Config:
        if self.d_model % self.heads:
            raise ValueError(f"heads ({self.heads}) must divide d_model ({self.d_model})")
        return self


def base() -> Config:
    """The paper's base model; table 3 says 65 M parameters, 37,000 joint tokens make 63 M."""
    return Config()


def big() -> Config:
    """The paper's big model; its English-French one has dropout 0.1."""
    return Config(d_model=1024, ff=4096, heads=16, dropout=0.3)


def small() -> Config:
    """For some ten thousand pairs and a CPU."""
    return Config(encoder_layers=3, decoder_layers=3, d_model=256, ff=1024, heads=4, dropout=0.2)


def tiny() -> Config:
    """For some ten thousand pairs of short sentences: narrower, and sooner good, than small."""
    return Config(encoder_layers=4, decoder_layers=4, d_model=128, ff=512, heads=4, dropout=0.1)


PRESETS = {"paper": base, "base": base, "big": big, "small": small, "tiny": tiny}


class FeedForward(nn.Sequential):
    """max(0, x W1 + b1) W2 + b2 (equation 2), at each position separately."""

    def __init__(self, config: Config) -> None:
        activation = nn.SiLU() if config.activation == "silu" else nn.ReLU()
        super().__init__(Linear(config.d_model, config.ff), activation, Linear(config.ff, config.d_model))

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, T, D) to (N, T, D)."""
        return feed_forward(x, self)

    if TYPE_CHECKING:
        __call__ = forward


class EncoderLayer(TransformerEncoderLayer):
    """Self-attention and feed-forward, each with a residual connection and a norm."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.attention = MultiHeadSelfAttention(config.d_model, config.heads)
        self.attention_norm = LayerNorm(config.d_model)
        self.ff = FeedForward(config)
        self.ff_norm = LayerNorm(config.d_model)
        self.dropout = Dropout(config.dropout)

    def forward(self, x: Tensor, source: SequenceMemory) -> Tensor:
        """Map source positions x (N, S, D) to (N, S, D)."""
        x = add_norm(x, self.attention(x, source), self.attention_norm, self.dropout)
        return add_norm(x, self.ff(x), self.ff_norm, self.dropout)


class DecoderLayer(TransformerDecoderLayer):
    """Masked self-attention, attention to the encoder's output, and feed-forward."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.attention = MultiHeadSelfAttention(config.d_model, config.heads)
        self.attention_norm = LayerNorm(config.d_model)
        self.source_attention = MultiHeadSourceAttention(config.d_model, config.heads)
        self.source_norm = LayerNorm(config.d_model)
        self.ff = FeedForward(config)
        self.ff_norm = LayerNorm(config.d_model)
        self.dropout = Dropout(config.dropout)

    def forward(self, x: Tensor, target: SequenceMemory, source: SourceMemory) -> Tensor:
        """Map target positions x (N, T, D) to (N, T, D)."""
        x = add_norm(x, self.attention(x, target), self.attention_norm, self.dropout)
        x = add_norm(x, self.source_attention(x, source), self.source_norm, self.dropout)
        return add_norm(x, self.ff(x), self.ff_norm, self.dropout)


def build(config: Config, vocabulary_sizes: VocabularySizes) -> Seq2Seq:
    """Return a model with new weights: Xavier for matrices, N(0, 1/d) for embeddings."""
    target = token_embedding(vocabulary_sizes.target, config.d_model)
    source = target if vocabulary_sizes.joint else token_embedding(vocabulary_sizes.source, config.d_model)
    head_size = config.d_model // config.heads
    source_embedding, target_embedding = (
        ScaledEmbedding(table, config.dropout, SinusoidPositions(config.d_model)) for table in (source, target)
    )
    encoder_layers = (EncoderLayer(config) for _ in range(config.encoder_layers))
    encoder = TransformerEncoder(source_embedding, encoder_layers, head_size=head_size)
    decoder_layers = (DecoderLayer(config) for _ in range(config.decoder_layers))
    decoder = TransformerDecoder(target_embedding, decoder_layers, head_size=head_size, output_bias=config.output_bias)
    model = Seq2Seq(encoder, decoder)
    for module in model.modules():
        if isinstance(module, nn.Linear):
            nn.init.xavier_uniform_(module.weight)
            nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight, std=config.d_model**-0.5)
    zero_padding(model)
    return model
