"""What is searched with a beam: the prefixes of each sentence that live, and the hypotheses that are kept of it."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from regard.contract import State
from regard.decoding.length_penalty import LengthPenalty, for_unfinished
from regard.decoding.prefix_tree import End
from regard.special_tokens import BOS


@dataclass(frozen=True)
class Prefixes(State):
    """Prefixes of b sentences, best first; all (b, w)."""

    total: Tensor  # log-probability; -inf: there is none
    token: Tensor  # the last one
    parent: Tensor  # the node before it
    beam: Tensor  # which of the sentence's rows that was

    def first(self, count: int) -> Prefixes:
        """At most so many of each sentence."""
        return Prefixes(self.total[:, :count], self.token[:, :count], self.parent[:, :count], self.beam[:, :count])


@dataclass(frozen=True)
class Ends(State):
    """Ends of hypotheses of b sentences, best first; all (b, w)."""

    score: Tensor  # -inf: there is none
    total: Tensor
    token: Tensor
    parent: Tensor

    def read(self, sentence: int) -> list[End]:
        """Those that there are of one of the b sentences."""
        columns = (part[sentence].tolist() for part in (self.parent, self.token, self.total, self.score))
        return [End(*row) for row in zip(*columns, strict=True) if row[-1] > -math.inf]


@dataclass(frozen=True)
class Search(State):
    """The b sentences still searched."""

    sentence: Tensor  # (b,) place in the batch
    limit: Tensor  # (b,)
    over: Tensor  # (b,) whether it is done and only waits to be dropped
    live: Prefixes  # (b, w), w at most K
    kept: Ends  # (b, K)


def start(limits: Tensor, beam_size: int) -> Search:
    """One prefix a sentence, which is BOS, and no hypothesis yet."""
    batch = len(limits)
    total = torch.zeros(batch, 1, device=limits.device)
    first = torch.zeros(batch, 1, dtype=torch.long, device=limits.device)
    nothing = torch.full((batch, beam_size), -math.inf, device=limits.device)
    nowhere = torch.zeros(batch, beam_size, dtype=torch.long, device=limits.device)
    return Search(
        sentence=torch.arange(batch, device=limits.device),
        limit=limits,
        over=torch.zeros_like(limits, dtype=torch.bool),
        live=Prefixes(total, token=first + BOS, parent=first - 1, beam=first),
        kept=Ends(nothing, nothing, token=nowhere, parent=nowhere),
    )


def as_ends(prefixes: Prefixes, penalty: LengthPenalty, length: int) -> Ends:
    """Prefixes as hypotheses of that length, EOS counted; none where there may be none of it."""
    divisor = penalty(torch.full_like(prefixes.total, length))
    score = (prefixes.total / divisor).masked_fill(divisor.eq(0), -math.inf)
    return Ends(score, prefixes.total, prefixes.token, prefixes.parent)


def merge(kept: Ends, new: Ends) -> Ends:
    """The best of both, as many as are kept; among equals the earlier."""
    width = kept.score.shape[1]
    score, order = torch.cat((kept.score, new.score), 1).sort(dim=1, descending=True, stable=True)
    pairs = ((kept.total, new.total), (kept.token, new.token), (kept.parent, new.parent))
    return Ends(score[:, :width], *(torch.cat(pair, 1).gather(1, order[:, :width]) for pair in pairs))


def settle(search: Search, found: list[list[End]], count: int, penalty: LengthPenalty, step: int) -> Search:
    """Mark the sentences that are done, and put at most `count` hypotheses of each newly done one in `found`."""
    done = _done(search, count, penalty, step)
    new = (done & search.over.logical_not()).nonzero().squeeze(1)
    if not len(new):
        return search
    _collect(found, search.select(new), count, penalty, step)
    return replace(search, over=done | search.over)


def _done(search: Search, count: int, penalty: LengthPenalty, step: int) -> Tensor:
    """Which sentences (b,) are at their limit, or can find nothing better than the `count` best they keep."""
    best = search.live.total.amax(1)
    worst = search.kept.score[:, count - 1]  # -inf until so many are kept
    done = search.limit.le(step) | worst.ge(best / for_unfinished(penalty)(search.limit.to(best.dtype)))
    return done | worst.isfinite() if search.kept.score.shape[1] == 1 else done


def _collect(found: list[list[End]], done: Search, count: int, penalty: LengthPenalty, step: int) -> None:
    """Read the hypotheses of sentences that are done; what lives still comes behind them, as unfinished."""
    cut = as_ends(done.live, for_unfinished(penalty), step)
    for place, sentence in enumerate(done.sentence.tolist()):
        found[sentence] = (done.kept.read(place) + cut.read(place))[:count]
