"""Greedy search: the most probable token at every step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from regard.contract import Decoder, Memory
from regard.decoding import native_beam
from regard.decoding.beam_state import BeamSettings
from regard.decoding.hypothesis import Hypothesis
from regard.decoding.length_penalty import LengthPenalty
from regard.decoding.next_tokens import best_tokens, check_length_limits
from regard.decoding.token_loop import Rows, run_token_loop


@torch.inference_mode()
def greedy_search(
    decoder: Decoder[Any],
    memory: Memory,
    max_lengths: Sequence[int] | Tensor,
    *,
    penalty: LengthPenalty,
    with_attention: bool = False,
) -> list[Hypothesis]:
    """Return one hypothesis for each of the memory's B sentences.

    Args:
        max_lengths: The most decoder steps for each sentence, including the one that gives EOS. A hypothesis without
            EOS by then is unfinished.

    Raises:
        DecodingError: If a limit is below 1, or a score is not finite.
    """
    limits, settings = check_length_limits(max_lengths, memory), BeamSettings(beam_size=1, penalty=penalty)
    if not with_attention and native_beam.is_supported(decoder, memory, settings):
        return [best for (best,) in native_beam.native_beam_search(decoder, memory, limits, settings)]

    def choose(logits: Tensor, state: Any, rows: Rows, step: int) -> tuple[Tensor, Tensor]:
        values, ids = best_tokens(logits, 2, step)
        return values[:, 0], ids[:, 0]

    results = run_token_loop(decoder, memory, limits, choose=choose, penalty=penalty, with_attention=with_attention)
    return [best for (best,) in results]
