"""Greedy search that looks ahead: the step that leads to the least error several steps on (Wang et al. 2020).

Tried are the K most probable continuations of every prefix, to a depth of D steps: K ** D paths, of which one that
meets EOS or the length limit earlier stays as it is. Of the best path only the first step is taken. What it costs:
as many decoder rows a step as that tree has inner nodes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from regard.contract import Decoder, Memory
from regard.decoding.candidates import best_tokens
from regard.decoding.hypothesis import Hypothesis
from regard.decoding.length_penalty import LengthPenalty
from regard.decoding.token_loop import Rows, walk
from regard.errors import DecodingError
from regard.special_tokens import EOS


@torch.inference_mode()
def lookahead(
    decoder: Decoder[Any],
    memory: Memory,
    max_lengths: Sequence[int] | Tensor,
    *,
    depth: int,
    width: int,
    penalty: LengthPenalty,
    with_attention: bool = False,
) -> list[Hypothesis]:
    """One hypothesis for each of the memory's B sentences; a depth of 1 is greedy search.

    depth: D, the steps of a path. width: K, the tokens that are tried behind each prefix. Paths are compared by
    their log-probability; the penalty bears on the score alone. max_lengths: as in greedy search.
    Raises DecodingError for a depth, a width or a limit below 1, and for scores that are not numbers.
    """
    if depth < 1 or width < 1:
        raise DecodingError(f"a search of depth {depth} and width {width} goes nowhere", fix="let both be at least 1")

    def choose(logits: Tensor, state: Any, rows: Rows, step: int) -> tuple[Tensor, Tensor]:
        values, ids = best_tokens(logits, width, step)
        first = _best_first(decoder, state, rows, values, ids, step, depth)[:, None]
        return values.gather(1, first).squeeze(1), ids.gather(1, first).squeeze(1)

    found = walk(decoder, memory, max_lengths, choose=choose, penalty=penalty, with_attention=with_attention)
    return [best for (best,) in found]


def _best_first(
    decoder: Decoder[Any], state: Any, rows: Rows, values: Tensor, ids: Tensor, step: int, depth: int
) -> Tensor:
    """Which of each row's next tokens (b, K), with their log-probabilities, the best path begins with: (b,).

    The paths (b, K ** level) lie side by side in the order of their beginnings.
    """
    width = ids.shape[1]
    totals = rows.total[:, None] + values
    over = ids.eq(EOS) | (rows.limit.le(step) | rows.over)[:, None]
    for level in range(1, depth):
        if over.all():
            break
        state = state.select(torch.arange(ids.numel() // width, device=ids.device).repeat_interleave(width))
        out = decoder.step(ids.flatten(), state)
        values, ids = best_tokens(out.logits, width, step + level)
        state, ids = out.state, ids.view(len(totals), -1)
        stays = torch.zeros_like(values)
        stays[:, 1:] = -math.inf
        values = torch.where(over.view(-1, 1), stays, values).view(len(totals), -1)
        over = over.repeat_interleave(width, 1) | ids.eq(EOS) | rows.limit[:, None].le(step + level)
        totals = totals.repeat_interleave(width, 1) + values
    return totals.argmax(1) // (totals.shape[1] // width)
