"""Walks: searches whose rows go on token by token, and never turn back nor change places."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from regard.contract import Decoder, Memory, State
from regard.decoding.candidates import checked_limits, kept_sentences
from regard.decoding.hypothesis import Hypothesis
from regard.decoding.length_penalty import LengthPenalty
from regard.decoding.prefix_tree import End, SearchTree
from regard.special_tokens import BOS, EOS


@dataclass(frozen=True)
class Rows(State):
    """The N rows that are still written; all (N,)."""

    place: Tensor  # among all rows of the batch
    limit: Tensor
    over: Tensor  # whether it is done and only waits to be dropped
    token: Tensor  # the last one
    node: Tensor  # the one it was fed at
    total: Tensor  # log-probability


Choice = Callable[[Tensor, Any, Rows, int], tuple[Tensor, Tensor]]
"""Logits (N, V), the state behind them, the rows and the step's number to log-probabilities and next tokens, (N,).

The logits may be used up.
"""


def walk(
    decoder: Decoder[Any],
    memory: Memory,
    max_lengths: Sequence[int] | Tensor,
    *,
    choose: Choice,
    each: int = 1,
    penalty: LengthPenalty,
    with_attention: bool = False,
) -> list[list[Hypothesis]]:
    """For each of the memory's B sentences `each` hypotheses, one a row, which goes where `choose` says.

    max_lengths: for each sentence, how many decoder steps it has, the one that gives EOS among them;
    a row without EOS by then is unfinished, with that many tokens. Raises DecodingError for a limit below 1.
    """
    rows = _start(checked_limits(max_lengths, memory))
    ends: list[list[End]] = [[] for _ in range(len(rows.token) * each)]
    tree = SearchTree()
    state = decoder.init_state(memory)
    step = 0
    while len(rows.token):
        step += 1
        out = decoder.step(rows.token, state, with_attention=with_attention)
        rows = replace(rows, node=tree.grow(rows.token, rows.node, out.attention))
        logits, state = out.logits, out.state
        if step == 1 and each > 1:
            copies = rows.place.repeat_interleave(each)
            rows, logits, state = rows.select(copies), logits.index_select(0, copies), state.select(copies)
            rows = replace(rows, place=torch.arange(len(copies), device=copies.device))
        values, ids = choose(logits, state, rows, step)
        done = (ids.eq(EOS) | rows.limit.le(step)) & ~rows.over
        rows = replace(rows, token=ids, total=rows.total + values, over=rows.over | done)
        if done.any():
            _collect(ends, rows, done, penalty, step)
            live = kept_sentences(rows.over.view(-1, each).all(1))
            if live is not None:
                kept = (live[:, None] * each + torch.arange(each, device=live.device)).flatten()
                rows, state = rows.select(kept), state.select(kept, live)
    sentences = [[end for place in ends[start : start + each] for end in place] for start in range(0, len(ends), each)]
    return tree.hypotheses(sentences, memory.mask)


def _start(limits: Tensor) -> Rows:
    """One row a sentence, in which only BOS is."""
    place = torch.arange(len(limits), device=limits.device)
    return Rows(
        place,
        limits,
        over=torch.zeros_like(place, dtype=torch.bool),
        token=torch.full_like(place, BOS),
        node=torch.full_like(place, -1),
        total=torch.zeros(len(limits), device=limits.device),
    )


def _collect(ends: list[list[End]], rows: Rows, done: Tensor, penalty: LengthPenalty, step: int) -> None:
    """Note the ends of the rows that are done (N,), each at its place."""
    scores = rows.total / penalty(torch.full_like(rows.total, step))
    found = (part[done].tolist() for part in (rows.place, rows.node, rows.token, rows.total, scores))
    for place, *end in zip(*found, strict=True):
        ends[place].append(End(*end))
