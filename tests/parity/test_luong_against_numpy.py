"""luong2015 against the paper's section 3, written out in NumPy from its equations (arXiv 1508.04025).

One sentence at a time, one word at a time, weights under the paper's names; every score with every
kind of attention, with and without input feeding, the source's words reversed or not. Positions count
from 1; those of the source are the sentence's also when it is read backward.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pytest
from tests.parity.equations import (
    JOINT_VOCABULARY,
    LSTM,
    SOURCE_VOCABULARY,
    SOURCES,
    TARGET_VOCABULARY,
    Array,
    Pointer,
    assert_same,
    drawn_wide,
    elements,
    lstm,
    pointer,
    second_biases,
    sigma,
    softmax,
    vocabulary_layer,
)

from regard.contract import Seq2Seq, VocabularySizes
from regard.models import luong2015

Score = Literal["dot", "general", "concat", "scaled_dot"]
Kind = Literal["global", "local_m", "local_p"]


@dataclass(frozen=True)
class Paper:
    """The attentional model with its weights under the paper's names; those a variant lacks are None."""

    score: str
    kind: Kind
    D: int
    input_feeding: bool
    reverse_source: bool
    E_source: Array  # one column a word
    E_target: Array
    encoder: list[LSTM]
    decoder: list[LSTM]
    W_a: Array | None
    v_a: Array | None
    W_p: Array | None
    v_p: Array | None
    W_c: Array
    W_s: Array
    copying: Pointer | None

    def encode(self, source: list[int]) -> tuple[list[Array], list[tuple[Array, Array]]]:
        """The states h-bar_1 .. h-bar_S of the top layer, and the last (h, c) of every layer."""
        *words, end_marker = range(len(source))
        order = [*(reversed(words) if self.reverse_source else words), end_marker]
        states = [self.E_source[:, source[place]] for place in order]
        last = []
        for layer in self.encoder:
            states, end = layer.over(states)
            last.append(end)
        return [states[order.index(place)] for place in range(len(source))], last

    def scored(self, h: Array, h_bar: Array) -> float:
        """score(h_t, h-bar_s), section 3.1."""
        if self.score == "dot":
            return float(h @ h_bar)
        if self.score == "scaled_dot":
            return float(h @ h_bar / np.sqrt(len(h)))
        assert self.W_a is not None
        if self.score == "general":
            return float(h @ self.W_a @ h_bar)
        assert self.v_a is not None
        return float(self.v_a @ np.tanh(self.W_a @ np.concatenate((h, h_bar))))

    def weights(self, t: int, h: Array, h_bars: list[Array]) -> Array:
        """a_t(s) for s = 1 .. S at target position t = 1, 2, ...: equations 7, 9 and 10."""
        S = len(h_bars)
        positions = range(1, S + 1)
        if self.kind == "global":
            return softmax(np.array([self.scored(h, h_bar) for h_bar in h_bars]))
        if self.kind == "local_m":
            p = float(min(t, S))
        else:
            assert self.W_p is not None and self.v_p is not None
            p = S * float(sigma(self.v_p @ np.tanh(self.W_p @ h)))
        window = [s for s in positions if p - self.D <= s <= p + self.D]
        align = softmax(np.array([self.scored(h, h_bars[s - 1]) for s in window]))
        a = np.zeros(S)
        for s, weight in zip(window, align, strict=True):
            favour = np.exp(-((s - p) ** 2) / (2 * (self.D / 2) ** 2)) if self.kind == "local_p" else 1.0
            a[s - 1] = weight * favour
        return a

    def translate(self, source: list[int], words: list[int]) -> tuple[Array, Array]:
        """y_0 .. y_{T-1} to the logits of y_1 .. y_T (T, K), and the weights over the source made to sum to 1."""
        h_bars, states = self.encode(source)
        h_tilde = np.zeros(len(self.W_c))
        logits, attention = [], []
        for t, y in enumerate(words, start=1):
            below = self.E_target[:, y]
            if self.input_feeding:
                below = np.concatenate((below, h_tilde))
            for number, layer in enumerate(self.decoder):
                states[number] = layer.next(below, states[number])
                below = states[number][0]
            a = self.weights(t, below, h_bars)
            c = np.sum([weight * h_bar for weight, h_bar in zip(a, h_bars, strict=True)], axis=0)
            h_tilde = np.tanh(self.W_c @ np.concatenate((c, below)))
            scores, a = self.W_s @ h_tilde, a / a.sum()
            x = self.E_target[:, y]
            logits.append(self.copying.mix(scores, a, h_bars, below, x, source) if self.copying else scores)
            attention.append(a)
        return np.array(logits), np.array(attention)


def paper(model: Seq2Seq, config: luong2015.Config) -> Paper:
    encoder: Any = model.encoder
    decoder: Any = model.decoder
    attention = decoder.attention
    W_a = v_a = W_p = v_p = None
    if config.score == "general":
        W_a = attention.score.key.weight.numpy()
    if config.score == "concat":
        W_a = np.hstack((attention.score.query.weight.numpy(), attention.score.key.weight.numpy()))
        v_a = attention.score.score.weight.numpy()[0]
    if config.attention == "local_p":
        W_p = attention.position.weight.numpy()
        v_p = attention.position_score.weight.numpy()[0]
    return Paper(
        score=config.score,
        kind=config.attention,
        D=config.window_size,
        input_feeding=config.input_feeding,
        reverse_source=config.reverse_source,
        E_source=encoder.embedding.weight.numpy().T,
        E_target=decoder.embedding.weight.numpy().T,
        encoder=[lstm(layer) for layer in encoder.stack.layers],
        decoder=[lstm(layer) for layer in decoder.stack.layers],
        W_a=W_a,
        v_a=v_a,
        W_p=W_p,
        v_p=v_p,
        W_c=decoder.combine.weight.numpy(),
        W_s=vocabulary_layer(decoder).weight.numpy(),
        copying=pointer(decoder),
    )


def far_from_zero(
    score: Score, kind: Kind, feeding: bool, reverse: bool, copies: bool = False
) -> tuple[Seq2Seq, Paper]:
    config = luong2015.Config(
        num_layers=3,
        hidden_size=6,
        embedding_size=5,
        score=score,
        attention=kind,
        window_size=2,
        input_feeding=feeding,
        reverse_source=reverse,
        copy_attention=copies,
    )
    sizes = JOINT_VOCABULARY if copies else VocabularySizes(SOURCE_VOCABULARY, TARGET_VOCABULARY)
    model = drawn_wide(luong2015.build(config, sizes))
    return model, paper(model, config)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("feeding", [False, True])
@pytest.mark.parametrize("kind", ["global", "local_m", "local_p"])
@pytest.mark.parametrize("score", ["dot", "general", "concat", "scaled_dot"])
def test_logits_and_attention_are_those_of_the_papers_equations(
    score: Score, kind: Kind, feeding: bool, reverse: bool
) -> None:
    model, reference = far_from_zero(score, kind, feeding, reverse)
    assert_same(model, reference.translate)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("feeding", [False, True])
@pytest.mark.parametrize("kind", ["global", "local_m", "local_p"])
def test_copying_is_that_of_see_et_al(kind: Kind, feeding: bool, reverse: bool) -> None:
    model, reference = far_from_zero("general", kind, feeding, reverse, copies=True)
    assert_same(model, reference.translate)
    assert elements(reference) + second_biases(model) == sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize("kind", ["local_m", "local_p"])
def test_the_window_is_narrower_than_a_source(kind: Kind) -> None:
    _, reference = far_from_zero("general", kind, False, True)
    _, attention = reference.translate(SOURCES[1], [1, 4, 9, 5, 3])
    assert (attention == 0).any(axis=1).all()
    assert (attention.argmax(1) != attention.argmax(1)[0]).any()


@pytest.mark.parametrize("feeding", [False, True])
@pytest.mark.parametrize("kind", ["global", "local_m", "local_p"])
@pytest.mark.parametrize("score", ["dot", "general", "concat", "scaled_dot"])
def test_every_weight_that_is_compared_is_the_models(score: Score, kind: Kind, feeding: bool) -> None:
    model, compared = far_from_zero(score, kind, feeding, True)
    assert elements(compared) + second_biases(model) == sum(p.numel() for p in model.parameters())
