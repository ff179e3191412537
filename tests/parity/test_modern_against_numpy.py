"""modern against its equations, written out in NumPy.

One sentence at a time, one position at a time, one head at a time; the same weights under the names
of the papers that its docstring names.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from tests.doubles import as_batch
from tests.parity.equations import (
    JOINT_VOCABULARY,
    SOURCE_VOCABULARY,
    SOURCES,
    TARGET_VOCABULARY,
    TARGETS,
    Array,
    Pointer,
    assert_same,
    elements,
    pointer,
    sigma,
    softmax,
)

from regard.contract import Seq2Seq, VocabularySizes
from regard.models import modern

D, HEADS, LAYERS, FF = 16, 4, 2, 10
WIDTH = D // HEADS
EPSILON = 1e-6


@dataclass(frozen=True)
class Norm:
    """g (x - mean) / deviation."""

    gain: Array

    def __call__(self, x: Array) -> Array:
        x = x - np.mean(x)
        return np.asarray(self.gain * x / np.sqrt(np.mean(x**2) + EPSILON))


def turn(x: Array, position: int) -> Array:
    """Each pair of neighbours by its rotation matrix."""
    turned = []
    for i in range(0, len(x), 2):
        angle = position / 10000 ** (i / len(x))
        matrix = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        turned.append(matrix @ x[i : i + 2])
    return np.concatenate(turned)


def heads(x: Array) -> list[Array]:
    return [x[start : start + WIDTH] for start in range(0, len(x), WIDTH)]


def turned(x: Array, position: int) -> list[Array]:
    return [turn(head, position) for head in heads(x)]


@dataclass(frozen=True)
class Attention:
    """W_Q, W_K, W_V and W_O."""

    Q: Array
    K: Array
    V: Array
    O: Array  # noqa: E741

    def look(self, query: list[Array], keys: list[list[Array]], values: list[list[Array]]) -> tuple[Array, Array]:
        """A query by head, over keys and values by position and head: the output, and the weights of each head."""
        mixed, looked = [], []
        for head, q in enumerate(query):
            own = head * len(keys[0]) // len(query)  # the head of keys that serves this one
            weights = softmax(np.array([q @ key[own] / np.sqrt(WIDTH) for key in keys]))
            mixed.append(sum(weight * value[own] for weight, value in zip(weights, values, strict=True)))
            looked.append(weights)
        return self.O @ np.concatenate(mixed), np.array(looked)


@dataclass(frozen=True)
class Recurrent:
    """W_f, W and b_f."""

    W_f: Array
    W: Array
    b_f: Array


@dataclass(frozen=True)
class Layer:
    """One layer; the encoder's has no attention to a source."""

    past: Attention | Recurrent
    past_norm: Norm
    source: Attention | None
    source_norm: Norm | None
    W: Array
    V: Array
    W_2: Array
    ff_norm: Norm

    def look_back(self, xs: list[Array], *, causal: bool) -> list[Array]:
        """What every position knows of the others (of those before it, if causal)."""
        normed = [self.past_norm(x) for x in xs]
        if isinstance(self.past, Recurrent):
            c, outputs = np.zeros(D), []
            for x in normed:
                f = sigma(self.past.W_f @ x + self.past.b_f)
                c = f * c + (1 - f) * (self.past.W @ x)
                outputs.append(np.maximum(c, 0))
            return outputs
        keys = [turned(self.past.K @ x, position) for position, x in enumerate(normed)]
        values = [heads(self.past.V @ x) for x in normed]
        outputs = []
        for position, x in enumerate(normed):
            seen = position + 1 if causal else len(xs)
            query = turned(self.past.Q @ x, position)
            outputs.append(self.past.look(query, keys[:seen], values[:seen])[0])
        return outputs

    def feed_forward(self, x: Array) -> Array:
        normed = self.ff_norm(x)
        gate = self.W @ normed
        return x + self.W_2 @ (gate * sigma(gate) * (self.V @ normed))


@dataclass(frozen=True)
class Model:
    """E (V, D) for each side, the layers, and the last norms' gains."""

    E_source: Array
    E_target: Array
    encoder: list[Layer]
    encoder_norm: Norm
    decoder: list[Layer]
    decoder_norm: Norm
    copying: Pointer | None

    def encode(self, words: list[int]) -> list[Array]:
        xs = [self.E_source[word] * np.sqrt(D) for word in words]
        for layer in self.encoder:
            looked = layer.look_back(xs, causal=False)
            xs = [layer.feed_forward(x + seen) for x, seen in zip(xs, looked, strict=True)]
        return [self.encoder_norm(x) for x in xs]

    def translate(self, words: list[int], target_words: list[int]) -> tuple[Array, Array]:
        """Return logits (T, V) and attention (T, S) after every target word."""
        memory = self.encode(words)
        xs = [self.E_target[word] * np.sqrt(D) for word in target_words]
        attention = []
        for layer in self.decoder:
            looked = layer.look_back(xs, causal=True)
            xs = [x + seen for x, seen in zip(xs, looked, strict=True)]
            assert layer.source is not None
            assert layer.source_norm is not None
            keys = [heads(layer.source.K @ h) for h in memory]
            values = [heads(layer.source.V @ h) for h in memory]
            queries = [heads(layer.source.Q @ layer.source_norm(x)) for x in xs]
            seen, weights = zip(*(layer.source.look(query, keys, values) for query in queries), strict=True)
            attention.append(weights)
            xs = [layer.feed_forward(x + s) for x, s in zip(xs, seen, strict=True)]
        tops = [self.decoder_norm(x) for x in xs]
        logits = [self.E_target @ top for top in tops]
        if self.copying is not None:  # from the first head of the last layer
            logits = [
                self.copying.mix(scores, weights[0], memory, top, self.E_target[word] * np.sqrt(D), words)
                for scores, weights, top, word in zip(logits, attention[-1], tops, target_words, strict=True)
            ]
        return np.array(logits), np.mean(attention, axis=(0, 2))


def array(parameter: Any) -> Array:
    return np.asarray(parameter.numpy())


def norm(module: Any) -> Norm:
    return Norm(array(module.weight))


def past(module: Any) -> Attention | Recurrent:
    if hasattr(module, "forget"):
        return Recurrent(array(module.forget.weight), array(module.input.weight), array(module.forget.bias))
    return attention(module)


def attention(module: Any) -> Attention:
    return Attention(*(array(part.weight) for part in (module.query, module.key, module.value, module.output)))


def layer(module: Any, *, decodes: bool) -> Layer:
    source = source_norm = None
    if decodes:
        source, source_norm = attention(module.source_attention), norm(module.source_norm)
    return Layer(
        past=past(module.past if decodes else module.attention),
        past_norm=norm(module.past_norm if decodes else module.attention_norm),
        source=source,
        source_norm=source_norm,
        W=array(module.ff.gate.weight),
        V=array(module.ff.input.weight),
        W_2=array(module.ff.output.weight),
        ff_norm=norm(module.ff_norm),
    )


def written_out(model: Any) -> Model:
    return Model(
        E_source=array(model.encoder.embedding.table.weight),
        E_target=array(model.decoder.embedding.table.weight),
        encoder=[layer(module, decodes=False) for module in model.encoder.layers],
        encoder_norm=norm(model.encoder.norm),
        decoder=[layer(module, decodes=True) for module in model.decoder.layers],
        decoder_norm=norm(model.decoder.norm),
        copying=pointer(model.decoder),
    )


def sized(variant: dict[str, Any]) -> modern.Config:
    sizes = {
        "encoder_layers": LAYERS + 1,
        "decoder_layers": LAYERS,
        "hidden_size": D,
        "ffn_size": FF,
        "num_heads": HEADS,
    }
    return modern.Config(**{**sizes, "dropout": 0.0, **variant})


def tiny(config: modern.Config) -> Seq2Seq:
    """In float64, angles too; every weight, gain and bias far from where it starts."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        sizes = VocabularySizes(SOURCE_VOCABULARY, TARGET_VOCABULARY) if not config.copy_attention else JOINT_VOCABULARY
        model = modern.build(config, sizes).eval().requires_grad_(False)
    finally:
        torch.set_default_dtype(before)
    generator = torch.Generator().manual_seed(3)
    for parameter in model.parameters():
        parameter.add_(0.5 * torch.randn(parameter.shape, generator=generator, dtype=torch.float64))
    return model


VARIANTS = [
    {},
    {"num_kv_heads": 2},
    {"num_kv_heads": 1},
    {"decoder": "ssru"},
    {"decoder": "ssru", "num_kv_heads": 2},
    {"copy_attention": True},
    {"copy_attention": True, "decoder": "ssru", "num_kv_heads": 2},
]


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_logits_and_attention_are_those_of_the_equations(variant: dict[str, Any]) -> None:
    model = tiny(sized(variant))
    assert_same(model, written_out(model).translate)


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_the_fused_attention_gives_the_same_logits(variant: dict[str, Any]) -> None:
    model = tiny(sized(variant))
    source, target = as_batch(SOURCES), as_batch(TARGETS)
    logits = model.decoder.readout(model.features(source, target, with_attention=True).features)
    torch.testing.assert_close(model(source, target), logits, rtol=0, atol=1e-10)


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_every_weight_that_is_compared_is_the_models(variant: dict[str, Any]) -> None:
    model = tiny(sized(variant))
    shared = model.decoder.vocabulary_size * D if variant.get("copy_attention") else 0  # the embedding, counted twice
    assert elements(written_out(model)) - shared == sum(parameter.numel() for parameter in model.parameters())
