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

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from regard.config.schema import MAX_HEADS, MAX_LAYERS, MAX_WIDTH, ModelConfig
from regard.contract import Decoder, DecoderOutput, Encoder, Memory, Readout, Seq2Seq, StepFeatures, VocabularySizes
from regard.nn.dropout import Dropout
from regard.nn.feedforward import can_fuse, relu_between
from regard.nn.kv_cache import AttentionState, KeysValues, Past, Source, SourceKeysValues
from regard.nn.multihead import MultiHeadAttention
from regard.nn.norm import add_norm
from regard.nn.output_subset import narrowed
from regard.nn.packing import Between, packings, without_padding
from regard.nn.position import SinusoidPositions
from regard.nn.tied import TiedLinear
from regard.special_tokens import PAD


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
    """Equation 2, at each position apart: (N, T, D) to (N, T, D)."""

    def __init__(self, config: Config) -> None:
        between = nn.SiLU() if config.activation == "silu" else nn.ReLU()
        super().__init__(nn.Linear(config.d_model, config.ff), between, nn.Linear(config.ff, config.d_model))

    def forward(self, x: Tensor) -> Tensor:
        """By one step where training on a CPU gains by it."""
        if can_fuse(x, self):
            return relu_between(x, self)
        out: Tensor = super().forward(x)  # type: ignore[no-untyped-call]
        return out


class Embedding(nn.Module):
    """Tokens to vectors times sqrt(d) plus positions, with dropout."""

    def __init__(self, table: nn.Embedding, dropout: float) -> None:
        super().__init__()
        self.table = table
        self.scale = math.sqrt(table.embedding_dim)
        self.positions = SinusoidPositions(table.embedding_dim)
        self.dropout = Dropout(dropout)

    def forward(self, tokens: Tensor, start: int = 0) -> Tensor:
        """(N, T) tokens, the first at position `start`, to (N, T, D)."""
        embedded: Tensor = self.dropout(self.positions(self.table(tokens) * self.scale, start))
        return embedded


class EncoderLayer(nn.Module):
    """Self-attention and feed-forward, each with its residual and norm."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.attention = MultiHeadAttention(config.d_model, config.heads)
        self.attention_norm = nn.LayerNorm(config.d_model)
        self.ff = FeedForward(config)
        self.ff_norm = nn.LayerNorm(config.d_model)
        self.dropout = Dropout(config.dropout)

    def forward(self, x: Tensor, mask: Tensor | Between) -> Tensor:
        """(B, S, D) and its mask (B, S), or (1, R, D) packed, to the same shape."""
        attended, _ = self.attention(x, *self.attention.project(x), mask=mask)
        x = add_norm(x, attended, self.attention_norm, self.dropout)
        return add_norm(x, self.ff(x), self.ff_norm, self.dropout)


class DecoderLayer(nn.Module):
    """Masked self-attention, attention to the source, feed-forward."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.attention = MultiHeadAttention(config.d_model, config.heads)
        self.attention_norm = nn.LayerNorm(config.d_model)
        self.source_attention = MultiHeadAttention(config.d_model, config.heads)
        self.source_norm = nn.LayerNorm(config.d_model)
        self.ff = FeedForward(config)
        self.ff_norm = nn.LayerNorm(config.d_model)
        self.dropout = Dropout(config.dropout)

    def forward(
        self,
        x: Tensor,
        source: SourceKeysValues,
        mask: Tensor | Between,
        past: Past | Between | None,
        *,
        with_attention: bool,
    ) -> tuple[Tensor, KeysValues, Tensor | None]:
        """Target positions x (B, T, D) to (B, T, D), keys and values, and weights (B, H, T, S) if asked for.

        Without a past, x is a whole target and each position sees only those before it; the same where all targets
        are packed, x (1, R, D). With one, x is the position of each row of a sentence behind it.
        """
        own = KeysValues(*self.attention.project(x))
        seen: Tensor | Between | None
        if isinstance(past, Past):
            own, seen = past.layer.extend(own.keys, own.values), past.seen
        else:
            seen = past
        attended, _ = self.attention(x, own.keys, own.values, mask=seen, causal=not isinstance(past, Past))
        x = add_norm(x, attended, self.attention_norm, self.dropout)
        attended, weights = self.source_attention(x, source.keys, source.values, mask=mask, with_weights=with_attention)
        x = add_norm(x, attended, self.source_norm, self.dropout)
        return add_norm(x, self.ff(x), self.ff_norm, self.dropout), own, weights


class TransformerEncoder(Encoder):
    """N layers over the embedded source."""

    def __init__(self, config: Config, table: nn.Embedding) -> None:
        super().__init__()
        self.width = config.d_model // config.heads
        self.embedding = Embedding(table, config.dropout)
        self.layers = nn.ModuleList(EncoderLayer(config) for _ in range(config.encoder_layers))

    def forward(self, tokens: Tensor, mask: Tensor) -> Memory:
        """(B, S) to a memory of the top layer's output, (B, S, D)."""
        x = without_padding(self._run, self.embedding(tokens), mask, self.width)
        return Memory(keys=x, values=x, mask=mask)

    def _run(self, x: Tensor, mask: Tensor | Between) -> Tensor:
        for layer in self.layers:
            x = layer(x, mask)
        return x


class TransformerDecoder(Decoder[AttentionState]):
    """N layers over the target so far; the output layer is the target's embedding."""

    def __init__(self, config: Config, table: nn.Embedding) -> None:
        super().__init__()
        self.vocabulary_size = table.num_embeddings
        self.width = config.d_model // config.heads
        self.embedding = Embedding(table, config.dropout)
        self.output = TiedLinear(table)
        self.layers = nn.ModuleList(DecoderLayer(config) for _ in range(config.decoder_layers))
        self.bias = nn.Parameter(torch.zeros(self.vocabulary_size)) if config.output_bias else None

    def _project(self, memory: Tensor) -> tuple[SourceKeysValues, ...]:
        projected = (layer.source_attention.project(memory) for layer in self._decoder_layers())
        return tuple(SourceKeysValues(keys, values) for keys, values in projected)

    def _decoder_layers(self) -> list[DecoderLayer]:
        return [layer for layer in self.layers if isinstance(layer, DecoderLayer)]

    def init_state(self, memory: Memory) -> AttentionState:
        """No target yet; the source's keys and values for every layer."""
        source = Source(memory.mask, self._project(memory.values))
        none_yet = source.layers[0].keys[:, :0]  # (B, 0, H, D/H)
        return AttentionState.start(source, tuple(KeysValues(none_yet, none_yet) for _ in self.layers))

    def advance(
        self, tokens: Tensor, state: AttentionState, *, with_attention: bool = False
    ) -> StepFeatures[AttentionState]:
        """Attention is the mean over the layers and heads of attention to the source."""
        x = self.embedding(tokens.unsqueeze(1), start=state.length)
        x = x.view(len(state.source.mask), -1, x.size(-1))  # (B, rows of a sentence, D)
        after, pasts = state.pasts()
        x, past, attention = self._run(x, state.source.layers, state.source.mask, pasts, with_attention)
        after = replace(after, past=past)
        return StepFeatures(x.flatten(0, 1), after, None if attention is None else attention.flatten(0, 1))

    def forward(self, tokens: Tensor, memory: Memory, *, with_attention: bool = False) -> DecoderOutput:
        """All positions at once: (B, T) to features (B, T, D), in training perhaps of the real ones alone."""
        x = self.embedding(tokens)
        packed = None if with_attention else packings(x, self.width, tokens.ne(PAD), memory.mask)
        if packed is None:
            x, _, attention = self._run(x, self._project(memory.values), memory.mask, None, with_attention)
            return DecoderOutput(x, attention)
        targets, sources = packed
        source, itself = self._project(sources.pack(memory.values)), Between(targets, targets)
        x, _, _ = self._run(targets.pack(x), source, Between(targets, sources), [itself] * len(self.layers), False)
        return DecoderOutput(targets.unpack(x))

    def _run(
        self,
        x: Tensor,
        source: Sequence[SourceKeysValues],
        mask: Tensor | Between,
        pasts: Sequence[Past | Tensor | Between] | None,
        with_attention: bool,
    ) -> tuple[Tensor, tuple[KeysValues, ...], Tensor | None]:
        kept: list[KeysValues] = []
        weights: list[Tensor] = []
        for index, layer in enumerate(self._decoder_layers()):
            past = None if pasts is None else pasts[index]
            assert not isinstance(past, Tensor)
            x, own, looked = layer(x, source[index], mask, past, with_attention=with_attention)
            kept.append(own)
            if looked is not None:
                weights.append(looked.mean(1))  # (B, T, S), over heads
        return x, tuple(kept), torch.stack(weights).mean(0) if weights else None

    def readout(self, features: Tensor) -> Tensor:
        """(..., D) to (..., V) through the embedding matrix."""
        logits: Tensor = self.output(features)
        return logits if self.bias is None else logits + self.bias

    def readout_subset(self, tokens: Tensor) -> Readout:
        """By the rows of the embedding matrix that are asked for, and their biases."""
        product = narrowed(self.output, tokens)
        if self.bias is None:
            return product
        bias = self.bias.index_select(0, tokens)
        return lambda features: product(features) + bias


def build(config: Config, vocabularies: VocabularySizes) -> Seq2Seq:
    """A model with fresh weights: Xavier for matrices, N(0, 1/d) for embeddings."""
    target = nn.Embedding(vocabularies.target, config.d_model, padding_idx=PAD)
    source = target if vocabularies.joint else nn.Embedding(vocabularies.source, config.d_model, padding_idx=PAD)
    model = Seq2Seq(TransformerEncoder(config, source), TransformerDecoder(config, target))
    for module in model.modules():
        if isinstance(module, nn.Linear):
            nn.init.xavier_uniform_(module.weight)
            nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight, std=config.d_model**-0.5)
            with torch.no_grad():
                module.weight[PAD].zero_()
    return model
