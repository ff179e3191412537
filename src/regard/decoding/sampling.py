"""Sampling from the model's distribution, optionally with temperature, top-k and top-p.

The uniform random numbers of all rows and steps are drawn in advance. A row's token is the first one, in vocabulary
order, at which the cumulative probability exceeds its random number. A change of rounding, as another batch size
causes, therefore changes a token only if the random number lies within that rounding of a border between two tokens.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from regard.contract import Decoder, Memory
from regard.decoding.hypothesis import Hypothesis
from regard.decoding.length_penalty import no_penalty
from regard.decoding.next_tokens import blockwise_topk, check_length_limits, log_probabilities
from regard.decoding.token_loop import Rows, run_token_loop
from regard.errors import DecodingError


@dataclass(frozen=True)
class SamplingParams:
    """How the distribution is filtered, in this order. The defaults keep the model's own, without PAD and BOS.

    Attributes:
        temperature: Divides the logits; 0, its limit, leaves only the most probable token.
        top_k: Sample from the k most probable tokens (Fan et al. 2018); 0: from all.
        top_p: Sample from the fewest most probable tokens whose probabilities sum to this share
            (Holtzman et al. 2020); 1: from all.

    Raises:
        DecodingError: If a value is out of range.
    """

    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.temperature < math.inf:
            raise DecodingError(f"temperature is {self.temperature}", fix="set temperature to 0 or more")
        if self.top_k < 0:
            raise DecodingError(
                f"top_k is {self.top_k}", fix="set top_k to a number of tokens, or to 0 for all of them"
            )
        if not 0 < self.top_p <= 1:
            raise DecodingError(
                f"top_p is {self.top_p}", fix="set top_p above 0 and at most to 1, which keeps all tokens"
            )


@torch.inference_mode()
def sample(
    decoder: Decoder[Any],
    memory: Memory,
    max_lengths: Sequence[int] | Tensor,
    *,
    samples: int,
    params: SamplingParams,
    seeds: Sequence[int],
    with_attention: bool = False,
) -> list[list[Hypothesis]]:
    """Return `samples` hypotheses for each of the memory's B sentences, in the order drawn; some may be equal.

    The log_probability and the score of a hypothesis are both the model's own log-probability, without any filter.

    Args:
        max_lengths: As in `greedy_search`.
        seeds: One for each sentence. The samples of a sentence do not depend on the rest of the batch.

    Raises:
        DecodingError: If a limit or `samples` is below 1, the number of seeds is wrong, or a score is not finite.
    """
    if samples < 1:
        raise DecodingError(f"samples is {samples}", fix="set it to at least 1")
    limits = check_length_limits(max_lengths, memory)
    if len(seeds) != len(limits):
        raise DecodingError(
            f"there are {len(seeds)} seeds for {len(limits)} sentences", fix="give one for each sentence"
        )
    points = _random_points(limits.tolist(), samples, seeds).to(limits.device)

    def choose(logits: Tensor, state: Any, rows: Rows, step: int) -> tuple[Tensor, Tensor]:
        scores = log_probabilities(logits, step)
        ids = _pick_tokens(_filtered_probs(scores, params), points[rows.place, step - 1])
        return scores.gather(1, ids[:, None]).squeeze(1), ids

    return run_token_loop(
        decoder,
        memory,
        limits,
        choose=choose,
        rows_per_sentence=samples,
        penalty=no_penalty,
        with_attention=with_attention,
    )


def _random_points(limits: list[int], samples: int, seeds: Sequence[int]) -> Tensor:
    """Return a number in [0, 1) for each row and step, (B x samples, longest limit); 0 past a row's own limit.

    They are drawn on the CPU, so that they are the same on every device.
    """
    points = torch.zeros(len(limits), max(limits, default=0), samples)
    for sentence, (limit, seed) in enumerate(zip(limits, seeds, strict=True)):
        points[sentence, :limit] = torch.rand(limit, samples, generator=torch.Generator().manual_seed(seed))
    return points.transpose(1, 2).flatten(0, 1)


def _filtered_probs(scores: Tensor, params: SamplingParams) -> Tensor:
    """Return the probabilities to sample from, given log-probabilities (N, V). They need not sum to 1."""
    smallest = torch.finfo(scores.dtype).tiny
    probs = ((scores - scores.amax(1, keepdim=True)) / max(params.temperature, smallest)).softmax(1)
    if params.top_k == 0 and params.top_p == 1:
        return probs
    values, ids = blockwise_topk(probs, min(params.top_k or probs.shape[1], probs.shape[1]))
    sum_before = values.cumsum(1) - values
    values = values.masked_fill(sum_before.ge(params.top_p * values.sum(1, keepdim=True)), 0)
    return torch.zeros_like(probs).scatter(1, ids, values)


def _pick_tokens(probs: Tensor, points: Tensor) -> Tensor:
    """Return the token (N,) of each row of probs (N, V) at its point (N,) in [0, 1); never one of probability 0.

    This holds even if parallel sums, as on a GPU, decrease slightly from one token to the next.
    """
    sums = probs.cumsum(1).masked_fill(probs.eq(0), 0)
    threshold = points * sums.amax(1)  # below the largest sum: a point is at most 1 - 2 ** -24
    return sums.gt(threshold[:, None]).int().argmax(1)  # the first
