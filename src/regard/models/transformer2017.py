"""The Transformer: Vaswani et al. 2017, "Attention Is All You Need" (arXiv 1706.03762).

Encoder layer (section 3.1):   x = LayerNorm(x + Attention(x, x, x));  x = LayerNorm(x + FFN(x))
Decoder layer:                 the same with masked self-attention, and attention to the encoder's output before FFN
FFN (equation 2):              max(0, x W1 + b1) W2 + b2
Embeddings (section 3.4):      one matrix for source, target and output, multiplied by sqrt(d) in the input
Dropout (section 5.4):         on the output of each sub-layer and on embeddings + positions

Deviations: the projections of attention have biases (the equations show none). With two separate vocabularies, only
target and output share a matrix.

Marian's Transformers (Junczys-Dowmunt et al. 2018, P18-4020), which regard imports, differ from the paper's in two
options: `activation = "silu"` is x sigmoid(x) instead of max(0, x), and `output_bias` adds a bias to the logits.
The defaults are the paper's. `copy_attention` (regard.nn.copying, regard.nn.transformer) is an addition, too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field, model_validator
from torch import Tensor, nn

from regard.config.schema import COPY_ATTENTION, MAX_HEADS, MAX_LAYERS, MAX_WIDTH, ModelConfig
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
    """Settings; the defaults are the paper's base model (table 3)."""

    architecture: Literal["transformer2017"] = Field("transformer2017", description="The name of this architecture.")
    encoder_layers: int = Field(6, ge=1, le=MAX_LAYERS, description="Layers of the encoder (N).")
    decoder_layers: int = Field(6, ge=1, le=MAX_LAYERS, description="Layers of the decoder (N).")
    hidden_size: int = Field(
        512, ge=2, multiple_of=2, le=MAX_WIDTH, description="Size of embeddings and of each layer's output (d_model)."
    )
    ffn_size: int = Field(2048, ge=1, le=MAX_WIDTH, description="Units inside the feed-forward network (d_ff).")
    num_heads: int = Field(8, ge=1, le=MAX_HEADS, description="Attention heads; they divide `hidden_size` (h).")
    dropout: float = Field(
        0.1, ge=0, lt=1, description="Dropout on the output of each sub-layer and on embeddings (P_drop)."
    )
    activation: Literal["relu", "silu"] = Field("relu", description="Activation inside the feed-forward network.")
    output_bias: bool = Field(False, description="Add a bias per target token to the logits.")
    copy_attention: bool = COPY_ATTENTION

    @model_validator(mode="after")
    def _check_settings(self) -> Config:
        if self.hidden_size % self.num_heads:
            raise ValueError(f"num_heads ({self.num_heads}) must divide hidden_size ({self.hidden_size})")
        if self.copy_attention and self.output_bias:
            raise ValueError("copy_attention and output_bias cannot be combined: set `output_bias = false`")
        return self


def base() -> Config:
    """The paper's base model: table 3 gives 65 M parameters; with 37,000 joint tokens there are 63 M."""
    return Config()


def big() -> Config:
    """The paper's big model; its English-French one has dropout 0.1."""
    return Config(hidden_size=1024, ffn_size=4096, num_heads=16, dropout=0.3)


def small() -> Config:
    """For about ten thousand pairs and a CPU."""
    return Config(encoder_layers=3, decoder_layers=3, hidden_size=256, ffn_size=1024, num_heads=4, dropout=0.2)


def tiny() -> Config:
    """For about ten thousand pairs of short sentences. It is narrower than small and learns faster."""
    return Config(encoder_layers=4, decoder_layers=4, hidden_size=128, ffn_size=512, num_heads=4, dropout=0.1)


PRESETS = {"paper": base, "base": base, "big": big, "small": small, "tiny": tiny}


class FeedForward(nn.Sequential):
    """max(0, x W1 + b1) W2 + b2 (equation 2), at each position separately."""

    def __init__(self, config: Config) -> None:
        activation = nn.SiLU() if config.activation == "silu" else nn.ReLU()
        super().__init__(
            Linear(config.hidden_size, config.ffn_size), activation, Linear(config.ffn_size, config.hidden_size)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, T, D) to (N, T, D)."""
        return feed_forward(x, self)

    if TYPE_CHECKING:
        __call__ = forward


class EncoderLayer(TransformerEncoderLayer):
    """Self-attention and feed-forward, each with a residual connection and a norm."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.attention = MultiHeadSelfAttention(config.hidden_size, config.num_heads)
        self.attention_norm = LayerNorm(config.hidden_size)
        self.ff = FeedForward(config)
        self.ff_norm = LayerNorm(config.hidden_size)
        self.dropout = Dropout(config.dropout)

    def forward(self, x: Tensor, source: SequenceMemory) -> Tensor:
        """Map source positions x (N, S, D) to (N, S, D)."""
        x = add_norm(x, self.attention(x, source), self.attention_norm, self.dropout)
        return add_norm(x, self.ff(x), self.ff_norm, self.dropout)


class DecoderLayer(TransformerDecoderLayer):
    """Masked self-attention, attention to the encoder's output, and feed-forward."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.attention = MultiHeadSelfAttention(config.hidden_size, config.num_heads)
        self.attention_norm = LayerNorm(config.hidden_size)
        self.source_attention = MultiHeadSourceAttention(config.hidden_size, config.num_heads)
        self.source_norm = LayerNorm(config.hidden_size)
        self.ff = FeedForward(config)
        self.ff_norm = LayerNorm(config.hidden_size)
        self.dropout = Dropout(config.dropout)

    def forward(self, x: Tensor, target: SequenceMemory, source: SourceMemory) -> Tensor:
        """Map target positions x (N, T, D) to (N, T, D)."""
        x = add_norm(x, self.attention(x, target), self.attention_norm, self.dropout)
        x = add_norm(x, self.source_attention(x, source), self.source_norm, self.dropout)
        return add_norm(x, self.ff(x), self.ff_norm, self.dropout)


def build(config: Config, vocabulary_sizes: VocabularySizes) -> Seq2Seq:
    """Return a model with new weights: Xavier for matrices, N(0, 1/d) for embeddings."""
    target = token_embedding(vocabulary_sizes.target, config.hidden_size)
    source = target if vocabulary_sizes.joint else token_embedding(vocabulary_sizes.source, config.hidden_size)
    head_size = config.hidden_size // config.num_heads
    source_embedding, target_embedding = (
        ScaledEmbedding(table, config.dropout, SinusoidPositions(config.hidden_size)) for table in (source, target)
    )
    encoder_layers = (EncoderLayer(config) for _ in range(config.encoder_layers))
    encoder = TransformerEncoder(source_embedding, encoder_layers, head_size=head_size)
    decoder_layers = (DecoderLayer(config) for _ in range(config.decoder_layers))
    decoder = TransformerDecoder(
        target_embedding,
        decoder_layers,
        head_size=head_size,
        output_bias=config.output_bias,
        copies=config.copy_attention,
    )
    model = Seq2Seq(encoder, decoder)
    for module in model.modules():
        if isinstance(module, nn.Linear):
            nn.init.xavier_uniform_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight, std=config.hidden_size**-0.5)
    zero_padding(model)
    return model
