"""bahdanau2014 against the paper's appendix A, written out in NumPy from its equations (arXiv 1409.0473).

One sentence at a time, one position at a time, weights under the paper's names. The paper omits all
biases from its equations; they are put back where a sum is closed: b in the gates and candidates,
in the alignment model, in s_0 and in both layers of the output.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from tests.parity.equations import (
    JOINT_VOCABULARY,
    SOURCE_VOCABULARY,
    TARGET_VOCABULARY,
    Array,
    Pointer,
    assert_same,
    drawn_wide,
    elements,
    pointer,
    sigma,
    softmax,
    vocabulary_layer,
)

from regard.contract import Seq2Seq, VocabularySizes
from regard.models import bahdanau2014


@dataclass(frozen=True)
class Gated:
    """W, W_z, W_r (n, m), U, U_z, U_r (n, n), biases (n,), and the decoder's C, C_z, C_r (n, 2n)."""

    W: Array
    W_z: Array
    W_r: Array
    U: Array
    U_z: Array
    U_r: Array
    b: Array
    b_z: Array
    b_r: Array
    C: Array
    C_z: Array
    C_r: Array

    def next(self, word: Array, before: Array, context: Array) -> Array:
        """The three equations of A.2.2; A.2.1's are these with C = 0."""
        z = sigma(self.W_z @ word + self.U_z @ before + self.C_z @ context + self.b_z)
        r = sigma(self.W_r @ word + self.U_r @ before + self.C_r @ context + self.b_r)
        proposed = np.tanh(self.W @ word + self.U @ (r * before) + self.C @ context + self.b)
        new: Array = (1 - z) * before + z * proposed
        return new


@dataclass(frozen=True)
class Paper:
    """RNNsearch with its weights under the paper's names."""

    E_source: Array  # one column a word
    E_target: Array
    forward: Gated
    backward: Gated
    decoder: Gated
    W_s: Array
    b_s: Array
    W_a: Array
    U_a: Array
    b_a: Array
    v_a: Array
    U_o: Array
    V_o: Array
    C_o: Array
    b_o: Array
    W_o: Array
    b_y: Array
    copying: Pointer | None

    def annotations(self, source: list[int]) -> tuple[list[Array], Array]:
        """h_1 .. h_Tx (equation 7), and the backward state at the first word."""
        n = len(self.b_s)
        no_context = np.zeros(2 * n)
        ahead = [np.zeros(n)]
        for word in source:
            ahead.append(self.forward.next(self.E_source[:, word], ahead[-1], no_context))
        back = [np.zeros(n)]
        for word in reversed(source):
            back.append(self.backward.next(self.E_source[:, word], back[-1], no_context))
        backward = back[:0:-1]
        return [np.concatenate(pair) for pair in zip(ahead[1:], backward, strict=True)], backward[0]

    def weights(self, state: Array, annotations: list[Array]) -> Array:
        """alpha_i1 .. alpha_iTx."""
        energies = [self.v_a @ np.tanh(self.W_a @ state + self.U_a @ h + self.b_a) for h in annotations]
        return softmax(np.array(energies))

    def translate(self, source: list[int], words: list[int]) -> tuple[Array, Array]:
        """y_0 .. y_{T-1} to W_o t_1 .. W_o t_T (T, K_y) and the weights (T, T_x)."""
        annotations, first_backward = self.annotations(source)
        state = np.tanh(self.W_s @ first_backward + self.b_s)
        logits, attention = [], []
        for word in words:
            alpha = self.weights(state, annotations)
            context = np.sum([a * h for a, h in zip(alpha, annotations, strict=True)], axis=0)
            y = self.E_target[:, word]
            t_tilde = self.U_o @ state + self.V_o @ y + self.C_o @ context + self.b_o
            t = np.array([max(t_tilde[2 * j], t_tilde[2 * j + 1]) for j in range(len(t_tilde) // 2)])
            scores = self.W_o @ t + self.b_y
            logits.append(self.copying.mix(scores, alpha, annotations, state, y, source) if self.copying else scores)
            attention.append(alpha)
            state = self.decoder.next(y, state, context)
        return np.array(logits), np.array(attention)


def gated(inputs: Any, unit: Any, contexts: Any = None) -> Gated:
    """Our stacked matrices (z over r over candidate) taken apart."""
    W_z, W_r, W = np.split(inputs.weight.numpy(), 3)
    b_z, b_r, b = np.split(inputs.bias.numpy(), 3)
    U_z, U_r = np.split(unit.gates.weight.numpy(), 2)
    n = len(b)
    C_z, C_r, C = np.zeros((3, n, 2 * n)) if contexts is None else np.split(contexts.weight.numpy(), 3)
    return Gated(W, W_z, W_r, unit.candidate.weight.numpy(), U_z, U_r, b, b_z, b_r, C, C_z, C_r)


def paper(model: Seq2Seq) -> Paper:
    encoder: Any = model.encoder
    decoder: Any = model.decoder
    return Paper(
        E_source=encoder.embedding.weight.numpy().T,
        E_target=decoder.embedding.weight.numpy().T,
        forward=gated(encoder.forward_input, encoder.forward_unit),
        backward=gated(encoder.backward_input, encoder.backward_unit),
        decoder=gated(decoder.word_input, decoder.unit, decoder.context_input),
        W_s=decoder.start.weight.numpy(),
        b_s=decoder.start.bias.numpy(),
        W_a=decoder.score.query.weight.numpy(),
        U_a=decoder.score.key.weight.numpy(),
        b_a=decoder.score.query.bias.numpy(),
        v_a=decoder.score.score.weight.numpy()[0],
        U_o=decoder.out_state.weight.numpy(),
        V_o=decoder.out_word.weight.numpy(),
        C_o=decoder.out_context.weight.numpy(),
        b_o=decoder.out_state.bias.numpy(),
        W_o=vocabulary_layer(decoder).weight.numpy(),
        b_y=vocabulary_layer(decoder).bias.numpy(),
        copying=pointer(decoder),
    )


def far_from_zero(copies: bool) -> Seq2Seq:
    config = bahdanau2014.Config(
        hidden_size=6, embedding_size=5, attention_size=4, maxout_size=3, copy_attention=copies
    )
    sizes = JOINT_VOCABULARY if copies else VocabularySizes(SOURCE_VOCABULARY, TARGET_VOCABULARY)
    return drawn_wide(bahdanau2014.build(config, sizes))


@pytest.mark.parametrize("copies", [False, True])
def test_logits_and_attention_are_those_of_the_papers_equations(copies: bool) -> None:
    model = far_from_zero(copies)
    assert_same(model, paper(model).translate)


@pytest.mark.parametrize("copies", [False, True])
def test_every_weight_that_is_compared_is_the_models(copies: bool) -> None:
    model = far_from_zero(copies)
    absent = 6 * 6 * 12  # C, C_z, C_r of the two directions of the encoder
    assert elements(paper(model)) - absent == sum(p.numel() for p in model.parameters())
