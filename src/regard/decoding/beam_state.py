"""State of a beam search: the live prefixes of each sentence, and the ends of the hypotheses that are kept."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from regard.contract import State
from regard.decoding.length_penalty import LengthPenalty, divisor, penalty_for_unfinished
from regard.decoding.prefix_tree import HypothesisEnd
from regard.errors import DecodingError
from regard.special_tokens import BOS


@dataclass(frozen=True, kw_only=True)
class BeamSettings:
    """Settings of a beam search.

    Attributes:
        beam_size: K, the prefixes of a sentence that stay alive, and the hypotheses that are kept.
        penalty: Divides log-probabilities into scores.
        top_beams: The most hypotheses to return for each sentence.
        patience: A sentence is finished with this many times `beam_size` hypotheses, if these are at least
            `top_beams` and no live prefix scores higher so far. 0: only when no better hypothesis is possible.

    Raises:
        DecodingError: If the beam is smaller than `top_beams`, or the patience is negative.
    """

    beam_size: int
    penalty: LengthPenalty
    top_beams: int = 1
    patience: float = 0.0

    def __post_init__(self) -> None:
        if not 1 <= self.top_beams <= self.beam_size:
            raise DecodingError(
                f"cannot return {self.top_beams} hypotheses from a beam of size {self.beam_size}",
                fix="set top_beams to at least 1 and at most beam_size",
            )
        if not self.patience >= 0:
            raise DecodingError(f"patience is {self.patience}", fix="set it to 0 or more")

    @property
    def enough(self) -> float:
        """The number of hypotheses with which a sentence is finished. A beam of size 1 is greedy search."""
        if self.beam_size == 1:
            return 1
        return max(self.top_beams, self.patience * self.beam_size) if self.patience else math.inf


@dataclass(frozen=True)
class LivePrefixes(State):
    """Prefixes of b sentences that can still grow, best first. All tensors are (b, w)."""

    total: Tensor  # log-probability; minus infinity marks an empty place
    token: Tensor  # the last token
    parent: Tensor  # the node of the prefix without its last token
    beam: Tensor  # the row of that node, counted within its sentence

    def repeat(self, times: int) -> LivePrefixes:
        """Return copies of the prefixes of each sentence."""
        parts = self.total, self.token, self.parent, self.beam
        return LivePrefixes(*(part.repeat(1, times) for part in parts))

    def first(self, count: int) -> LivePrefixes:
        """Return the first `count` prefixes of each sentence."""
        return LivePrefixes(self.total[:, :count], self.token[:, :count], self.parent[:, :count], self.beam[:, :count])


@dataclass(frozen=True)
class HypothesisEnds(State):
    """Ends of the hypotheses of b sentences, best first. All tensors are (b, w)."""

    score: Tensor  # minus infinity marks an empty place
    total: Tensor  # log-probability
    token: Tensor
    parent: Tensor

    def read(self, sentence: int) -> list[HypothesisEnd]:
        """Return the ends of one of the b sentences."""
        columns = (part[sentence].tolist() for part in (self.parent, self.token, self.total, self.score))
        return [HypothesisEnd(*row) for row in zip(*columns, strict=True) if row[-1] > -math.inf]


@dataclass(frozen=True)
class BeamState(State):
    """The b sentences that are still in the batch, with a beam of size K."""

    sentence: Tensor  # (b,) index in the original batch
    limit: Tensor  # (b,) length limit
    limit_divisor: Tensor  # (b,) the divisor of an unfinished prefix at its limit
    is_done: Tensor  # (b,) finished; kept only until enough sentences are finished to shrink the batch
    live: LivePrefixes  # (b, w), w <= K
    ends: HypothesisEnds  # (b, K)
    num_ended: Tensor  # (b,) hypotheses so far, including those that are no longer among the K best

    def add_ends(self, ends: HypothesisEnds) -> BeamState:
        """Add the hypotheses of a step, (b, w)."""
        num_ended = self.num_ended + ends.score.gt(-math.inf).sum(1)
        return replace(self, ends=merge_ends(self.ends, ends), num_ended=num_ended)


def init_beam_state(limits: Tensor, settings: BeamSettings) -> BeamState:
    """Return a state with the prefix BOS and no hypothesis for each sentence; limits: (b,)."""
    batch, beam_size = len(limits), settings.beam_size
    penalty = penalty_for_unfinished(settings.penalty)
    total = torch.zeros(batch, 1, device=limits.device)
    first = torch.zeros(batch, 1, dtype=torch.long, device=limits.device)
    no_score = torch.full((batch, beam_size), -math.inf, device=limits.device)
    no_node = torch.zeros(batch, beam_size, dtype=torch.long, device=limits.device)
    return BeamState(
        sentence=torch.arange(batch, device=limits.device),
        limit=limits,
        limit_divisor=total.new_tensor([divisor(penalty, limit, total.dtype) for limit in limits.tolist()]),
        is_done=torch.zeros_like(limits, dtype=torch.bool),
        live=LivePrefixes(total, token=first + BOS, parent=first - 1, beam=first),
        ends=HypothesisEnds(no_score, no_score, token=no_node, parent=no_node),
        num_ended=torch.zeros_like(limits),
    )


def score_ends(prefixes: LivePrefixes, penalty: LengthPenalty, length: int) -> HypothesisEnds:
    """Return the prefixes as hypotheses of this length, EOS included; a divisor of 0 leaves the place empty."""
    by = divisor(penalty, length, prefixes.total.dtype)
    score = prefixes.total / torch.full_like(prefixes.total, by) if by else torch.full_like(prefixes.total, -math.inf)
    return HypothesisEnds(score, prefixes.total, prefixes.token, prefixes.parent)


def merge_ends(old: HypothesisEnds, new: HypothesisEnds) -> HypothesisEnds:
    """Return the best of both, as many as `old` has places. Of equal scores the old ones come first."""
    width = old.score.shape[1]
    score, order = torch.cat((old.score, new.score), 1).sort(dim=1, descending=True, stable=True)
    pairs = ((old.total, new.total), (old.token, new.token), (old.parent, new.parent))
    return HypothesisEnds(score[:, :width], *(torch.cat(pair, 1).gather(1, order[:, :width]) for pair in pairs))


def retire_finished(
    beams: BeamState, results: list[list[HypothesisEnd]], settings: BeamSettings, step: int
) -> BeamState:
    """Mark finished sentences as done, and write the `top_beams` best ends of each newly done one into `results`."""
    is_done = _is_done(beams, settings, step)
    new = (is_done & beams.is_done.logical_not()).nonzero().squeeze(1)
    if not len(new):
        return beams
    collect_ends(results, beams.select(new), settings, step)
    return replace(beams, is_done=is_done | beams.is_done)


def _is_done(beams: BeamState, settings: BeamSettings, step: int) -> Tensor:
    """Return which sentences (b,) have reached their limit, have enough hypotheses, or cannot improve the best ones."""
    best = beams.live.total.amax(1)
    worst = beams.ends.score[:, settings.top_beams - 1]  # minus infinity until there are `top_beams` hypotheses
    cannot_improve = worst.ge(best / beams.limit_divisor)
    has_enough = beams.num_ended.ge(settings.enough)
    if settings.beam_size > 1:
        by = divisor(penalty_for_unfinished(settings.penalty), step, best.dtype)
        has_enough &= worst.ge(best / torch.full_like(best, by))
    return beams.limit.le(step) | has_enough | cannot_improve


def collect_ends(results: list[list[HypothesisEnd]], retired: BeamState, settings: BeamSettings, step: int) -> None:
    """Write the ends of done sentences into `results`: finished hypotheses, then live prefixes as unfinished ones."""
    unfinished = score_ends(retired.live, penalty_for_unfinished(settings.penalty), step)
    for place, sentence in enumerate(retired.sentence.tolist()):
        results[sentence] = (retired.ends.read(place) + unfinished.read(place))[: settings.top_beams]
