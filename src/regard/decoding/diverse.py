"""Diverse beam search: groups that share a beam and avoid one another's tokens (Vijayakumar et al. 2016).

Each group searches as beam search does with its part of the beam; at every step one group goes after another. A
token costs a continuation `strength` for each time that groups before its own took it at this same step, which is
their Hamming diversity. That counts where the continuations of this step are ranked and nowhere else:
log-probabilities and scores stay the model's. What a group takes are the last tokens of its prefixes that live on, or
that the limit cuts, and EOS for each hypothesis that ends; a group that is done takes no more.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from regard.contract import Decoder, Memory
from regard.decoding.candidates import best_tokens, checked_limits, kept_sentences
from regard.decoding.hypothesis import Hypothesis
from regard.decoding.length_penalty import LengthPenalty
from regard.decoding.prefix_tree import End, SearchTree
from regard.decoding.prefixes import Prefixes, Search, as_ends, merge, settle, start
from regard.errors import DecodingError
from regard.special_tokens import EOS


@torch.inference_mode()
def diverse_beam_search(
    decoder: Decoder[Any],
    memory: Memory,
    max_lengths: Sequence[int] | Tensor,
    *,
    beam_size: int,
    groups: int,
    strength: float,
    penalty: LengthPenalty,
    with_attention: bool = False,
) -> list[list[Hypothesis]]:
    """For each of the memory's B sentences what all groups found, best first and nothing twice.

    groups: how many share the beam equally; each finds at most beam_size / groups hypotheses. Finished ones rank
    before unfinished ones. With one group it is beam search. max_lengths: as in beam search.
    Raises DecodingError for a beam that cannot be shared so, a negative strength, a limit below 1, and scores that
    are not numbers.
    """
    if groups < 1 or beam_size < 1 or beam_size % groups:
        raise DecodingError(
            f"a beam of {beam_size} cannot be shared by {groups} groups",
            fix="let the beam be a multiple of the number of groups",
        )
    if not 0 <= strength < math.inf:
        raise DecodingError(f"the strength of diversity is {strength}", fix="give a number that is not negative")
    limits = checked_limits(max_lengths, memory)
    own = beam_size // groups
    searches = [start(limits, own) for _ in range(groups)]
    found: list[list[list[End]]] = [[[] for _ in limits] for _ in searches]
    tree = SearchTree()
    state = decoder.init_state(memory).select(torch.arange(len(limits), device=limits.device).repeat_interleave(groups))
    step = 0
    while len(searches[0].sentence):
        step += 1
        fed = torch.cat([search.live.token for search in searches], 1)  # (b, groups x w)
        parents = torch.cat([search.live.parent for search in searches], 1)
        out = decoder.step(fed.flatten(), state, with_attention=with_attention)
        nodes = tree.grow(fed.flatten(), parents.flatten(), out.attention).view_as(fed)
        # A group wants no other tokens of a row: before its own part of the beam are EOS and what others took, at most.
        values, ids = (part.view(*fed.shape, -1) for part in best_tokens(out.logits, beam_size + 1, step))
        searches = _go_on(searches, found, nodes, values, ids, strength, penalty, step)
        still = kept_sentences(torch.stack([search.over for search in searches]).all(0))
        if still is not None:
            searches = [search.select(still) for search in searches]
        places = torch.arange(len(fed), device=fed.device) if still is None else still
        beams = torch.cat([search.live.beam for search in searches], 1)
        state = out.state.select((places[:, None] * fed.shape[1] + beams).flatten(), still)
    every = [[end for group in found for end in group[sentence]] for sentence in range(len(limits))]
    return [_ordered(hypotheses) for hypotheses in tree.hypotheses(every, memory.mask)]


def _go_on(
    searches: Sequence[Search],
    found: Sequence[list[list[End]]],
    nodes: Tensor,
    values: Tensor,
    ids: Tensor,
    strength: float,
    penalty: LengthPenalty,
    step: int,
) -> list[Search]:
    """One step of every group, the first to the last, each with its part of all rows.

    nodes (b, groups x w) of the prefixes; values and ids (b, groups x w, k) of the tokens behind them.
    """
    width = nodes.shape[1] // len(searches)
    taken = nodes[:, :0]
    after: list[Search] = []
    for number, (search, ends) in enumerate(zip(searches, found, strict=True)):
        rows = slice(number * width, (number + 1) * width)
        times = (ids[:, rows, :, None] == taken[:, None, None]).sum(3)
        totals = search.live.total[:, :, None] + values[:, rows]
        ranked = _rank(totals, totals - strength * times.to(totals), ids[:, rows], nodes[:, rows], number * width)
        own = search.kept.score.shape[1]
        after.append(settle(_advance(search, ranked, penalty, step), ends, own, penalty, step))
        taken = torch.cat((taken, _taken(search, after[-1], ranked, step)), 1)
    return after


def _rank(totals: Tensor, worth: Tensor, ids: Tensor, nodes: Tensor, first: int) -> Prefixes:
    """All continuations of one group's prefixes, (b, w x k), in the order of their worth, not of their totals.

    totals, worth and ids: (b, w, k); nodes (b, w); first: the number of the group's first row.
    """
    order = worth.flatten(1).sort(dim=1, descending=True, stable=True).indices
    beam = order // ids.shape[2]
    total, token = (part.flatten(1).gather(1, order) for part in (totals, ids))
    return Prefixes(total, token, nodes.gather(1, beam), first + beam)


def _advance(search: Search, ranked: Prefixes, penalty: LengthPenalty, step: int) -> Search:
    """Part the ranked continuations (b, C) as beam search does; prefixes live on in the order of their rank."""
    own = search.kept.score.shape[1]
    is_end = ranked.token.eq(EOS)
    ended = replace(ranked, total=ranked.total.masked_fill(~is_end, -math.inf))
    others = replace(ranked, total=ranked.total.masked_fill(is_end, -math.inf))
    first = torch.arange(ranked.token.shape[1], device=is_end.device)[:own].expand(len(is_end), -1)
    kept = merge(search.kept, as_ends(_take(ended, first), penalty, step))
    return replace(search, live=_take(others, is_end.int().sort(dim=1, stable=True).indices[:, :own]), kept=kept)


def _take(prefixes: Prefixes, places: Tensor) -> Prefixes:
    parts = (prefixes.total, prefixes.token, prefixes.parent, prefixes.beam)
    return Prefixes(*(part.gather(1, places) for part in parts))


def _taken(before: Search, after: Search, ranked: Prefixes, step: int) -> Tensor:
    """The tokens that a group takes at a step, (b, m), as often as it does; -1: none."""
    own = before.kept.score.shape[1]
    ended = ranked.token[:, :own].eq(EOS) & ranked.total[:, :own].isfinite()
    lives = after.live.total.isfinite() & (after.limit.le(step) | ~after.over)[:, None]
    took = torch.cat((ended, lives), 1) & ~before.over[:, None]
    return torch.cat((ranked.token[:, :own], after.live.token), 1).masked_fill(~took, -1)


def _ordered(hypotheses: Sequence[Hypothesis]) -> list[Hypothesis]:
    """Best first, finished before unfinished, each once."""
    once: dict[tuple[tuple[int, ...], bool], Hypothesis] = {}
    for one in sorted(hypotheses, key=lambda one: (not one.finished, -one.score)):
        once.setdefault((one.tokens, one.finished), one)
    return list(once.values())
