"""cho2014 against the paper's appendix A, written out in NumPy from its equations (arXiv 1406.1078).

One sentence at a time, one word at a time, weights under the paper's names. The paper omits all
biases from its equations; they are put back where a sum is closed: b in the gates and candidates of
either unit, in the summary, in the decoder's first state and in both layers of the output. e(y_0) is
zero, and O_y acts on the embedding, as the matrix of rank 100 that section 4.1.1 makes of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from tests.parity.equations import (
    SOURCE_VOCABULARY,
    TARGET_VOCABULARY,
    Array,
    assert_same,
    drawn_wide,
    elements,
    sigma,
)

from regard.contract import Seq2Seq, VocabularySizes
from regard.models import cho2014


@dataclass(frozen=True)
class Unit:
    """W, W_z, W_r (n, m), U, U_z, U_r (n, n), b, b_z, b_r (n,)."""

    W: Array
    W_z: Array
    W_r: Array
    U: Array
    U_z: Array
    U_r: Array
    b: Array
    b_z: Array
    b_r: Array


@dataclass(frozen=True)
class Context:
    """C, C_z, C_r (n, n): what the decoder's unit takes of c."""

    C: Array
    C_z: Array
    C_r: Array


@dataclass(frozen=True)
class Paper:
    """The RNN Encoder-Decoder with its weights under the paper's names."""

    E_source: Array  # one column a word
    E_target: Array
    encoder: Unit
    V: Array
    b_c: Array
    V_prime: Array
    b_start: Array
    decoder: Unit
    context: Context
    O_h: Array
    O_y: Array
    O_c: Array
    b_o: Array
    G_l: Array
    G_r: Array
    b_y: Array

    def summary(self, source: list[int]) -> Array:
        """A.1.1: c."""
        unit = self.encoder
        h = np.zeros(len(unit.b))
        for x in source:
            e = self.E_source[:, x]
            z = sigma(unit.W_z @ e + unit.U_z @ h + unit.b_z)
            r = sigma(unit.W_r @ e + unit.U_r @ h + unit.b_r)
            h_tilde = np.tanh(unit.W @ e + unit.U @ (r * h) + unit.b)
            h = z * h + (1 - z) * h_tilde
        c: Array = np.tanh(self.V @ h + self.b_c)
        return c

    def translate(self, source: list[int], words: list[int]) -> tuple[Array, None]:
        """A.1.2: y_0 .. y_{T-1} to the logits of y_1 .. y_T, (T, K)."""
        c = self.summary(source)
        unit, into = self.decoder, self.context
        h = np.tanh(self.V_prime @ c + self.b_start)
        logits = []
        for t, y in enumerate(words):
            e = self.E_target[:, y] if t else np.zeros(len(self.E_target))
            z = sigma(unit.W_z @ e + unit.U_z @ h + into.C_z @ c + unit.b_z)
            r = sigma(unit.W_r @ e + unit.U_r @ h + into.C_r @ c + unit.b_r)
            h_tilde = np.tanh(unit.W @ e + r * (unit.U @ h + into.C @ c) + unit.b)
            h = z * h + (1 - z) * h_tilde
            s_prime = self.O_h @ h + self.O_y @ e + self.O_c @ c + self.b_o
            s = np.array([max(s_prime[2 * i], s_prime[2 * i + 1]) for i in range(len(s_prime) // 2)])
            logits.append(self.G_l @ self.G_r @ s + self.b_y)
        return np.array(logits), None


def unit(inputs: Any, recurrent: Array) -> Unit:
    """Stacked matrices (z over r over candidate) taken apart; the model's z is the paper's 1 - z."""
    U_z, U_r, U = np.split(recurrent, 3)
    W_z, W_r, W = np.split(inputs.weight.numpy(), 3)
    b_z, b_r, b = np.split(inputs.bias.numpy(), 3)
    return Unit(W, -W_z, W_r, U, -U_z, U_r, b, -b_z, b_r)


def paper(model: Seq2Seq) -> Paper:
    encoder: Any = model.encoder
    decoder: Any = model.decoder
    C_z, C_r, C = np.split(decoder.context_input.weight.numpy(), 3)
    return Paper(
        E_source=encoder.embedding.weight.numpy().T,
        E_target=decoder.embedding.weight.numpy().T,
        encoder=unit(
            encoder.input, np.vstack((encoder.unit.gates.weight.numpy(), encoder.unit.candidate.weight.numpy()))
        ),
        V=encoder.summary.weight.numpy(),
        b_c=encoder.summary.bias.numpy(),
        V_prime=decoder.start.weight.numpy(),
        b_start=decoder.start.bias.numpy(),
        decoder=unit(decoder.word_input, decoder.unit.recurrent.weight.numpy()),
        context=Context(C, -C_z, C_r),
        O_h=decoder.out_state.weight.numpy(),
        O_y=decoder.out_word.weight.numpy(),
        O_c=decoder.out_context.weight.numpy(),
        b_o=decoder.out_state.bias.numpy(),
        G_l=decoder.output.weight.numpy(),
        G_r=decoder.out_rank.weight.numpy(),
        b_y=decoder.output.bias.numpy(),
    )


def far_from_zero() -> Seq2Seq:
    config = cho2014.Config(hidden_size=6, embedding_size=5, maxout_size=3)
    return drawn_wide(cho2014.build(config, VocabularySizes(SOURCE_VOCABULARY, TARGET_VOCABULARY)))


def test_logits_are_those_of_the_papers_equations() -> None:
    model = far_from_zero()
    assert_same(model, paper(model).translate)


def test_every_weight_that_is_compared_is_the_models() -> None:
    model = far_from_zero()
    assert elements(paper(model)) == sum(p.numel() for p in model.parameters())
