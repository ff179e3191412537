"""Sampling: hypotheses drawn from the model's distribution, or from what temperature, top-k and top-p leave of it.

A row's token is the first at which the cumulative probability, in the order of the vocabulary, exceeds a number drawn
for that row and step before anything else is done. A change of rounding, as another batch brings, then moves no more
than the borders between tokens by as little.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from regard.contract import Decoder, Memory
from regard.decoding.candidates import checked_limits, largest, log_probabilities
from regard.decoding.hypothesis import Hypothesis
from regard.decoding.length_penalty import none
from regard.decoding.token_loop import Rows, walk
from regard.errors import DecodingError


@dataclass(frozen=True)
class Drawing:
    """What is drawn from, in this order; as it stands, the model's own distribution without PAD and BOS.

    temperature: what logits are divided by; 0, its limit, leaves the most probable token alone.
    top_k: only so many most probable tokens (Fan et al. 2018); 0: all.
    top_p: only the fewest most probable tokens of those whose share comes to as much (Holtzman et al. 2020);
        1: all.
    Raises DecodingError for values outside these ranges.
    """

    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.temperature < math.inf:
            raise DecodingError(f"the temperature is {self.temperature}", fix="give a number that is 0 or more")
        if self.top_k < 0:
            raise DecodingError(f"top-k is {self.top_k}", fix="give a number of tokens, or 0 for all of them")
        if not 0 < self.top_p <= 1:
            raise DecodingError(f"top-p is {self.top_p}", fix="give a share above 0, and at most 1, which is all")


@torch.inference_mode()
def sample(
    decoder: Decoder[Any],
    memory: Memory,
    max_lengths: Sequence[int] | Tensor,
    *,
    samples: int,
    drawing: Drawing,
    seeds: Sequence[int],
    with_attention: bool = False,
) -> list[list[Hypothesis]]:
    """For each of the memory's B sentences so many samples, in the order drawn; the same one may come again.

    seeds: one a sentence; its samples depend on no other sentence of the batch.
    max_lengths: as in greedy search. log_probability and score are both the model's own log-probability, whatever
    was drawn from. Raises DecodingError for a limit or a number of samples below 1, for other than one seed a
    sentence, and for scores that are not numbers.
    """
    if samples < 1:
        raise DecodingError(f"{samples} samples were asked for", fix="ask for at least one")
    limits = checked_limits(max_lengths, memory)
    if len(seeds) != len(limits):
        raise DecodingError(f"{len(seeds)} seeds for {len(limits)} sentences", fix="give one a sentence")
    points = _points(limits.tolist(), samples, seeds).to(limits.device)

    def choose(logits: Tensor, state: Any, rows: Rows, step: int) -> tuple[Tensor, Tensor]:
        scores = log_probabilities(logits, step)
        ids = _draw(_chances(scores, drawing), points[rows.place, step - 1])
        return scores.gather(1, ids[:, None]).squeeze(1), ids

    return walk(decoder, memory, limits, choose=choose, each=samples, penalty=none, with_attention=with_attention)


def _points(limits: list[int], samples: int, seeds: Sequence[int]) -> Tensor:
    """A number from [0, 1) for each row and step: (B x samples, the longest limit), 0 behind a row's own limit.

    They are made on the CPU, so that they are the same on every device.
    """
    points = torch.zeros(len(limits), max(limits, default=0), samples)
    for sentence, (limit, seed) in enumerate(zip(limits, seeds, strict=True)):
        points[sentence, :limit] = torch.rand(limit, samples, generator=torch.Generator().manual_seed(seed))
    return points.transpose(1, 2).flatten(0, 1)


def _chances(scores: Tensor, drawing: Drawing) -> Tensor:
    """Log-probabilities (N, V) to the probabilities that are drawn from, which need not sum to 1."""
    least = torch.finfo(scores.dtype).tiny
    chances = ((scores - scores.amax(1, keepdim=True)) / max(drawing.temperature, least)).softmax(1)
    if drawing.top_k == 0 and drawing.top_p == 1:
        return chances
    values, ids = largest(chances, min(drawing.top_k or chances.shape[1], chances.shape[1]))
    before = values.cumsum(1) - values
    values = values.masked_fill(before.ge(drawing.top_p * values.sum(1, keepdim=True)), 0)
    return torch.zeros_like(chances).scatter(1, ids, values)


def _draw(chances: Tensor, points: Tensor) -> Tensor:
    """A token for each row of chances (N, V) by points (N,) from [0, 1): (N,), never one without a chance.

    That holds even where parallel sums, as on a GPU, do not quite grow from one token to the next.
    """
    sums = chances.cumsum(1).masked_fill(chances.eq(0), 0)
    reached = points * sums.amax(1)  # less than the greatest sum: a point is at most 1 - 2 ** -24
    return sums.gt(reached[:, None]).int().argmax(1)  # the first
