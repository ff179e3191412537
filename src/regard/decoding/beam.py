"""Beam search, over a whole batch at once and no matter which decoder.

The rules, K being the beam's size:

- Each step ranks the 2K best continuations of a sentence's live prefixes. One with EOS ends a
  hypothesis only where it ranks among the first K; the K best of the others live on.
- The K best hypotheses are kept. A sentence is done when its best live prefix could no longer beat any of
  those that are asked for: log-probability only falls and the penalty's divisor never does, so
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
from regard.decoding.candidates import best_tokens, checked_limits, guided_tokens, kept_sentences
from regard.decoding.hypothesis import Hypothesis
from regard.decoding.length_penalty import LengthPenalty
from regard.decoding.logits_processors import Guide, Written
from regard.decoding.prefix_tree import End, SearchTree
from regard.decoding.prefixes import Prefixes, Search, as_ends, merge, settle, start
from regard.errors import DecodingError
from regard.special_tokens import EOS


@torch.inference_mode()
def beam_search(
    decoder: Decoder[Any],
    memory: Memory,
    max_lengths: Sequence[int] | Tensor,
    *,
    beam_size: int,
    top_beams: int = 1,
    penalty: LengthPenalty,
    guide: Guide | None = None,
    with_attention: bool = False,
) -> list[list[Hypothesis]]:
    """For each of the memory's B sentences at least one and at most `top_beams` hypotheses, best first.

    max_lengths: for each sentence, how many decoder steps it has, the one that gives EOS among them;
    a prefix without EOS by then is unfinished, with that many tokens. Where a guide leaves a sentence nothing
    to write, it has one unfinished hypothesis without tokens, of log-probability minus infinity.
    Raises DecodingError for a limit below 1, for a beam that cannot hold `top_beams`, and for scores
    that are not numbers.
    """
    if not 1 <= top_beams <= beam_size:
        raise DecodingError(
            f"{top_beams} hypotheses were asked of a beam of {beam_size}",
            fix="ask for at least one, and let the beam be at least as large",
        )
    search = start(checked_limits(max_lengths, memory), beam_size)
    found: list[list[End]] = [[] for _ in search.sentence]
    tree = SearchTree()
    state = decoder.init_state(memory)
    step = 0
    past = None if guide is None else _Past.start(search.sentence, memory, guide)
    while len(search.sentence):
        step += 1
        sentences, width = search.live.token.shape
        fed = search.live.token.flatten()
        out = decoder.step(fed, state, with_attention=with_attention or (guide is not None and guide.reads_attention))
        nodes = tree.grow(fed, search.live.parent.flatten(), out.attention if with_attention else None)
        bonus = None
        if guide is None or past is None:
            values, ids = best_tokens(out.logits, 2 * beam_size, step)
            ranked = _rank(search.live, nodes, values, ids, 2 * beam_size)
        else:
            values, ids = guided_tokens(out.logits, 2 * beam_size, step, past.written, guide)
            ranked = _rank(search.live, nodes, values, ids, 2 * beam_size, _met(guide, past.written, ids))
            past, bonus = past.look(out.attention, guide)
        search = _advance(search, ranked, penalty, step, in_order=guide is None, bonus=bonus)
        search = settle(search, found, top_beams, penalty, step)
        still = kept_sentences(search.over)
        if still is not None:
            search = search.select(still)
        places = torch.arange(sentences, device=fed.device) if still is None else still
        rows = (places[:, None] * width + search.live.beam).flatten()
        state = out.state.select(rows, still)
        past = None if past is None else past.write(rows, search.live.token.flatten())
    return tree.hypotheses(found, memory.mask)


@dataclass(frozen=True)
class _Past(State):
    """What a guide may ask of the rows: what they have written, and what they have looked at."""

    tokens: Tensor  # (N, t)
    sentence: Tensor  # (N,)
    covered: Tensor | None  # (N, S), the sum of attention
    mask: Tensor  # (N, S)

    @classmethod
    def start(cls, sentence: Tensor, memory: Memory, guide: Guide) -> _Past:
        """Nothing written."""
        covered = memory.mask.to(memory.values.dtype) * 0 if guide.reads_attention else None
        return cls(sentence[:, None][:, :0], sentence, covered, memory.mask)

    @property
    def written(self) -> Written:
        return Written(self.tokens, self.sentence)

    def look(self, attention: Tensor | None, guide: Guide) -> tuple[_Past, Tensor | None]:
        """With a step's attention (N, S), and what the guide adds (N,) to the score of rows that end with it."""
        if self.covered is None or attention is None:
            return self, None
        covered = self.covered + attention
        return replace(self, covered=covered), guide.at_end(covered, self.mask)

    def write(self, rows: Tensor, tokens: Tensor) -> _Past:
        """The rows (M,), each with one token more (M,)."""
        chosen = self.select(rows)
        return replace(chosen, tokens=torch.cat((chosen.tokens, tokens[:, None]), 1))


def _met(guide: Guide, written: Written, ids: Tensor) -> Tensor | None:
    """How much of what is required each continuation ids (N, k) has: (N, k)."""
    if guide.met(written) is None:
        return None
    each = ids.size(1)
    longer = torch.cat((written.tokens.repeat_interleave(each, 0), ids.flatten()[:, None]), 1)
    met = guide.met(Written(longer, written.sentence.repeat_interleave(each, 0)))
    return None if met is None else met.view_as(ids)


def _rank(
    live: Prefixes, nodes: Tensor, values: Tensor, ids: Tensor, count: int, met: Tensor | None = None
) -> Prefixes:
    """The `count` best continuations of each sentence, or as many as there are.

    nodes (N,) of its live prefixes (b, w), values and ids (N, k) of the tokens behind them, and how much of what
    is required each would have, (N, k), where anything is. The sort is stable, so that equals rank the same way
    in every batch and in greedy search.
    """
    sentences, width = live.total.shape
    each = ids.shape[1]
    totals = (live.total[:, :, None] + values.view(sentences, width, each)).flatten(1)  # (b, w * k)
    ids = ids.view(sentences, width * each)
    ranked, order = totals.sort(dim=1, descending=True, stable=True)
    if met is None:
        ranked, order = ranked[:, :count], order[:, :count]
    else:
        met = met.view(sentences, width * each).gather(1, order)
        turn, none = _turns(ids.gather(1, order), met, ranked, count)
        ranked, order = ranked.gather(1, turn).masked_fill(none, -math.inf), order.gather(1, turn)
    beam = order // each
    return Prefixes(ranked, ids.gather(1, order), nodes.view(sentences, width).gather(1, beam), beam)


def _turns(ids: Tensor, met: Tensor, totals: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Which of the continuations (b, C), best first, to take: ends by their totals, and others in turn.

    The best of those that have most of what is required, the best of those that have less, and so on, then the
    second best of each. Gives their places (b, count), a half of which is for ends, and which of them are none.
    """
    possible = totals.isfinite()
    is_end = ids.eq(EOS)
    banks = torch.arange(int(met.max()) + 1, device=met.device)
    same = met[:, :, None].eq(banks) & (possible & ~is_end)[:, :, None]  # (b, C, banks)
    rank = same.cumsum(1).gather(2, met[:, :, None]).squeeze(2)  # its place among those that have as much
    turn = rank * len(banks) - met
    kinds = ((possible & is_end, torch.zeros_like(turn)), (possible & ~is_end, turn))
    never = turn.max() + 1
    chosen = [
        torch.where(of_kind, key, never).sort(dim=1, stable=True).indices[:, : count // 2] for of_kind, key in kinds
    ]
    none = [of_kind.logical_not().gather(1, order) for (of_kind, _), order in zip(kinds, chosen, strict=True)]
    return torch.cat(chosen, 1), torch.cat(none, 1)


def _advance(
    search: Search, ranked: Prefixes, penalty: LengthPenalty, step: int, *, in_order: bool, bonus: Tensor | None
) -> Search:
    """Part the ranked continuations (b, C) into hypotheses that end here and prefixes that live on.

    in_order: whether they are ranked by their totals alone, the best first. bonus: (N,) what is added to the score of
    a hypothesis by the row that ends with it.
    """
    beam_size = search.kept.score.shape[1]
    is_end = ranked.token.eq(EOS)
    if in_order and not is_end.any():
        return replace(search, live=ranked.first(beam_size))
    ended = _best(ranked, ranked.total[:, :beam_size].masked_fill(~is_end[:, :beam_size], -math.inf), beam_size)
    live = _best(ranked, ranked.total.masked_fill(is_end, -math.inf), beam_size)
    ends = as_ends(ended, penalty, step)
    if bonus is not None:
        ends = replace(ends, score=ends.score + bonus.view(len(ranked.beam), -1).gather(1, ended.beam))
    return replace(search, live=live, kept=merge(search.kept, ends))


def _best(prefixes: Prefixes, total: Tensor, count: int) -> Prefixes:
    """The `count` best of the prefixes, or as many as there are, by another `total` (b, w) than their own."""
    total, order = total.sort(dim=1, descending=True, stable=True)
    total, order = total[:, :count], order[:, :count]
    return Prefixes(total, *(part.gather(1, order) for part in (prefixes.token, prefixes.parent, prefixes.beam)))
