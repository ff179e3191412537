"""Lookahead search: the next token that leads to the most probable path several steps ahead (Wang et al. 2020).

Each step tries the K most probable continuations of every prefix to a depth of D steps, K ** D paths, and takes the
first token of the best path. A path that reaches EOS or the length limit earlier ends there. Each step costs as many
decoder rows as this tree has inner nodes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from regard.contract import Decoder, Memory
from regard.decoding.hypothesis import Hypothesis
from regard.decoding.length_penalty import LengthPenalty
from regard.decoding.next_tokens import best_tokens
from regard.decoding.token_loop import Rows, run_token_loop
from regard.errors import DecodingError
from regard.special_tokens import EOS


@torch.inference_mode()
def lookahead_search(
    decoder: Decoder[Any],
    memory: Memory,
    max_lengths: Sequence[int] | Tensor,
    *,
    depth: int,
    width: int,
    penalty: LengthPenalty,
    with_attention: bool = False,
) -> list[Hypothesis]:
    """Return one hypothesis for each of the memory's B sentences. A depth of 1 is greedy search.

    Args:
        max_lengths: As in `greedy_search`.
        depth: D, the steps of a path.
        width: K, the tokens tried after each prefix.
        penalty: Affects the score of the result, not the choice of the path.

    Raises:
        DecodingError: If a limit, the depth or the width is below 1, or a score is not finite.
    """
    if depth < 1 or width < 1:
        raise DecodingError(
            f"lookahead depth is {depth} and width is {width}",
            fix="set lookahead_depth and lookahead_width to at least 1",
        )

    def choose(logits: Tensor, state: Any, rows: Rows, step: int) -> tuple[Tensor, Tensor]:
        values, ids = best_tokens(logits, width, step)
        first = _first_of_best_path(decoder, state, rows, values, ids, step, depth)[:, None]
        return values.gather(1, first).squeeze(1), ids.gather(1, first).squeeze(1)

    results = run_token_loop(
        decoder, memory, max_lengths, choose=choose, penalty=penalty, with_attention=with_attention
    )
    return [best for (best,) in results]


def _first_of_best_path(
    decoder: Decoder[Any], state: Any, rows: Rows, values: Tensor, ids: Tensor, step: int, depth: int
) -> Tensor:
    """Return the column (b,) of ids (b, K), with log-probabilities values (b, K), that starts each row's best path.

    The paths of a level, (b, K ** level), are sorted by their first token, then by their second, and so on.
    """
    width = ids.shape[1]
    totals = rows.total[:, None] + values
    is_done = ids.eq(EOS) | (rows.limit.le(step) | rows.is_done)[:, None]
    for level in range(1, depth):
        if is_done.all():
            break
        state = state.select(torch.arange(ids.numel() // width, device=ids.device).repeat_interleave(width))
        out = decoder.step(ids.flatten(), state)
        values, ids = best_tokens(out.logits, width, step + level)
        state, ids = out.state, ids.view(len(totals), -1)
        unchanged = torch.zeros_like(values)  # a finished path continues as one path of the same log-probability
        unchanged[:, 1:] = -math.inf
        values = torch.where(is_done.view(-1, 1), unchanged, values).view(len(totals), -1)
        is_done = is_done.repeat_interleave(width, 1) | ids.eq(EOS) | rows.limit[:, None].le(step + level)
        totals = totals.repeat_interleave(width, 1) + values
    return totals.argmax(1) // (totals.shape[1] // width)
