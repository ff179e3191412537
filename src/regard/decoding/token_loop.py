"""The token loop of searches without a beam: every row grows by one token in each step and is never reordered."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from regard.contract import Decoder, Memory, State
from regard.decoding.hypothesis import Hypothesis
from regard.decoding.length_penalty import LengthPenalty, divisor
from regard.decoding.next_tokens import check_length_limits, select_unfinished
from regard.decoding.prefix_tree import HypothesisEnd, PrefixTree
from regard.special_tokens import BOS, EOS


@dataclass(frozen=True)
class Rows(State):
    """The N rows that are still in the batch. All tensors are (N,)."""

    place: Tensor  # index among all rows of the original batch
    limit: Tensor  # length limit
    is_done: Tensor  # finished; kept only until enough rows are finished to shrink the batch
    token: Tensor  # the last token
    node: Tensor  # the node of the prefix without its last token
    total: Tensor  # log-probability


ChooseTokens = Callable[[Tensor, Any, Rows, int], tuple[Tensor, Tensor]]
"""Maps logits (N, V), the decoder state after them, the rows and the step to log-probabilities and tokens, both (N,).

It may overwrite the logits.
"""


def run_token_loop(
    decoder: Decoder[Any],
    memory: Memory,
    max_lengths: Sequence[int] | Tensor,
    *,
    choose: ChooseTokens,
    rows_per_sentence: int = 1,
    penalty: LengthPenalty,
    with_attention: bool = False,
) -> list[list[Hypothesis]]:
    """Return `rows_per_sentence` hypotheses for each of the memory's B sentences, one from each row.

    Args:
        max_lengths: The most decoder steps for each sentence, including the one that gives EOS. A row without EOS
            by then is unfinished.
        choose: Chooses the next token of each row.

    Raises:
        DecodingError: If a limit is below 1.
    """
    rows = _init_rows(check_length_limits(max_lengths, memory))
    ends: list[list[HypothesisEnd]] = [[] for _ in range(len(rows.token) * rows_per_sentence)]
    tree = PrefixTree()
    state = decoder.init_state(memory)
    step = 0
    while len(rows.token):
        step += 1
        out = decoder.step(rows.token, state, with_attention=with_attention)
        rows = replace(rows, node=tree.append(rows.token, rows.node, rows.total, out.attention))
        logits, state = out.logits, out.state
        if step == 1 and rows_per_sentence > 1:
            copies = rows.place.repeat_interleave(rows_per_sentence)  # (B,) -> (B x rows_per_sentence,)
            rows, logits, state = rows.select(copies), logits.index_select(0, copies), state.select(copies)
            rows = replace(rows, place=torch.arange(len(copies), device=copies.device))
        values, ids = choose(logits, state, rows, step)
        ends_here = (ids.eq(EOS) | rows.limit.le(step)) & ~rows.is_done
        rows = replace(rows, token=ids, total=rows.total + values, is_done=rows.is_done | ends_here)
        if ends_here.any():
            _collect(ends, rows, ends_here, penalty, step)
            sentences = select_unfinished(rows.is_done.view(-1, rows_per_sentence).all(1))
            if sentences is not None:
                offsets = torch.arange(rows_per_sentence, device=sentences.device)
                live = (sentences[:, None] * rows_per_sentence + offsets).flatten()
                rows, state = rows.select(live), state.select(live, sentences)
    by_sentence = [
        [end for row in ends[start : start + rows_per_sentence] for end in row]
        for start in range(0, len(ends), rows_per_sentence)
    ]
    return tree.read_hypotheses(by_sentence, memory.mask)


def _init_rows(limits: Tensor) -> Rows:
    """Return one row with the prefix BOS for each sentence."""
    place = torch.arange(len(limits), device=limits.device)
    return Rows(
        place,
        limits,
        is_done=torch.zeros_like(place, dtype=torch.bool),
        token=torch.full_like(place, BOS),
        node=torch.full_like(place, -1),
        total=torch.zeros(len(limits), device=limits.device),
    )


def _collect(ends: list[list[HypothesisEnd]], rows: Rows, ends_here: Tensor, penalty: LengthPenalty, step: int) -> None:
    """Write the ends of the rows that end in this step, ends_here (N,), into `ends`."""
    scores = rows.total / torch.full_like(rows.total, divisor(penalty, step, rows.total.dtype))
    columns = (part[ends_here].tolist() for part in (rows.place, rows.node, rows.token, rows.total, scores))
    for place, *end in zip(*columns, strict=True):
        ends[place].append(HypothesisEnd(*end))
