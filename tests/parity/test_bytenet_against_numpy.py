"""bytenet2016 against the paper's section 3, written out in NumPy (arXiv 1610.10099).

One sentence at a time, one column at a time: the source embedded and unfolded to ceil(1.2 |s|)
columns, residual blocks of figure 3 (ReLU variant) with taps looked up one by one, the decoder stacked
on the encoder's columns, of which there are none beyond the unfolded length. The stack is a sum, which
the paper leaves open. A source is padded to the next multiple of a number with a special character (section 6), or
the columns after it start as zeros.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import Any

import numpy as np
import pytest
from tests.parity.equations import (
    SOURCE_VOCABULARY,
    SOURCES,
    TARGET_VOCABULARY,
    TARGETS,
    Array,
    assert_same,
    drawn_wide,
    elements,
)

from regard.contract import Seq2Seq, VocabularySizes
from regard.models import bytenet2016


def layer_norm(x: Array, gain: Array, bias: Array) -> Array:
    """Ba et al. 2016, over the channels of one column."""
    normal: Array = gain * (x - x.mean()) / np.sqrt(x.var() + 1e-5) + bias
    return normal


def relu(x: Array) -> Array:
    return np.maximum(x, 0)


@dataclass(frozen=True)
class Block:
    """Figure 3: normalise, ReLU, 1x1 (2d to d); normalise, ReLU, 1xk (d to d); normalise, ReLU, 1x1 (d to 2d)."""

    dilation: int
    gain_1: Array
    bias_1: Array
    down: Array  # (d, 2d)
    b_down: Array
    gain_2: Array
    bias_2: Array
    taps: Array  # (k, d, d)
    b_taps: Array
    gain_3: Array
    bias_3: Array
    up: Array  # (2d, d)
    b_up: Array

    def columns(self, inputs: list[Array], *, masked: bool) -> list[Array]:
        """All columns; a tap beyond either end reads zeros, a masked block reads none after its column."""
        inner = []
        for x in inputs:
            small = self.down @ relu(layer_norm(x, self.gain_1, self.bias_1)) + self.b_down
            inner.append(relu(layer_norm(small, self.gain_2, self.bias_2)))
        outputs = []
        width = len(self.taps)
        for i, x in enumerate(inputs):
            total = self.b_taps
            for number, tap in enumerate(self.taps):
                offset = number - (width - 1) if masked else number - (width - 1) // 2
                j = i + offset * self.dilation
                if 0 <= j < len(inner):
                    total = total + tap @ inner[j]
            outputs.append(x + self.up @ relu(layer_norm(total, self.gain_3, self.bias_3)) + self.b_up)
        return outputs


@dataclass(frozen=True)
class Paper:
    """ByteNet with its weights."""

    E_source: Array  # (2d, K), one column a character
    E_target: Array
    encoder: list[Block]
    decoder: list[Block]
    last: Array  # the last hidden layer, then the softmax's
    b_last: Array
    W: Array
    b: Array
    special: Array | None  # the embedding of the character that pads
    multiple: int

    def unfolded(self, source: list[int]) -> list[Array]:
        """Equation 2 with a = 1.20, b = 0: that number of columns, those after the source padding or zeros."""
        padded = len(source) if self.special is None else self.multiple * ceil(len(source) / self.multiple)
        length = ceil(padded * 12 / 10)
        filling = np.zeros(len(self.E_source)) if self.special is None else self.special
        columns = [self.E_source[:, s] for s in source] + [filling] * (length - len(source))
        for block in self.encoder:
            columns = block.columns(columns, masked=False)
        return columns

    def translate(self, source: list[int], words: list[int]) -> tuple[Array, None]:
        """t_0 .. t_{n-1} to the logits of t_1 .. t_n."""
        encoded = self.unfolded(source)
        columns = []
        for i, word in enumerate(words):
            below = encoded[i] if i < len(encoded) else np.zeros(len(self.E_target))
            columns.append(self.E_target[:, word] + below)
        for block in self.decoder:
            columns = block.columns(columns, masked=True)
        return np.array([self.W @ relu(self.last @ x + self.b_last) + self.b for x in columns]), None


def block(weights: Any, dilation: int) -> Block:
    kernel = weights.convolution.linear
    return Block(
        dilation=dilation,
        gain_1=weights.norm.weight.numpy(),
        bias_1=weights.norm.bias.numpy(),
        down=weights.narrow.weight.numpy(),
        b_down=weights.narrow.bias.numpy(),
        gain_2=weights.inner_norm.weight.numpy(),
        bias_2=weights.inner_norm.bias.numpy(),
        taps=np.stack(np.split(kernel.weight.numpy(), 3, axis=1)),
        b_taps=kernel.bias.numpy(),
        gain_3=weights.outer_norm.weight.numpy(),
        bias_3=weights.outer_norm.bias.numpy(),
        up=weights.widen.weight.numpy(),
        b_up=weights.widen.bias.numpy(),
    )


def paper(model: Seq2Seq) -> Paper:
    encoder: Any = model.encoder
    decoder: Any = model.decoder
    return Paper(
        E_source=encoder.embedding.weight.numpy().T,
        E_target=decoder.embedding.weight.numpy().T,
        encoder=[block(weights, 2 ** (i % 3)) for i, weights in enumerate(encoder.blocks)],
        decoder=[block(weights, 2 ** (i % 3)) for i, weights in enumerate(decoder.blocks)],
        last=decoder.last.weight.numpy(),
        b_last=decoder.last.bias.numpy(),
        W=decoder.output.weight.numpy(),
        b=decoder.output.bias.numpy(),
        special=None if encoder.padding is None else encoder.padding.numpy(),
        multiple=encoder.multiple,
    )


def far_from_zero(pad_to_multiple: int) -> Seq2Seq:
    """Dilations 1, 2, 4, and 1 and 2 again."""
    config = bytenet2016.Config(
        encoder_layers=4, decoder_layers=5, hidden_size=4, num_dilations=3, pad_to_multiple=pad_to_multiple
    )
    return drawn_wide(bytenet2016.build(config, VocabularySizes(SOURCE_VOCABULARY, TARGET_VOCABULARY)))


@pytest.mark.parametrize("pad_to_multiple", [0, 1, 3])
def test_logits_are_those_of_the_papers_blocks(pad_to_multiple: int) -> None:
    model = far_from_zero(pad_to_multiple)
    reference = paper(model)
    assert_same(model, reference.translate)
    lengths = [(len(reference.unfolded(source)), len(target)) for source, target in zip(SOURCES, TARGETS, strict=True)]
    assert any(columns > target for columns, target in lengths)
    assert pad_to_multiple > 1 or any(columns < target for columns, target in lengths)


@pytest.mark.parametrize("pad_to_multiple", [0, 4])
def test_every_weight_that_is_compared_is_the_models(pad_to_multiple: int) -> None:
    model = far_from_zero(pad_to_multiple)
    assert elements(paper(model)) == sum(p.numel() for p in model.parameters())
