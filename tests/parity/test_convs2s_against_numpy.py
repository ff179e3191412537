"""convs2s2017 against the paper's section 3, and against its authors' code, written out in NumPy (arXiv 1705.03122).

One sentence at a time, one state at a time, weights under the paper's names, each with the direction v
and the length g of weight normalisation. Every sum of a block's input and output is multiplied by
sqrt(0.5), the conditional input by m sqrt(1/m) (section 3.4). Where the paper leaves it open, the
model's docstring decides: linear maps take the conditional input to the layer's width, and a block's
input to that of its output if they differ; an even kernel of the encoder reads one more position after
its own than before it; a position after the last learned one is read as the last.

The authors' code (fairseq, fconv.py) multiplies every sum by sqrt(0.5), and adds a block's input after attention.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from tests.parity.equations import (
    SOURCE_VOCABULARY,
    TARGET_VOCABULARY,
    Array,
    assert_same,
    drawn_wide,
    elements,
    sigma,
    softmax,
)

from regard.contract import Seq2Seq, VocabularySizes
from regard.models import convs2s2017


@dataclass(frozen=True)
class Affine:
    """W x + b, where row i of W is g_i v_i / |v_i| (Salimans and Kingma 2016)."""

    v: Array
    g: Array
    b: Array

    def __call__(self, x: Array) -> Array:
        W = np.array([length * row / np.sqrt(row @ row) for length, row in zip(self.g, self.v, strict=True)])
        y: Array = W @ x + self.b
        return y


@dataclass(frozen=True)
class Block:
    """The k inputs of a state one after the other, to twice its width."""

    k: int
    Y: Affine
    narrowed: Affine | None  # where the input has another width than the output

    def v(self, inputs: list[Array]) -> Array:
        """v([A B]) = A * sigma(B) of k neighbouring states."""
        A, B = np.split(self.Y(np.concatenate(inputs)), 2)
        gated: Array = A * sigma(B)
        return gated

    def gated(self, states: list[Array], *, ahead: int) -> list[Array]:
        """v of every state: it reads `ahead` states after it, and the others before it."""
        zero = np.zeros(len(states[0]))
        outputs = []
        for i in range(len(states)):
            places = range(i - (self.k - 1) + ahead, i + ahead + 1)
            outputs.append(self.v([states[j] if 0 <= j < len(states) else zero for j in places]))
        return outputs

    def residual(self, out: Array, state: Array) -> Array:
        """The sum of a block's output and its input."""
        total: Array = (out + (state if self.narrowed is None else self.narrowed(state))) * np.sqrt(0.5)
        return total

    def over(self, states: list[Array], *, ahead: int) -> list[Array]:
        """Every state of the next layer, without attention."""
        pairs = zip(self.gated(states, ahead=ahead), states, strict=True)
        return [self.residual(out, state) for out, state in pairs]


def embedded(w: Array, p: Array, words: list[int]) -> list[Array]:
    last = p.shape[1] - 1
    return [w[:, word] + p[:, min(place, last)] for place, word in enumerate(words)]


@dataclass(frozen=True)
class Paper:
    """ConvS2S with its weights under the paper's names."""

    w_source: Array  # one column a word
    p_source: Array  # one column a position
    w_target: Array
    p_target: Array
    into_encoder: Affine
    encoder: list[Block]
    out_of_encoder: Affine
    into_decoder: Affine
    decoder: list[Block]
    d: list[Affine | None]  # W_d, b_d of every layer, None without attention
    c: list[Affine | None]  # of the conditional input to the width of the layer
    out_of_decoder: Affine
    o: Affine  # W_o, b_o
    as_in_code: bool

    @property
    def scale(self) -> float:
        """Of the sums of attention."""
        return 0.5**0.5 if self.as_in_code else 1.0

    def encode(self, source: list[int]) -> tuple[list[Array], list[Array]]:
        """z^u_j and e_j."""
        e = embedded(self.w_source, self.p_source, source)
        z = [self.into_encoder(x) for x in e]
        for block in self.encoder:
            z = block.over(z, ahead=block.k // 2)
        return [self.out_of_encoder(x) for x in z], e

    def translate(self, source: list[int], words: list[int]) -> tuple[Array, Array]:
        """y_0 .. y_{n-1} to the logits of y_1 .. y_n (n, T) and the weights (n, m), the mean over the layers."""
        z, e = self.encode(source)
        m = len(source)
        g = embedded(self.w_target, self.p_target, words)
        h = [self.into_decoder(x) for x in g]
        attention = np.zeros((len(words), m))
        for block, summary, conditional in zip(self.decoder, self.d, self.c, strict=True):
            if summary is None or conditional is None:
                h = block.over(h, ahead=0)
                continue
            before = h
            h = block.gated(h, ahead=0) if self.as_in_code else block.over(h, ahead=0)
            for i, state in enumerate(h):
                d = (summary(state) + g[i]) * self.scale
                a = softmax(np.array([d @ z_j for z_j in z]))
                c = np.sum([a_j * (z_j + e_j) * self.scale for a_j, z_j, e_j in zip(a, z, e, strict=True)], axis=0)
                h[i] = (state + conditional(m * np.sqrt(1 / m) * c)) * self.scale
                attention[i] += a / (len(self.d) - self.d.count(None))
            if self.as_in_code:
                h = [block.residual(out, state) for out, state in zip(h, before, strict=True)]
        return np.array([self.o(self.out_of_decoder(x)) for x in h]), attention


def affine(linear: Any) -> Affine:
    return Affine(linear.direction.numpy(), linear.magnitude.numpy(), linear.bias.numpy())


def block(weights: Any) -> Block:
    projection = weights.residual.projection
    narrowed = affine(projection) if list(projection.parameters()) else None
    return Block(weights.convolution.kernel_size, affine(weights.convolution.linear), narrowed)


def paper(model: Seq2Seq, *, as_in_code: bool = False) -> Paper:
    encoder: Any = model.encoder
    decoder: Any = model.decoder
    attention = [weights.attention for weights in decoder.blocks]
    return Paper(
        w_source=encoder.embedding.words.weight.numpy().T,
        p_source=encoder.embedding.positions.weight.numpy().T,
        w_target=decoder.embedding.words.weight.numpy().T,
        p_target=decoder.embedding.positions.weight.numpy().T,
        into_encoder=affine(encoder.enter),
        encoder=[block(weights) for weights in encoder.blocks],
        out_of_encoder=affine(encoder.leave),
        into_decoder=affine(decoder.enter),
        decoder=[block(weights) for weights in decoder.blocks],
        d=[affine(layer.query) if layer else None for layer in attention],
        c=[affine(layer.spread) if layer else None for layer in attention],
        out_of_decoder=affine(decoder.leave),
        o=affine(decoder.output),
        as_in_code=as_in_code,
    )


def far_from_zero(**settings: Any) -> Seq2Seq:
    """Layers of several widths and kernels, and fewer positions than the longest source has words."""
    config = convs2s2017.Config(
        embedding_size=5,
        encoder_convolutions=((6, 3), (6, 4), (4, 1)),
        decoder_convolutions=((6, 3), (4, 2), (4, 3)),
        max_positions=5,
        **settings,
    )
    return drawn_wide(convs2s2017.build(config, VocabularySizes(SOURCE_VOCABULARY, TARGET_VOCABULARY)))


def test_logits_and_attention_are_those_of_the_papers_equations() -> None:
    model = far_from_zero()
    assert_same(model, paper(model).translate)


def test_logits_and_attention_are_those_of_the_authors_code() -> None:
    model = far_from_zero(equations="fairseq")
    assert_same(model, paper(model, as_in_code=True).translate)


@pytest.mark.parametrize("equations", ["paper", "fairseq"])
@pytest.mark.parametrize("layers", [[1], [3], [1, 3]])
def test_only_the_chosen_layers_attend(equations: str, layers: list[int]) -> None:
    model = far_from_zero(equations=equations, attention_layers=layers)
    assert_same(model, paper(model, as_in_code=equations == "fairseq").translate)


@pytest.mark.parametrize("settings", [{}, {"attention_layers": [2]}])
def test_every_weight_that_is_compared_is_the_models(settings: dict[str, Any]) -> None:
    model = far_from_zero(**settings)
    assert elements(paper(model)) == sum(p.numel() for p in model.parameters())
