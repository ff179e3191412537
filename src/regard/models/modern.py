"""A Transformer of our own, of what has proved itself since 2017; held to transformer2017 by measurement.

Layer:           x = x + f(norm(x)) for each sub-layer f (Xiong et al. 2020), with a norm behind the last layer.
Norm:            layer normalisation without a bias. RMSNorm (Zhang and Sennrich 2019) makes nearly the same model
                 (Jiang et al. 2023) and took twice the time on a CPU, for which PyTorch fuses only the first.
Feed-forward:    (silu(x W) * x V) W_2 (Shazeer 2020, equation 6); `ff` is two thirds of transformer2017's for its size.
Self-attention:  rotary positions (Su et al. 2021); several heads may share keys and values (Ainslie et al. 2023).
Source:          attention without positions over the encoder's output, as in transformer2017.
Recurrence:      with decoder = "ssru" an SSRU (Kim et al. 2019, D19-5632) is in the place of the decoder's
                 self-attention; its state does not grow, which is fast in search.
Embeddings:      one matrix for source, target and output, times sqrt(d) on the way in; with two vocabularies, one
                 for target and output.
Dropout:         on each sub-layer's output and on embeddings.

Nothing has a bias but the SSRU's forget gate. Weights begin as N(0, 1 / inputs), those that lead back into the
residual stream divided by the square root of how many do (Radford et al. 2019, section 2.3), so that its scale does not
depend on the depth.
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
from regard.nn.feedforward import silu_times
from regard.nn.kv_cache import AttentionState, Kept, KeysValues, Past, Source, SourceKeysValues
from regard.nn.multihead import attend, split
from regard.nn.norm import add_then_norm
from regard.nn.output_subset import narrowed
from regard.nn.packing import Between, packings, without_padding
from regard.nn.rotary import RotaryPositions
from regard.nn.ssru import SSRU
from regard.nn.tied import TiedLinear
from regard.special_tokens import PAD


class Config(ModelConfig):
    """Sizes; the defaults are those of transformer2017's base model."""

    architecture: Literal["modern"] = "modern"
    encoder_layers: int = Field(6, ge=1, le=MAX_LAYERS)
    decoder_layers: int = Field(6, ge=1, le=MAX_LAYERS)
    d_model: int = Field(512, ge=2, le=MAX_WIDTH)
    ff: int = Field(1344, ge=1, le=MAX_WIDTH)  # width inside the gated feed-forward, which has three matrices
    heads: int = Field(8, ge=1, le=MAX_HEADS)
    kv_heads: int = Field(0, ge=0, le=MAX_HEADS)  # heads of keys and values; 0: as many as of queries
    decoder: Literal["attention", "ssru"] = "attention"  # what a target position knows those before it by
    dropout: float = Field(0.1, ge=0, lt=1)

    @model_validator(mode="after")
    def _heads_divide(self) -> Config:
        if self.d_model % (2 * self.heads):
            raise ValueError(f"twice heads ({self.heads}) must divide d_model ({self.d_model})")
        if self.kv_heads and self.heads % self.kv_heads:
            raise ValueError(f"kv_heads ({self.kv_heads}) must divide heads ({self.heads})")
        return self


def base() -> Config:
    """As large as transformer2017's base."""
    return Config()


def small() -> Config:
    """As large as transformer2017's small."""
    return Config(encoder_layers=3, decoder_layers=3, d_model=256, ff=672, heads=4, dropout=0.2)


def tiny() -> Config:
    """As large as transformer2017's tiny."""
    return Config(encoder_layers=4, decoder_layers=4, d_model=128, ff=336, heads=4, dropout=0.1)


def fast() -> Config:
    """As large as tiny, with most of it in the encoder, which search runs once: for fast translation."""
    return Config(
        encoder_layers=8, decoder_layers=2, d_model=128, ff=336, heads=4, kv_heads=2, decoder="ssru", dropout=0.1
    )


PRESETS = {"base": base, "small": small, "tiny": tiny, "fast": fast}


class Norm(nn.LayerNorm):
    """Layer normalisation with a gain and no bias, before each sub-layer and behind the last layer."""

    def __init__(self, width: int) -> None:
        super().__init__(width, eps=1e-6, bias=False)


class GatedFeedForward(nn.Module):
    """(silu(x W) * x V) W_2, at each position apart: (N, T, D) to (N, T, D)."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.gate = nn.Linear(width, hidden, bias=False)  # W
        self.input = nn.Linear(width, hidden, bias=False)  # V
        self.output = nn.Linear(hidden, width, bias=False)  # W_2

    def forward(self, x: Tensor) -> Tensor:
        """(N, T, D) to (N, T, D)."""
        out: Tensor = self.output(silu_times(self.gate(x), self.input(x)))
        return out


class SelfAttention(nn.Module):
    """Attention among the positions of one sequence, which are told by rotation."""

    def __init__(self, config: Config, rotary: RotaryPositions) -> None:
        super().__init__()
        self.width = config.d_model // config.heads
        self.kv_heads = config.kv_heads or config.heads
        self.rotary = rotary
        self.query = nn.Linear(config.d_model, config.d_model, bias=False)
        self.key = nn.Linear(config.d_model, self.kv_heads * self.width, bias=False)
        self.value = nn.Linear(config.d_model, self.kv_heads * self.width, bias=False)
        self.output = nn.Linear(config.d_model, config.d_model, bias=False)

    def _turned(self, x: Tensor, start: int | None, mask: Tensor | Between | None) -> Tensor:
        heads = split(x, self.width)
        if start is not None:
            return self.rotary.at(heads, start)
        turned: Tensor = self.rotary(heads, mask.queries.positions if isinstance(mask, Between) else None)
        return turned

    def forward(
        self,
        x: Tensor,
        *,
        past: Past | None = None,
        start: int | None = None,
        mask: Tensor | Between | None = None,
        causal: bool = False,
    ) -> tuple[Tensor, KeysValues]:
        """A whole sequence x (B, T, D) to (B, T, D) and its keys and values; or position `start` of T rows.

        mask: (B, S), True at positions that may be attended to, or where all are packed, x (1, R, D). causal: none sees
        what follows it. With a past each row sees what is its own.
        """
        own = KeysValues(self._turned(self.key(x), start, mask), split(self.value(x), self.width))
        queries = self._turned(self.query(x), start, mask)
        if past is not None:
            own, mask = past.layer.extend(own.keys, own.values), past.seen
        mixed, _ = attend(queries, own.keys, own.values, mask=mask, causal=causal)
        return self.output(mixed), own


class SourceAttention(nn.Module):
    """Attention from target positions to the source."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.width = config.d_model // config.heads
        kv_width = (config.kv_heads or config.heads) * self.width
        self.query = nn.Linear(config.d_model, config.d_model, bias=False)
        self.key = nn.Linear(config.d_model, kv_width, bias=False)
        self.value = nn.Linear(config.d_model, kv_width, bias=False)
        self.output = nn.Linear(config.d_model, config.d_model, bias=False)

    def project(self, memory: Tensor) -> SourceKeysValues:
        """The encoder's output (N, S, D) to keys and values."""
        keys, values = (split(part(memory), self.width) for part in (self.key, self.value))
        return SourceKeysValues(keys, values)

    def forward(
        self, x: Tensor, source: SourceKeysValues, mask: Tensor | Between, *, with_weights: bool
    ) -> tuple[Tensor, Tensor | None]:
        """Target positions x (N, T, D) to (N, T, D) and weights (N, H, T, S) if asked for; mask (N, S)."""
        queries = split(self.query(x), self.width)
        mixed, weights = attend(queries, source.keys, source.values, mask=mask, with_weights=with_weights)
        return self.output(mixed), weights


class EncoderLayer(nn.Module):
    """Self-attention and feed-forward, each from a norm and added to what comes in."""

    def __init__(self, config: Config, rotary: RotaryPositions) -> None:
        super().__init__()
        self.attention_norm = Norm(config.d_model)
        self.attention = SelfAttention(config, rotary)
        self.ff_norm = Norm(config.d_model)
        self.ff = GatedFeedForward(config.d_model, config.ff)
        self.dropout = Dropout(config.dropout)

    def forward(self, x: Tensor, mask: Tensor | Between) -> Tensor:
        """(B, S, D) and its mask (B, S), or (1, R, D) packed, to the same shape."""
        attended, _ = self.attention(self.attention_norm(x), mask=mask)
        x, normed = add_then_norm(x, attended, self.ff_norm, self.dropout)
        out: Tensor = x + self.dropout(self.ff(normed))
        return out


class DecoderLayer(nn.Module):
    """Causal self-attention or an SSRU, attention to the source, feed-forward."""

    def __init__(self, config: Config, rotary: RotaryPositions) -> None:
        super().__init__()
        self.past_norm = Norm(config.d_model)
        self.past = SSRU(config.d_model) if config.decoder == "ssru" else SelfAttention(config, rotary)
        self.source_norm = Norm(config.d_model)
        self.source_attention = SourceAttention(config)
        self.ff_norm = Norm(config.d_model)
        self.ff = GatedFeedForward(config.d_model, config.ff)
        self.dropout = Dropout(config.dropout)

    def begin(self, memory: Memory) -> Kept:
        """What is kept of a target that has not begun."""
        sentences, width = len(memory.values), memory.values.size(2)
        if isinstance(self.past, SSRU):
            return memory.values.new_zeros(sentences, width)
        nothing = memory.values.new_zeros(sentences, 0, self.past.kv_heads, self.past.width)
        return KeysValues(nothing, nothing)

    def _look_back(self, x: Tensor, past: Past | Tensor | Between | None, start: int | None) -> tuple[Tensor, Kept]:
        if not isinstance(self.past, SSRU):
            assert not isinstance(past, Tensor)
            if isinstance(past, Past):
                attended, own = self.past(x, past=past, start=start)
            else:
                attended, own = self.past(x, mask=past, causal=True)
            return attended, own
        if isinstance(past, Between):
            hidden, last = self._look_back(past.queries.unpack(x), None, start)
            return past.queries.pack(hidden), last
        if past is None:
            hidden, last = self.past(x, x.new_zeros(x.size(0), x.size(2)))
            return hidden, last
        hidden, last = self.past(x.flatten(0, 1).unsqueeze(1), past)
        return hidden.view_as(x), last

    def forward(
        self,
        x: Tensor,
        source: SourceKeysValues,
        mask: Tensor | Between,
        past: Past | Tensor | Between | None,
        start: int | None,
        *,
        with_attention: bool,
    ) -> tuple[Tensor, Kept, Tensor | None]:
        """Target positions x (B, T, D) to (B, T, D), what is kept of them, and weights (B, H, T, S) if asked for.

        Without a past, x is a whole target and each position sees only those before it; the same where all targets
        are packed, x (1, R, D). With one, x is position `start` of each row of a sentence behind it.
        """
        looked_back, kept = self._look_back(self.past_norm(x), past, start)
        x, normed = add_then_norm(x, looked_back, self.source_norm, self.dropout)
        attended, weights = self.source_attention(normed, source, mask, with_weights=with_attention)
        x, normed = add_then_norm(x, attended, self.ff_norm, self.dropout)
        return x + self.dropout(self.ff(normed)), kept, weights


class Embedding(nn.Module):
    """Tokens to vectors times sqrt(d), with dropout; positions are told in self-attention."""

    def __init__(self, table: nn.Embedding, dropout: float) -> None:
        super().__init__()
        self.table = table
        self.scale = math.sqrt(table.embedding_dim)
        self.dropout = Dropout(dropout)

    def forward(self, tokens: Tensor) -> Tensor:
        """(N, T) to (N, T, D)."""
        embedded: Tensor = self.dropout(self.table(tokens) * self.scale)
        return embedded


class ModernEncoder(Encoder):
    """Layers over the embedded source, and a norm."""

    def __init__(self, config: Config, table: nn.Embedding) -> None:
        super().__init__()
        self.width = config.d_model // config.heads
        self.embedding = Embedding(table, config.dropout)
        rotary = RotaryPositions(self.width)
        self.layers = nn.ModuleList(EncoderLayer(config, rotary) for _ in range(config.encoder_layers))
        self.norm = Norm(config.d_model)

    def forward(self, tokens: Tensor, mask: Tensor) -> Memory:
        """(B, S) to a memory of the top layer's output, normed, (B, S, D)."""
        x = without_padding(self._run, self.embedding(tokens), mask, self.width)
        return Memory(keys=x, values=x, mask=mask)

    def _run(self, x: Tensor, mask: Tensor | Between) -> Tensor:
        for layer in self.layers:
            x = layer(x, mask)
        out: Tensor = self.norm(x)
        return out


class ModernDecoder(Decoder[AttentionState]):
    """Layers over the target so far, and a norm; the output layer is the target's embedding."""

    def __init__(self, config: Config, table: nn.Embedding) -> None:
        super().__init__()
        self.vocabulary_size = table.num_embeddings
        self.width = config.d_model // config.heads
        self.embedding = Embedding(table, config.dropout)
        self.output = TiedLinear(table)
        rotary = RotaryPositions(self.width)
        self.layers = nn.ModuleList(DecoderLayer(config, rotary) for _ in range(config.decoder_layers))
        self.norm = Norm(config.d_model)

    def _decoder_layers(self) -> list[DecoderLayer]:
        return [layer for layer in self.layers if isinstance(layer, DecoderLayer)]

    def _project(self, memory: Tensor) -> tuple[SourceKeysValues, ...]:
        return tuple(layer.source_attention.project(memory) for layer in self._decoder_layers())

    def init_state(self, memory: Memory) -> AttentionState:
        """No target yet; the source's keys and values for every layer."""
        past = tuple(layer.begin(memory) for layer in self._decoder_layers())
        return AttentionState.start(Source(memory.mask, self._project(memory.values)), past)

    def advance(
        self, tokens: Tensor, state: AttentionState, *, with_attention: bool = False
    ) -> StepFeatures[AttentionState]:
        """Attention is the mean over the layers and heads of attention to the source."""
        after, pasts = state.pasts()
        source, x = state.source, self.embedding(tokens.view(len(state.source.mask), -1))
        x, past, attention = self._run(
            x, source.layers, source.mask, pasts, state.length, with_attention=with_attention
        )
        after = replace(after, past=past)
        return StepFeatures(x.flatten(0, 1), after, None if attention is None else attention.flatten(0, 1))

    def forward(self, tokens: Tensor, memory: Memory, *, with_attention: bool = False) -> DecoderOutput:
        """All positions at once: (B, T) to features (B, T, D), in training perhaps of the real ones alone."""
        x = self.embedding(tokens)
        packed = None if with_attention else packings(x, self.width, tokens.ne(PAD), memory.mask)
        if packed is None:
            source = self._project(memory.values)
            x, _, attention = self._run(x, source, memory.mask, None, None, with_attention=with_attention)
            return DecoderOutput(x, attention)
        targets, sources = packed
        source, itself = self._project(sources.pack(memory.values)), Between(targets, targets)
        x, _, _ = self._run(targets.pack(x), source, Between(targets, sources), [itself] * len(self.layers), None)
        return DecoderOutput(targets.unpack(x))

    def _run(
        self,
        x: Tensor,
        source: Sequence[SourceKeysValues],
        mask: Tensor | Between,
        pasts: Sequence[Past | Tensor | Between] | None,
        start: int | None,
        *,
        with_attention: bool = False,
    ) -> tuple[Tensor, tuple[Kept, ...], Tensor | None]:
        kept: list[Kept] = []
        weights: list[Tensor] = []
        for index, layer in enumerate(self._decoder_layers()):
            past = None if pasts is None else pasts[index]
            x, own, looked = layer(x, source[index], mask, past, start, with_attention=with_attention)
            kept.append(own)
            if looked is not None:
                weights.append(looked.mean(1))  # (B, T, S), over heads
        return self.norm(x), tuple(kept), torch.stack(weights).mean(0) if weights else None

    def readout(self, features: Tensor) -> Tensor:
        """(..., D) to (..., V) through the embedding matrix."""
        logits: Tensor = self.output(features)
        return logits

    def readout_subset(self, tokens: Tensor) -> Readout:
        """By the rows of the embedding matrix that are asked for."""
        return narrowed(self.output, tokens)


def build(config: Config, vocabularies: VocabularySizes) -> Seq2Seq:
    """A model with fresh weights: see the module's docstring; N(0, 1/d) for embeddings."""
    target = nn.Embedding(vocabularies.target, config.d_model, padding_idx=PAD)
    source = target if vocabularies.joint else nn.Embedding(vocabularies.source, config.d_model, padding_idx=PAD)
    encoder, decoder = ModernEncoder(config, source), ModernDecoder(config, target)
    for stack, sublayers in ((encoder, 2 * config.encoder_layers), (decoder, 3 * config.decoder_layers)):
        for name, module in stack.named_modules():
            if isinstance(module, nn.Linear):
                inward = name.endswith(".output")
                nn.init.normal_(module.weight, std=(module.in_features * (sublayers if inward else 1)) ** -0.5)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
    for table in (target,) if source is target else (source, target):
        nn.init.normal_(table.weight, std=config.d_model**-0.5)
        with torch.no_grad():
            table.weight[PAD].zero_()
    return Seq2Seq(encoder, decoder)
