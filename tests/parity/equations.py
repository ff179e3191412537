"""What the NumPy transcriptions share: the functions every paper writes, the LSTM cell, and the comparison."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tests.doubles import as_batch

from regard.contract import Seq2Seq, VocabularySizes
from regard.special_tokens import PAD

Array = NDArray[np.float64]
Translate = Callable[[list[int], list[int]], tuple[Array, Array | None]]
"""A source and the words fed, to logits (T, K) and attention (T, T_x), if the paper has any."""

# The last pair is longer than windows and dilations reach, and than the numbers of positions that are learned.
SOURCES = [[4, 5, 2], [8, 7, 3, 3, 6, 2], [2], [6, 4, 4, 5, 2], [5, 8, 3, 7, 4, 4, 6, 3, 8, 5, 7, 3, 6, 2]]
TARGETS = [[1, 4, 9, 5, 3], [1, 7], [1, 9, 9, 4], [1], [1, 8, 3, 10, 4, 6, 9, 3, 5, 7, 7, 4]]
SOURCE_VOCABULARY, TARGET_VOCABULARY = 9, 11


def sigma(x: Array) -> Array:
    result: Array = 1 / (1 + np.exp(-x))
    return result


def softmax(scores: Array) -> Array:
    exponentials = np.exp(scores - scores.max())
    weights: Array = exponentials / exponentials.sum()
    return weights


@dataclass(frozen=True)
class LSTM:
    """i, f, o, g of an input x (m,) and the state (h, c), both (n,): W (n, m), U (n, n), b (n,)."""

    W_i: Array
    W_f: Array
    W_o: Array
    W_g: Array
    U_i: Array
    U_f: Array
    U_o: Array
    U_g: Array
    b_i: Array
    b_f: Array
    b_o: Array
    b_g: Array

    def start(self) -> tuple[Array, Array]:
        return np.zeros(len(self.b_i)), np.zeros(len(self.b_i))

    def next(self, x: Array, state: tuple[Array, Array]) -> tuple[Array, Array]:
        h, c = state
        i = sigma(self.W_i @ x + self.U_i @ h + self.b_i)
        f = sigma(self.W_f @ x + self.U_f @ h + self.b_f)
        o = sigma(self.W_o @ x + self.U_o @ h + self.b_o)
        g = np.tanh(self.W_g @ x + self.U_g @ h + self.b_g)
        c = f * c + i * g
        return o * np.tanh(c), c

    def over(self, inputs: list[Array]) -> tuple[list[Array], tuple[Array, Array]]:
        """From a state of zeros: every h, and the last (h, c)."""
        state = self.start()
        states = []
        for x in inputs:
            state = self.next(x, state)
            states.append(state[0])
        return states, state


def lstm(layer: Any) -> LSTM:
    """A torch.nn.LSTM's stacked matrices (i over f over g over o) and the sum of its two biases taken apart."""
    W_i, W_f, W_g, W_o = np.split(layer.weight_ih_l0.numpy(), 4)
    U_i, U_f, U_g, U_o = np.split(layer.weight_hh_l0.numpy(), 4)
    b_i, b_f, b_g, b_o = np.split((layer.bias_ih_l0 + layer.bias_hh_l0).numpy(), 4)
    return LSTM(W_i, W_f, W_o, W_g, U_i, U_f, U_o, U_g, b_i, b_f, b_o, b_g)


@dataclass(frozen=True)
class Pointer:
    """Copying of source tokens: See et al. 2017 (arXiv 1704.04368), section 2.2, under the paper's names."""

    w_h: Array
    w_s: Array
    w_x: Array
    b: Array

    def mix(self, logits: Array, a: Array, hs: list[Array], s: Array, x: Array, source: list[int]) -> Array:
        """log P(w) of every word, by equations 3, 8 and 9 in probabilities."""
        context = np.sum([weight * h for weight, h in zip(a, hs, strict=True)], axis=0)
        p_gen = sigma(self.w_h @ context + self.w_s @ s + self.w_x @ x + self.b)
        probabilities = p_gen * softmax(logits)
        for position, word in enumerate(source):
            probabilities[word] += (1 - p_gen[0]) * a[position]
        return np.log(probabilities)


def pointer(decoder: Any) -> Pointer | None:
    """The weights with which a decoder copies; None if it does not."""
    gate = decoder.copy_gate
    if gate is None:
        return None
    return Pointer(
        gate.context.weight.numpy(), gate.state.weight.numpy(), gate.word.weight.numpy(), gate.word.bias.numpy()
    )


def vocabulary_layer(decoder: Any) -> Any:
    """The layer that gives the logits of P_vocab."""
    return decoder.output if decoder.copy_gate is None else decoder.output.linear


JOINT_VOCABULARY = VocabularySizes(TARGET_VOCABULARY, TARGET_VOCABULARY, joint=True)


def drawn_wide(model: Seq2Seq, deviation: float = 1.0, seed: int = 3) -> Seq2Seq:
    """In float64, every weight and bias drawn wide, so that no gate is half open and no weight is even."""
    model = model.double().eval().requires_grad_(False)
    generator = torch.Generator().manual_seed(seed)
    for parameter in model.parameters():
        parameter.copy_(deviation * torch.randn(parameter.shape, generator=generator, dtype=torch.float64))
    return model


def assert_same(
    model: Seq2Seq, translate: Translate, sources: list[list[int]] = SOURCES, targets: list[list[int]] = TARGETS
) -> None:
    """A ragged batch through the model, and its sentences one by one through the transcription.

    The transcription of a model that copies returns log-probabilities, so the model's logits are normalized, too.
    """
    source, target = as_batch(sources), as_batch(targets)
    assert PAD in source and PAD in target
    output = model.features(source, target, with_attention=True)
    scores = model.decoder.readout(output.features)
    is_copying = getattr(model.decoder, "copy_gate", None) is not None
    logits = (scores.log_softmax(-1) if is_copying else scores).numpy()
    assert (output.attention is not None) == model.decoder.has_attention
    for row, (words, target_words) in enumerate(zip(sources, targets, strict=True)):
        expected_logits, expected_attention = translate(words, target_words)
        np.testing.assert_allclose(logits[row, : len(target_words)], expected_logits, rtol=0, atol=1e-10)
        if output.attention is None:
            assert expected_attention is None
            continue
        assert expected_attention is not None
        attention = output.attention[row, : len(target_words)].numpy()
        np.testing.assert_allclose(attention[:, : len(words)], expected_attention, rtol=0, atol=1e-10)
        assert not attention[:, len(words) :].any()


def second_biases(model: Seq2Seq) -> int:
    """How many numbers are the second bias of a torch.nn.LSTM, which the papers' one bias takes in."""
    return sum(p.numel() for name, p in model.named_parameters() if name.endswith("bias_hh_l0"))


def elements(weights: Any) -> int:
    """How many numbers a transcription holds, in arrays at any depth."""
    if isinstance(weights, np.ndarray):
        return weights.size
    if is_dataclass(weights):
        return elements(getattr(weights, field.name) for field in fields(weights))
    if isinstance(weights, Iterable) and not isinstance(weights, str):
        return sum(elements(part) for part in weights)
    return 0
