"""A decoder whose search can be interrupted between two steps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from regard.contract import Decoder, Memory, Search, Seq2Seq, State, StepFeatures


class _InterruptibleSearch(Search):
    def __init__(self, search: Search, check: Callable[[], None]) -> None:
        self._search, self._check = search, check

    def step(self, tokens: Tensor) -> Tensor:
        self._check()
        return self._search.step(tokens)

    def select(self, rows: Tensor, sentences: Tensor | None = None) -> None:
        self._search.select(rows, sentences)


class InterruptibleDecoder(Decoder[Any]):
    """Calls `check` before each step of a decoder. An exception from `check` ends the search."""

    def __init__(self, decoder: Decoder[Any], check: Callable[[], None]) -> None:
        super().__init__()
        self.decoder = decoder
        self.check = check
        self.vocabulary_size = decoder.vocabulary_size
        self.has_attention = decoder.has_attention

    def init_state(self, memory: Memory) -> State:
        """Return the decoder's first state."""
        state: State = self.decoder.init_state(memory)
        return state

    def advance(self, tokens: Tensor, state: State, *, with_attention: bool = False) -> StepFeatures[Any]:
        """Call `check`, then feed tokens (N,) to the decoder."""
        self.check()
        return self.decoder.advance(tokens, state, with_attention=with_attention)

    def start_search(self, memory: Memory) -> Search:
        """Return the decoder's search, of which each step calls `check` first."""
        return _InterruptibleSearch(self.decoder.start_search(memory), self.check)

    def readout(self, features: Tensor) -> Tensor:
        """Return the decoder's logits."""
        return self.decoder.readout(features)


def interruptible(model: Seq2Seq, check: Callable[[], None]) -> Seq2Seq:
    """Return the model with a decoder that calls `check` before each step."""
    return Seq2Seq(model.encoder, InterruptibleDecoder(model.decoder, check)).eval()
