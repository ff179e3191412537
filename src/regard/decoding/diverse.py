"""Diverse beam search: groups that share a beam and avoid one another's tokens (Vijayakumar et al. 2016).

Each group runs a beam search with its share of the beam. In every step the groups follow one after another. A
continuation is ranked by its log-probability minus `strength` for each time that an earlier group took the same token
in this step (Hamming diversity). Only this ranking is affected: log-probabilities and scores remain those of the model.
A group takes the last token of each prefix that stays alive or that the limit cuts, and EOS for each hypothesis that
ends. A finished group takes none.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from regard.contract import Decoder, Memory
from regard.decoding.beam_state import (
    BeamSettings,
    BeamState,
    LivePrefixes,
    init_beam_state,
    retire_finished,
    score_ends,
)
from regard.decoding.hypothesis import Hypothesis
from regard.decoding.length_penalty import LengthPenalty
from regard.decoding.next_tokens import best_tokens, check_length_limits, select_unfinished
from regard.decoding.prefix_tree import HypothesisEnd, PrefixTree
from regard.errors import DecodingError
from regard.special_tokens import EOS


@torch.inference_mode()
def diverse_beam_search(
    decoder: Decoder[Any],
    memory: Memory,
    max_lengths: Sequence[int] | Tensor,
    settings: BeamSettings,
    *,
    groups: int,
    strength: float,
    with_attention: bool = False,
) -> list[list[Hypothesis]]:
    """Return the distinct hypotheses of all groups for each of the memory's B sentences, best first.

    Finished hypotheses rank before unfinished ones. With one group this is beam search. The patience and `beam_size`
    are divided among the groups; `top_beams` has no effect.

    Args:
        max_lengths: As in `beam_search`.
        groups: The number of groups, which share the beam equally. Each returns at most beam_size / groups hypotheses.
        strength: The cost of a token for each time that an earlier group took it in the same step.

    Raises:
        DecodingError: If `groups` does not divide the beam, the strength is negative, a limit is below 1, or a score
            is not finite.
    """
    beam_size = settings.beam_size
    if groups < 1 or beam_size % groups:
        raise DecodingError(
            f"a beam of size {beam_size} cannot be divided into {groups} groups",
            fix="make beam_size a multiple of groups",
        )
    if not 0 <= strength < math.inf:
        raise DecodingError(f"diversity is {strength}", fix="set it to 0 or more")
    limits = check_length_limits(max_lengths, memory)
    group_size = beam_size // groups
    settings = replace(settings, beam_size=group_size, top_beams=group_size)
    beams = [init_beam_state(limits, settings) for _ in range(groups)]
    results: list[list[list[HypothesisEnd]]] = [[[] for _ in limits] for _ in beams]
    tree = PrefixTree()
    state = decoder.init_state(memory).select(torch.arange(len(limits), device=limits.device).repeat_interleave(groups))
    step = 0
    while len(beams[0].sentence):
        step += 1
        fed = torch.cat([group.live.token for group in beams], 1)  # (b, groups x w)
        parents, totals = (
            torch.cat([getattr(group.live, name) for group in beams], 1).flatten() for name in ("parent", "total")
        )
        out = decoder.step(fed.flatten(), state, with_attention=with_attention)
        nodes = tree.append(fed.flatten(), parents, totals, out.attention).view_as(fed)
        # A group needs no more tokens of a row: at most EOS and the tokens of earlier groups rank before its share.
        values, ids = (part.view(*fed.shape, -1) for part in best_tokens(out.logits, beam_size + 1, step))
        beams = _step(beams, results, nodes, values, ids, strength, settings, step)
        unfinished = select_unfinished(torch.stack([group.is_done for group in beams]).all(0))
        if unfinished is not None:
            beams = [group.select(unfinished) for group in beams]
        places = torch.arange(len(fed), device=fed.device) if unfinished is None else unfinished
        rows = torch.cat([group.live.beam for group in beams], 1)
        state = out.state.select((places[:, None] * fed.shape[1] + rows).flatten(), unfinished)
    ends = [[end for group in results for end in group[sentence]] for sentence in range(len(limits))]
    return [_sort_distinct(hypotheses) for hypotheses in tree.read_hypotheses(ends, memory.mask)]


def _step(
    beams: Sequence[BeamState],
    results: Sequence[list[list[HypothesisEnd]]],
    nodes: Tensor,
    values: Tensor,
    ids: Tensor,
    strength: float,
    settings: BeamSettings,
    step: int,
) -> list[BeamState]:
    """Advance every group by one step, each with its share of the rows.

    Args:
        nodes: (b, groups x w) nodes of the prefixes.
        values: (b, groups x w, k) log-probabilities of the next tokens.
        ids: (b, groups x w, k) the next tokens.
    """
    width = nodes.shape[1] // len(beams)
    taken = nodes[:, :0]
    advanced: list[BeamState] = []
    for number, (group, ends) in enumerate(zip(beams, results, strict=True)):
        rows = slice(number * width, (number + 1) * width)
        times = (ids[:, rows, :, None] == taken[:, None, None]).sum(3)  # (b, w, k)
        totals = group.live.total[:, :, None] + values[:, rows]
        ranked = _rank(totals, totals - strength * times.to(totals), ids[:, rows], nodes[:, rows], number * width)
        advanced.append(retire_finished(_advance(group, ranked, settings.penalty, step), ends, settings, step))
        taken = torch.cat((taken, _taken_tokens(group, advanced[-1], ranked, step)), 1)
    return advanced


def _rank(totals: Tensor, ranking: Tensor, ids: Tensor, nodes: Tensor, first: int) -> LivePrefixes:
    """Return all continuations (b, w x k) of one group's prefixes, sorted by `ranking` instead of their totals.

    Args:
        totals, ranking, ids: (b, w, k).
        nodes: (b, w).
        first: The number of the group's first row.
    """
    order = ranking.flatten(1).sort(dim=1, descending=True, stable=True).indices
    beam = order // ids.shape[2]
    total, token = (part.flatten(1).gather(1, order) for part in (totals, ids))
    return LivePrefixes(total, token, nodes.gather(1, beam), first + beam)


def _advance(group: BeamState, ranked: LivePrefixes, penalty: LengthPenalty, step: int) -> BeamState:
    """Divide the ranked continuations (b, C) as beam search does; live prefixes stay in the order of their rank."""
    group_size = group.ends.score.shape[1]
    is_end = ranked.token.eq(EOS)
    ended = replace(ranked, total=ranked.total.masked_fill(~is_end, -math.inf))
    continued = replace(ranked, total=ranked.total.masked_fill(is_end, -math.inf))
    first = torch.arange(ranked.token.shape[1], device=is_end.device)[:group_size].expand(len(is_end), -1)
    ends = score_ends(_take(ended, first), penalty, step)
    live = _take(continued, is_end.int().sort(dim=1, stable=True).indices[:, :group_size])
    return replace(group, live=live).add_ends(ends)


def _take(prefixes: LivePrefixes, places: Tensor) -> LivePrefixes:
    parts = (prefixes.total, prefixes.token, prefixes.parent, prefixes.beam)
    return LivePrefixes(*(part.gather(1, places) for part in parts))


def _taken_tokens(before: BeamState, after: BeamState, ranked: LivePrefixes, step: int) -> Tensor:
    """Return the tokens (b, m) that a group takes in a step, with repetitions; -1 marks an empty place."""
    group_size = before.ends.score.shape[1]
    is_end = ranked.token[:, :group_size].eq(EOS) & ranked.total[:, :group_size].isfinite()
    is_live = after.live.total.isfinite() & (after.limit.le(step) | ~after.is_done)[:, None]
    is_taken = torch.cat((is_end, is_live), 1) & ~before.is_done[:, None]
    return torch.cat((ranked.token[:, :group_size], after.live.token), 1).masked_fill(~is_taken, -1)


def _sort_distinct(hypotheses: Sequence[Hypothesis]) -> list[Hypothesis]:
    """Return the distinct hypotheses, best first, finished ones before unfinished ones."""
    distinct: dict[tuple[tuple[int, ...], bool], Hypothesis] = {}
    for hypothesis in sorted(hypotheses, key=lambda hypothesis: (not hypothesis.finished, -hypothesis.score)):
        distinct.setdefault((hypothesis.tokens, hypothesis.finished), hypothesis)
    return list(distinct.values())
