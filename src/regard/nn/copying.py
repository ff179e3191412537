"""Copying of source tokens: the pointer-generator of See, Liu and Manning 2017, "Get To The Point: Summarization with
Pointer-Generator Networks" (arXiv 1704.04368), section 2.2, for any decoder with attention.

Gate (equation 8):      p_gen = sigmoid(w_h h* + w_s s + w_x x + b), with h* = sum_i a_i h_i the context (equation 3),
                        s the decoder's state and x the embedding of the token that was just read
Mixture (equation 9):   P(w) = p_gen P_vocab(w) + (1 - p_gen) A(w), with A(w) the sum of a_i where source token i is w

Decoders return logits, whose softmax is P. Let v be the logits of P_vocab, Z = logsumexp(v) and p_gen = sigmoid(g), so
that (1 - p_gen) / p_gen = exp(-g). Equation 9 times exp(Z) / p_gen, which softmax does not notice, is in logarithms

    logit(w) = logaddexp(v_w, Z - g + log A(w)),    which is v_w if w is not in the source.

So only logits of source tokens change, and no probability is computed that could be 0 in float32.

Features carry what the output layer needs, and the loss, scores and searches remain as they are for all decoders. A
row has F features, the gate g, and then for each source position its attention and its token: F + 1 + 2 S numbers. The
attention of tokens that are equal is added up at the first of them. These numbers are in float32 or better; bfloat16
would round tokens.

Deviations: source and target share a vocabulary, and only its tokens can be copied. See et al. extend the vocabulary by
the unknown words of each source, which a vocabulary of subwords or characters makes unnecessary. Coverage (section 2.3)
is left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self, TypeVar

import torch
from torch import Tensor, nn

from regard.contract import Decoder, Memory, PerSource, Readout, State
from regard.nn.modules import Linear
from regard.nn.output_layer import OutputLayerDecoder

StateT = TypeVar("StateT", bound=State)


@dataclass(frozen=True)
class CopySource(PerSource):
    """The source as copying reads it.

    Attributes:
        tokens: (B, S) the source tokens, which are also target tokens.
        first: (B, S) the first position that has the same token.
        values: (B, S, D) what the context h* averages.
    """

    tokens: Tensor
    first: Tensor
    values: Tensor

    @classmethod
    def of(cls, memory: Memory) -> Self:
        """Return the source of a memory, whose encoder must have set `tokens`."""
        assert memory.tokens is not None
        is_equal = memory.tokens.unsqueeze(2) == memory.tokens.unsqueeze(1)  # (B, S, S)
        return cls(memory.tokens, is_equal.float().argmax(2), memory.values)


class CopyGate(nn.Module):
    """Equation 8, and the features of a decoder that copies.

    Args:
        context_size: The size of h*, that of the encoder's output.
        state_size: The size of s.
        word_size: The size of x.
    """

    def __init__(self, context_size: int, state_size: int, word_size: int) -> None:
        super().__init__()
        self.context = Linear(context_size, 1, bias=False)  # w_h
        self.state = Linear(state_size, 1, bias=False)  # w_s
        self.word = Linear(word_size, 1)  # w_x, b

    def forward(self, features: Tensor, attention: Tensor, state: Tensor, word: Tensor, source: CopySource) -> Tensor:
        """Extend the features of N rows, or of B x T target positions, by all that `CopyingOutput` needs.

        Args:
            features: (N, F) or (B, T, F), the features of the output layer without copying.
            attention: (N, S) or (B, T, S), a.
            state: (N, ...) or (B, T, ...), s.
            word: (N, ...) or (B, T, ...), x.
            source: The source of B sentences, of which N is a multiple.

        Returns:
            (N, F + 1 + 2 S) or (B, T, F + 1 + 2 S).
        """
        sentences, length = source.tokens.shape
        rows = attention.reshape(sentences, -1, length)  # (B, T or N / B, S)
        context = (rows @ source.values.to(rows.dtype)).view(*attention.shape[:-1], -1)  # h*
        gate = self.context(context) + self.state(state) + self.word(word)  # (..., 1)
        rows = rows.to(torch.promote_types(features.dtype, torch.float32))
        summed = torch.zeros_like(rows).scatter_add(2, source.first.unsqueeze(1).expand_as(rows), rows)
        tokens = source.tokens.to(rows.dtype).unsqueeze(1).expand_as(rows)
        copied = torch.stack((summed, tokens), 3).view(*attention.shape[:-1], -1)  # (..., 2 S)
        return torch.cat((features.to(rows.dtype), gate.to(rows.dtype), copied), -1)

    if TYPE_CHECKING:
        __call__ = forward


class CopyingOutput(nn.Module):
    """Equation 9 as the output layer.

    Args:
        linear: The output layer of P_vocab: (..., F) to (..., V).
        size: F.
    """

    def __init__(self, linear: nn.Module, size: int) -> None:
        super().__init__()
        self.linear = linear
        self.size = size

    def forward(self, features: Tensor) -> Tensor:
        """Return logits (..., V), whose softmax is P, of the features (..., F + 1 + 2 S) that `CopyGate` returns."""
        gate = features[..., self.size, None]
        attention, tokens = features[..., self.size + 1 :: 2], features[..., self.size + 2 :: 2].long()  # (..., S)
        logits: Tensor = self.linear(features[..., : self.size]).to(features.dtype)  # v (..., V)
        generated = logits.gather(-1, tokens)
        log_attention = attention.clamp_min(torch.finfo(attention.dtype).tiny).log()  # of 0: nearly nothing is copied
        copied = logits.logsumexp(-1, keepdim=True) - gate + log_attention
        return logits.scatter_add(-1, tokens, torch.logaddexp(generated, copied) - generated)

    if TYPE_CHECKING:
        __call__ = forward


class CopyingDecoder(OutputLayerDecoder[StateT]):
    """A decoder that copies source tokens if `enable_copying` was called.

    Attributes:
        copy_gate: Equation 8; None if the decoder does not copy.
    """

    def __init__(self) -> None:
        super().__init__()
        self.copy_gate: CopyGate | None = None

    def enable_copying(self, features_size: int, context_size: int, state_size: int, word_size: int) -> None:
        """Copy source tokens. Call this when `output` is set; `features_size` is F, the size of its input."""
        self.copy_gate = CopyGate(context_size, state_size, word_size)
        self.output = CopyingOutput(self.output, features_size)

    def with_copying(
        self, features: Tensor, attention: Tensor, state: Tensor, word: Tensor, source: CopySource | None
    ) -> Tensor:
        """Return the features of a decoder that copies (see `CopyGate.forward`), or the features as they are."""
        if self.copy_gate is None or source is None:
            return features
        return self.copy_gate(features, attention, state, word, source)

    def readout_subset(self, tokens: Tensor) -> Readout:
        """Return a function that returns only the logits of `tokens` (U,): features to (..., U).

        A decoder that copies computes all logits, since the probability of a copy depends on their sum.
        """
        if self.copy_gate is not None:
            return Decoder.readout_subset(self, tokens)
        return super().readout_subset(tokens)
