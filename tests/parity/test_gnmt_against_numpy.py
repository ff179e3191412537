"""gnmt2016 against the paper's section 3, written out in NumPy from its equations (arXiv 1609.08144).

One sentence at a time, one word at a time, weights under the paper's names. The context a_i of a step
comes of the output of the bottom decoder layer at the step before it (equation 4) and goes to every
decoder layer (figure 1); residual connections go from the third layer up (equation 6). The decoder
starts from zeros, and its cells are those of torch.nn.LSTM; the model's docstring says why.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from tests.parity.equations import (
    JOINT_VOCABULARY,
    LSTM,
    SOURCE_VOCABULARY,
    TARGET_VOCABULARY,
    Array,
    Pointer,
    assert_same,
    drawn_wide,
    elements,
    lstm,
    pointer,
    second_biases,
    softmax,
    vocabulary_layer,
)

from regard.contract import Seq2Seq, VocabularySizes
from regard.models import gnmt2016


@dataclass(frozen=True)
class Attention:
    """AttentionFunction: a feed-forward network with one hidden layer, tanh."""

    W_y: Array
    W_x: Array
    b: Array
    v: Array

    def weights(self, y: Array, xs: list[Array]) -> Array:
        """s_t and p_t, equation 4."""
        return softmax(np.array([self.v @ np.tanh(self.W_y @ y + self.W_x @ x + self.b) for x in xs]))


@dataclass(frozen=True)
class Paper:
    """GNMT with its weights under the paper's names."""

    E_source: Array  # one column a wordpiece
    E_target: Array
    LSTM_f: LSTM
    LSTM_b: LSTM
    encoder: list[LSTM]  # those above the bidirectional one
    attention: Attention
    decoder: list[LSTM]
    W_s: Array
    copying: Pointer | None

    def encode(self, source: list[int]) -> list[Array]:
        """x_1 .. x_M, the top layer's outputs (sections 3.1 and 3.2)."""
        words = [self.E_source[:, x] for x in source]
        ahead, _ = self.LSTM_f.over(words)
        back, _ = self.LSTM_b.over(words[::-1])
        outputs = [np.concatenate(pair) for pair in zip(ahead, back[::-1], strict=True)]
        for number, layer in enumerate(self.encoder, start=2):
            m, _ = layer.over(outputs)
            outputs = [new + old for new, old in zip(m, outputs, strict=True)] if number >= 3 else m
        return outputs

    def translate(self, source: list[int], words: list[int]) -> tuple[Array, Array]:
        """y_0 .. y_{N-1} to the logits of y_1 .. y_N (N, K) and the weights (N, M)."""
        xs = self.encode(source)
        states = [layer.start() for layer in self.decoder]
        bottom = states[0][0]
        logits, attention = [], []
        for word in words:
            p = self.attention.weights(bottom, xs)
            a = np.sum([weight * x for weight, x in zip(p, xs, strict=True)], axis=0)
            x = self.E_target[:, word]
            for number, layer in enumerate(self.decoder, start=1):
                states[number - 1] = layer.next(np.concatenate((x, a)), states[number - 1])
                m = states[number - 1][0]
                x = m + x if number >= 3 else m
            bottom = states[0][0]
            y, scores = self.E_target[:, word], self.W_s @ x
            logits.append(self.copying.mix(scores, p, xs, x, y, source) if self.copying else scores)
            attention.append(p)
        return np.array(logits), np.array(attention)


def paper(model: Seq2Seq) -> Paper:
    encoder: Any = model.encoder
    decoder: Any = model.decoder
    return Paper(
        E_source=encoder.embedding.weight.numpy().T,
        E_target=decoder.embedding.weight.numpy().T,
        LSTM_f=lstm(encoder.bottom_forward),
        LSTM_b=lstm(encoder.bottom_backward),
        encoder=[lstm(layer) for layer in encoder.layers],
        attention=Attention(
            W_y=decoder.score.query.weight.numpy(),
            W_x=decoder.score.key.weight.numpy(),
            b=decoder.score.query.bias.numpy(),
            v=decoder.score.score.weight.numpy()[0],
        ),
        decoder=[lstm(decoder.bottom), *(lstm(layer) for layer in decoder.layers)],
        W_s=vocabulary_layer(decoder).weight.numpy(),
        copying=pointer(decoder),
    )


def far_from_zero(copies: bool) -> Seq2Seq:
    config = gnmt2016.Config(
        encoder_layers=4,
        decoder_layers=5,
        hidden_size=6,
        embedding_size=5,
        attention_size=4,
        copy_attention=copies,
    )
    sizes = JOINT_VOCABULARY if copies else VocabularySizes(SOURCE_VOCABULARY, TARGET_VOCABULARY)
    return drawn_wide(gnmt2016.build(config, sizes))


@pytest.mark.parametrize("copies", [False, True])
def test_logits_and_attention_are_those_of_the_papers_equations(copies: bool) -> None:
    model = far_from_zero(copies)
    assert_same(model, paper(model).translate)


@pytest.mark.parametrize("copies", [False, True])
def test_every_weight_that_is_compared_is_the_models(copies: bool) -> None:
    model = far_from_zero(copies)
    assert elements(paper(model)) + second_biases(model) == sum(p.numel() for p in model.parameters())
