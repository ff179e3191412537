"""Greedy search: the most probable token at every step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from regard.contract import Decoder, Memory
from regard.decoding.candidates import best_tokens
from regard.decoding.hypothesis import Hypothesis
from regard.decoding.length_penalty import LengthPenalty
from regard.decoding.token_loop import Rows, walk


@torch.inference_mode()
def greedy(
    decoder: Decoder[Any],
    memory: Memory,
    max_lengths: Sequence[int] | Tensor,
    *,
    penalty: LengthPenalty,
    with_attention: bool = False,
) -> list[Hypothesis]:
    """One hypothesis for each of the memory's B sentences.

    max_lengths: for each sentence, how many decoder steps it has, the one that gives EOS among them;
    a sentence without EOS by then is returned unfinished, with that many tokens.
    Raises DecodingError for a limit below 1 and for scores that are not numbers.
    """

    def choose(logits: Tensor, state: Any, rows: Rows, step: int) -> tuple[Tensor, Tensor]:
        values, ids = best_tokens(logits, 2, step)
        return values[:, 0], ids[:, 0]

    found = walk(decoder, memory, max_lengths, choose=choose, penalty=penalty, with_attention=with_attention)
    return [best for (best,) in found]
