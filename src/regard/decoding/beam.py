"""Beam search, over a whole batch at once and no matter which decoder.

The rules, K being the beam's size:

- Each step ranks the 2K best continuations of a sentence's live prefixes. One with EOS ends a
  hypothesis only where it ranks among the first K; the K best of the others live on.
- The K best hypotheses are kept. A sentence is done when its best live prefix could no longer beat the
  worst of K kept ones: log-probability only falls and the penalty's divisor never does, so
  log-probability / lp(limit) bounds what may become of it. A beam of one is done with its first EOS:
  it is greedy search.
- At the length limit live prefixes become unfinished hypotheses, in so far as fewer finished ones were
  found than are asked for. A finished hypothesis ranks before any unfinished one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from regard.contract import Decoder, Memory, State
from regard.decoding.candidates import best_tokens, checked_limits, kept_sentences
from regard.decoding.hypothesis import Hypothesis
from regard.decoding.penalties import LengthPenalty
from regard.decoding.tree import End, SearchTree
from regard.errors import DecodingError
from regard.symbols import BOS, EOS


@dataclass(frozen=True)
class _Prefixes(State):
    """Prefixes of b sentences, best first; all (b, w)."""

    total: Tensor  # log-probability; -inf: there is none
    token: Tensor  # the last one
    parent: Tensor  # the node before it
    beam: Tensor  # which of the sentence's rows that was


@dataclass(frozen=True)
class _Ends(State):
    """Ends of hypotheses of b sentences, best first; all (b, w)."""

    score: Tensor  # -inf: there is none
    total: Tensor
    token: Tensor
    parent: Tensor

    def read(self, sentence: int) -> list[End]:
        columns = (part[sentence].tolist() for part in (self.parent, self.token, self.total, self.score))
        return [End(*row) for row in zip(*columns, strict=True) if row[-1] > -math.inf]


@dataclass(frozen=True)
class _Search(State):
    """The b sentences still searched."""

    sentence: Tensor  # (b,) place in the batch
    limit: Tensor  # (b,)
    over: Tensor  # (b,) whether it is done and only waits to be dropped
    live: _Prefixes  # (b, w), w at most K
    kept: _Ends  # (b, K)


@torch.inference_mode()
def beam_search(
    decoder: Decoder[Any],
    memory: Memory,
    max_lengths: Sequence[int] | Tensor,
    *,
    beam_size: int,
    top_beams: int = 1,
    penalty: LengthPenalty,
    with_attention: bool = False,
) -> list[list[Hypothesis]]:
    """For each of the memory's B sentences at least one and at most `top_beams` hypotheses, best first.

    max_lengths: for each sentence, how many decoder steps it has, the one that gives EOS among them;
    a prefix without EOS by then is unfinished, with that many tokens.
    Raises DecodingError for a limit below 1, for a beam that cannot hold `top_beams`, and for scores
    that are not numbers.
    """
    if not 1 <= top_beams <= beam_size:
        raise DecodingError(
            f"{top_beams} hypotheses were asked of a beam of {beam_size}",
            fix="ask for at least one, and let the beam be at least as large",
        )
    search = _start(checked_limits(max_lengths, memory), beam_size)
    found: list[list[End]] = [[] for _ in search.sentence]
    tree = SearchTree()
    state = decoder.init_state(memory)
    step = 0
    while len(search.sentence):
        step += 1
        sentences, width = search.live.token.shape
        fed = search.live.token.flatten()
        out = decoder.step(fed, state, with_attention=with_attention)
        nodes = tree.grow(fed, search.live.parent.flatten(), out.attention).view(sentences, width)
        ranked = _rank(search.live.total, nodes, *best_tokens(out.logits, 2 * beam_size, step), 2 * beam_size)
        search = _advance(search, ranked, penalty, step)
        done = _done(search, penalty, step)
        new = (done & search.over.logical_not()).nonzero().squeeze(1)
        if len(new):
            _collect(found, search.select(new), top_beams, penalty, step)
            search = replace(search, over=done | search.over)
        still = kept_sentences(search.over)
        if still is not None:
            search = search.select(still)
        places = torch.arange(sentences, device=fed.device) if still is None else still
        state = out.state.select((places[:, None] * width + search.live.beam).flatten(), still)
    return tree.hypotheses(found, memory.mask)


def _start(limits: Tensor, beam_size: int) -> _Search:
    """One prefix a sentence, which is BOS, and no hypothesis yet."""
    batch = len(limits)
    total = torch.zeros(batch, 1, device=limits.device)
    first = torch.zeros(batch, 1, dtype=torch.long, device=limits.device)
    nothing = torch.full((batch, beam_size), -math.inf, device=limits.device)
    nowhere = torch.zeros(batch, beam_size, dtype=torch.long, device=limits.device)
    return _Search(
        sentence=torch.arange(batch, device=limits.device),
        limit=limits,
        over=torch.zeros_like(limits, dtype=torch.bool),
        live=_Prefixes(total, token=first + BOS, parent=first - 1, beam=first),
        kept=_Ends(nothing, nothing, token=nowhere, parent=nowhere),
    )


def _rank(total: Tensor, nodes: Tensor, values: Tensor, ids: Tensor, count: int) -> _Prefixes:
    """The `count` best continuations of each sentence, or as many as there are.

    total and nodes (b, w) of its live prefixes, values and ids (b x w, k) of the tokens behind them.
    The sort is stable, so that equals rank the same way in every batch and in greedy search.
    """
    sentences, width = total.shape
    each = ids.shape[1]
    totals = (total[:, :, None] + values.view(sentences, width, each)).flatten(1)  # (b, w * k)
    ranked, order = totals.sort(dim=1, descending=True, stable=True)
    ranked, order = ranked[:, :count], order[:, :count]
    beam = order // each
    return _Prefixes(ranked, ids.view(sentences, width * each).gather(1, order), nodes.gather(1, beam), beam)


def _advance(search: _Search, ranked: _Prefixes, penalty: LengthPenalty, step: int) -> _Search:
    """Part the ranked continuations (b, C) into hypotheses that end here and prefixes that live on."""
    beam_size = search.kept.score.shape[1]
    is_end = ranked.token.eq(EOS)
    ended = _best(ranked, ranked.total[:, :beam_size].masked_fill(~is_end[:, :beam_size], -math.inf), beam_size)
    live = _best(ranked, ranked.total.masked_fill(is_end, -math.inf), beam_size)
    kept = _merge(search.kept, _as_ends(ended, penalty, step))
    return replace(search, live=live, kept=kept)


def _best(prefixes: _Prefixes, total: Tensor, count: int) -> _Prefixes:
    """The `count` best of the prefixes, or as many as there are, by another `total` (b, w) than their own."""
    total, order = total.sort(dim=1, descending=True, stable=True)
    total, order = total[:, :count], order[:, :count]
    return _Prefixes(total, *(part.gather(1, order) for part in (prefixes.token, prefixes.parent, prefixes.beam)))


def _as_ends(prefixes: _Prefixes, penalty: LengthPenalty, length: int) -> _Ends:
    divisor = penalty(torch.full_like(prefixes.total, length))
    return _Ends(prefixes.total / divisor, prefixes.total, prefixes.token, prefixes.parent)


def _merge(kept: _Ends, new: _Ends) -> _Ends:
    """The best of both, as many as are kept; among equals the earlier."""
    width = kept.score.shape[1]
    score, order = torch.cat((kept.score, new.score), 1).sort(dim=1, descending=True, stable=True)
    pairs = ((kept.total, new.total), (kept.token, new.token), (kept.parent, new.parent))
    return _Ends(score[:, :width], *(torch.cat(pair, 1).gather(1, order[:, :width]) for pair in pairs))


def _done(search: _Search, penalty: LengthPenalty, step: int) -> Tensor:
    """Which sentences (b,) are at their limit, or can find nothing better than the hypotheses they keep."""
    best = search.live.total[:, 0]
    worst = search.kept.score[:, -1]  # -inf until K are kept
    done = search.limit.le(step) | worst.ge(best / penalty(search.limit.to(best.dtype)))
    return done | worst.isfinite() if search.kept.score.shape[1] == 1 else done


def _collect(found: list[list[End]], done: _Search, top_beams: int, penalty: LengthPenalty, step: int) -> None:
    """Read the hypotheses of sentences that are done; what lives still comes behind them, as unfinished."""
    cut = _as_ends(done.live, penalty, step)
    for place, sentence in enumerate(done.sentence.tolist()):
        found[sentence] = (done.kept.read(place) + cut.read(place))[:top_beams]
