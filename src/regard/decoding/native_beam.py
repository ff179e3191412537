"""Beam search with a native kernel, which does in one call what a step of `regard.decoding.beam` does, bit for bit.

It is for the plain case: float32 on a CPU, no logits processor, no attention.
"""

from __future__ import annotations

import ctypes
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from regard.contract import Decoder, Memory
from regard.decoding.beam_state import BeamSettings, BeamState, LivePrefixes, collect_ends, init_beam_state
from regard.decoding.hypothesis import Hypothesis
from regard.decoding.length_penalty import divisor
from regard.decoding.next_tokens import not_finite, select_unfinished
from regard.decoding.prefix_tree import HypothesisEnd, PrefixTree
from regard.nn.kernels import native, operations
from regard.special_tokens import EOS


def is_supported(decoder: Decoder[Any], memory: Memory, settings: BeamSettings) -> bool:
    """Return whether the kernel supports this search, if it has no processor and needs no attention."""
    return native.can_advance(memory.values, settings.beam_size, decoder.vocabulary_size)


def native_beam_search(
    decoder: Decoder[Any], memory: Memory, limits: Tensor, settings: BeamSettings
) -> list[list[Hypothesis]]:
    """Return what `beam_search` does, for limits (B,)."""
    beams = _NativeBeams.start(limits, settings)
    results: list[list[HypothesisEnd]] = [[] for _ in limits]
    tree = PrefixTree()
    search = decoder.start_search(memory)
    step = 0
    while True:
        step += 1
        logits = search.step(beams.tokens)  # (N, V)
        first_node = tree.add(beams.tokens.clone(), beams.parents.clone(), beams.totals.clone())
        unfinished = None
        if beams.advance(logits, first_node, step):
            collect_ends(results, beams.take_finished(), settings, step)
            unfinished = select_unfinished(beams.state.is_done)
        if unfinished is None:
            search.select(beams.rows)
        elif len(unfinished):
            rows = beams.rows.view(-1, settings.beam_size)[unfinished].flatten()
            beams = beams.select(unfinished)
            search.select(rows, unfinished)
        else:
            return tree.read_hypotheses(results, memory.mask)


class _NativeBeams:
    """The state of a beam search, which the kernel changes in place. A sentence has as many live prefixes as the beam.

    Attributes:
        state: The state.
        tokens: The tokens (N,) to feed to the decoder; before the first step one for each sentence, then one for each
            live prefix.
        parents: The nodes (N,) of the prefixes without these tokens.
        totals: The log-probabilities (N,) of the prefixes with these tokens.
        rows: The rows (N,) of these nodes in the last step.
    """

    def __init__(self, state: BeamState, settings: BeamSettings) -> None:
        self.state, self._settings = state, settings
        self._read(state.live)
        self.rows = torch.zeros_like(self.tokens)
        self._is_collected = state.is_done.clone()
        self._advance = native.kernels().beam_step
        live, ends = state.live, state.ends
        self._beam = operations.Beam(
            sentences=len(state.sentence),
            size=settings.beam_size,
            width=settings.beam_size,
            top=settings.top_beams,
            enough=settings.enough,
            **_pointers(total=live.total, token=live.token, parent=live.parent, beam=live.beam, row=self.rows),
            **_pointers(score=ends.score, end_total=ends.total, end_token=ends.token, end_parent=ends.parent),
            **_pointers(ended=state.num_ended, is_done=state.is_done),
            **_pointers(limit=state.limit, limit_divisor=state.limit_divisor),
        )
        self._address = ctypes.addressof(self._beam)

    @classmethod
    def start(cls, limits: Tensor, settings: BeamSettings) -> _NativeBeams:
        """Return the state before the first step, in which each sentence has a single prefix, BOS."""
        first = init_beam_state(limits.contiguous(), settings)
        live = first.live.repeat(settings.beam_size)
        ends = replace(first.ends, total=first.ends.total.clone(), parent=first.ends.parent.clone())
        beams = cls(replace(first, live=live, ends=ends), settings)
        beams._read(first.live)
        beams._beam.width = 1
        return beams

    def advance(self, logits: Tensor, first_node: int, step: int) -> bool:
        """Advance by a step whose nodes are numbered from `first_node`. Return whether a sentence is newly finished."""
        logits = logits.float().contiguous()
        by = divisor(self._settings.penalty, step, torch.float32)
        vocabulary = logits.size(1)
        finished = self._advance(self._address, logits.data_ptr(), vocabulary, EOS, first_node, step, by)
        if finished == native.NOT_FINITE:
            raise not_finite(step)
        if finished == native.OUT_OF_MEMORY:
            raise MemoryError
        self._read(self.state.live)
        return bool(finished)

    def _read(self, live: LivePrefixes) -> None:
        """Set `tokens`, `parents` and `totals` to those of these prefixes."""
        self.tokens, self.parents, self.totals = (part.view(-1) for part in (live.token, live.parent, live.total))

    def take_finished(self) -> BeamState:
        """Return the sentences that are finished and were not taken before."""
        is_new = self.state.is_done & ~self._is_collected
        self._is_collected |= is_new
        return self.state.select(is_new.nonzero().squeeze(1))

    def select(self, sentences: Tensor) -> _NativeBeams:
        """Select sentences (M,) after a step."""
        return _NativeBeams(self.state.select(sentences), self._settings)


def _pointers(**tensors: Tensor) -> dict[str, int]:
    return {name: tensor.data_ptr() for name, tensor in tensors.items()}
