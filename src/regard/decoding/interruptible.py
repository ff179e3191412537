"""A search that can be broken off between two steps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from regard.contract import Decoder, Memory, Seq2Seq, State, StepFeatures


class InterruptibleDecoder(Decoder[Any]):
    """A decoder as it is, which calls `check` before each step: what that raises ends the search."""

    def __init__(self, decoder: Decoder[Any], check: Callable[[], None]) -> None:
        super().__init__()
        self.decoder = decoder
        self.check = check
        self.vocabulary_size = decoder.vocabulary_size
        self.has_attention = decoder.has_attention

    def init_state(self, memory: Memory) -> State:
        """The decoder's own."""
        state: State = self.decoder.init_state(memory)
        return state

    def advance(self, tokens: Tensor, state: State, *, with_attention: bool = False) -> StepFeatures[Any]:
        """Feed tokens (N,). Raises what `check` does."""
        self.check()
        return self.decoder.advance(tokens, state, with_attention=with_attention)

    def readout(self, features: Tensor) -> Tensor:
        """The decoder's own."""
        return self.decoder.readout(features)


def interruptible(model: Seq2Seq, check: Callable[[], None]) -> Seq2Seq:
    """The same model, whose search calls `check` before each step."""
    return Seq2Seq(model.encoder, InterruptibleDecoder(model.decoder, check)).eval()
