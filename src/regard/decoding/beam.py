"""Beam search over a batch of sentences, for any decoder that keeps the contract.

With a beam of size K:

- Each step ranks the 2K best continuations of a sentence's live prefixes. A continuation that ends in EOS becomes a
  hypothesis only if it ranks among the first K. The K best of the others stay alive.
- The K best hypotheses are kept. A sentence is finished when its best live prefix can no longer beat the worst of
  the `top_beams` best hypotheses: the log-probability only falls and the divisor of the length penalty never does,
  so log-probability / penalty(limit) bounds every score that the prefix can still reach.
- With a patience p, a sentence is also finished once it has p * K hypotheses (Kasai et al. 2022, arXiv 2204.05424) and
  no live prefix would score higher than the worst of the `top_beams` best if it ended now. The paper has no such
  condition: where a model is sure of each token, p * K improbable hypotheses end before the best one does.
  A beam of size 1 finishes with its first EOS, as greedy search does.
- At the length limit, live prefixes become unfinished hypotheses if there are fewer than `top_beams` finished ones.
  Finished hypotheses rank before unfinished ones.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from regard.contract import Decoder, Memory, State
from regard.decoding import native_beam
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
from regard.decoding.logits_processors import LogitsProcessor, PrefixTokens
from regard.decoding.next_tokens import (
    best_processed_tokens,
    best_tokens,
    check_length_limits,
    select_unfinished,
)
from regard.decoding.prefix_tree import HypothesisEnd, PrefixTree
from regard.nn.kernels import native
from regard.special_tokens import EOS


@torch.inference_mode()
def beam_search(
    decoder: Decoder[Any],
    memory: Memory,
    max_lengths: Sequence[int] | Tensor,
    settings: BeamSettings,
    *,
    processor: LogitsProcessor | None = None,
    with_attention: bool = False,
) -> list[list[Hypothesis]]:
    """Return for each of the memory's B sentences between one and `top_beams` hypotheses, best first.

    Args:
        max_lengths: The most decoder steps for each sentence, including the one that gives EOS. A prefix without
            EOS by then is unfinished.
        settings: Size, patience, penalty and number of results.
        processor: Changes the log-probabilities of next tokens. If it leaves a sentence no token, that sentence has
            one unfinished hypothesis without tokens and a log-probability of minus infinity.

    Raises:
        DecodingError: If a limit is below 1, or a score is not finite.
    """
    limits = check_length_limits(max_lengths, memory)
    if processor is None and not with_attention and native_beam.is_supported(decoder, memory, settings):
        return native_beam.native_beam_search(decoder, memory, limits, settings)
    beam_size = settings.beam_size
    beams = init_beam_state(limits, settings)
    results: list[list[HypothesisEnd]] = [[] for _ in beams.sentence]
    tree = PrefixTree()
    state = decoder.init_state(memory)
    step = 0
    history = None if processor is None else _History.start(beams.sentence, memory, processor)
    needs_attention = with_attention or (processor is not None and processor.needs_attention)
    while len(beams.sentence):
        step += 1
        sentences, width = beams.live.token.shape
        fed = beams.live.token.flatten()  # (N,), N = b x w
        out = decoder.step(fed, state, with_attention=needs_attention)
        attention = out.attention if with_attention else None
        nodes = tree.append(fed, beams.live.parent.flatten(), beams.live.total.flatten(), attention)
        bonus = None
        if processor is None or history is None:
            values, ids = best_tokens(out.logits, 2 * beam_size, step)  # (N, 2K)
            ranked = _rank(beams.live, nodes, values, ids, 2 * beam_size)  # (b, 2K)
        else:
            prefixes = history.prefixes
            values, ids = best_processed_tokens(out.logits, 2 * beam_size, step, prefixes, processor)
            progress = processor.next_progress(prefixes, ids)
            ranked = _rank(beams.live, nodes, values, ids, 2 * beam_size, progress)
            history, bonus = history.attend(out.attention, processor)
        beams = _advance(beams, ranked, settings.penalty, step, is_sorted=processor is None, bonus=bonus)
        beams = retire_finished(beams, results, settings, step)
        unfinished = select_unfinished(beams.is_done)
        if unfinished is not None:
            beams = beams.select(unfinished)
        places = torch.arange(sentences, device=fed.device) if unfinished is None else unfinished
        rows = (places[:, None] * width + beams.live.beam).flatten()  # (N',) the row that each live prefix extends
        state = out.state.select(rows, unfinished)
        history = None if history is None else history.append(rows, beams.live.token.flatten())
    return tree.read_hypotheses(results, memory.mask)


@dataclass(frozen=True)
class _History(State):
    """What a logits processor may read of each row: its tokens, and where it has attended."""

    tokens: Tensor  # (N, t)
    sentence: Tensor  # (N,)
    attention_sum: Tensor | None  # (N, S)
    mask: Tensor  # (N, S)
    parents: Tensor  # (N,) the row of the last step that each row extends

    @classmethod
    def start(cls, sentence: Tensor, memory: Memory, processor: LogitsProcessor) -> _History:
        """Return the history before the first step, with one row for each sentence."""
        attention_sum = memory.mask.to(memory.values.dtype) * 0 if processor.needs_attention else None
        return cls(sentence[:, None][:, :0], sentence, attention_sum, memory.mask, sentence)

    @property
    def prefixes(self) -> PrefixTokens:
        return PrefixTokens(self.tokens, self.sentence, self.parents)

    def attend(self, attention: Tensor | None, processor: LogitsProcessor) -> tuple[_History, Tensor | None]:
        """Add a step's attention (N, S). Also return the score bonus (N,) of rows that end with this step."""
        if self.attention_sum is None or attention is None:
            return self, None
        attention_sum = self.attention_sum + attention
        return replace(self, attention_sum=attention_sum), processor.final_score_bonus(attention_sum, self.mask)

    def append(self, rows: Tensor, tokens: Tensor) -> _History:
        """Select rows (M,) and append one token to each (M,)."""
        selected = self.select(rows)
        return replace(selected, tokens=torch.cat((selected.tokens, tokens[:, None]), 1), parents=rows)


def _rank(
    live: LivePrefixes, nodes: Tensor, values: Tensor, ids: Tensor, count: int, progress: Tensor | None = None
) -> LivePrefixes:
    """Return the `count` best continuations of each sentence, or all if there are fewer.

    The sort is stable, so that equal scores rank the same way in every batch and in greedy search.

    Args:
        nodes: (N,) nodes of the live prefixes (b, w).
        values: (N, k) log-probabilities of the next tokens.
        ids: (N, k) the next tokens.
        progress: (N, k) constraint progress of each continuation. If given, half of the places are for ends and the
            other half are shared among the levels of progress.
    """
    sentences, width = live.total.shape
    per_row = ids.shape[1]
    if progress is None and native.can_rank(live.total, values, count):
        return LivePrefixes(*native.best_continuations(live.total, values, ids, nodes, min(count, width * per_row)))
    totals = (live.total[:, :, None] + values.view(sentences, width, per_row)).flatten(1)  # (b, w * k)
    ids = ids.view(sentences, width * per_row)
    ranked, order = totals.sort(dim=1, descending=True, stable=True)
    if progress is None:
        ranked, order = ranked[:, :count], order[:, :count]
    else:
        progress = progress.view(sentences, width * per_row).gather(1, order)
        places, is_filler = _allocate_by_progress(ids.gather(1, order), progress, ranked, count)
        ranked, order = ranked.gather(1, places).masked_fill(is_filler, -math.inf), order.gather(1, places)
    beam = order // per_row
    return LivePrefixes(ranked, ids.gather(1, order), nodes.view(sentences, width).gather(1, beam), beam)


def _allocate_by_progress(ids: Tensor, progress: Tensor, totals: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Choose continuations so that every level of constraint progress keeps a share (Post and Vilar 2018).

    Half of the places are for continuations that end in EOS, by total. The other half go to the levels of progress
    in rounds: the best continuation of each level, the highest level first, then the second best of each level, ...

    Example:
        Six continuations a to f of one sentence, best first, of which c ends in EOS, with count = 8::

            continuation      a    b    c    d    e    f
            is EOS            -    -    yes  -    -    -
            progress          0    0    2    1    0    2
            rank in its level 1    2    -    1    3    1

        Round 1 takes f (level 2), d (level 1), a (level 0); round 2 takes b, the second best of level 0. The result
        is [c, filler, filler, filler, f, d, a, b]: a plain beam would have taken a, b, d, e and dropped f.

        The key is rank * levels - progress, which sorts by round first and then from the highest level down.

    A sentence whose continuations all have the same progress, such as one without constraints, keeps the order of a
    plain beam: its translation must not depend on the constraints of others.

    Args:
        ids: (b, C) tokens of the continuations, best first.
        progress: (b, C) their constraint progress.
        totals: (b, C) their log-probabilities; minus infinity for impossible ones.
        count: The number of places.

    Returns:
        The chosen positions (b, count), and which of them are fillers (b, count) because there were too few.
    """
    is_possible = totals.isfinite()
    is_end = ids.eq(EOS)
    levels = torch.arange(int(progress.max()) + 1, device=progress.device)
    in_level = progress[:, :, None].eq(levels) & (is_possible & ~is_end)[:, :, None]  # (b, C, levels)
    rank = in_level.cumsum(1).gather(2, progress[:, :, None]).squeeze(2)  # (b, C)
    key = rank * len(levels) - progress
    halves = ((is_possible & is_end, torch.zeros_like(key)), (is_possible & ~is_end, key))
    last = key.max() + 1
    chosen = [
        torch.where(is_member, order, last).sort(dim=1, stable=True).indices[:, : count // 2]
        for is_member, order in halves
    ]
    fillers = [is_member.logical_not().gather(1, places) for (is_member, _), places in zip(halves, chosen, strict=True)]
    places, is_filler = torch.cat(chosen, 1), torch.cat(fillers, 1)
    highest = progress.masked_fill(~is_possible, -1).amax(1, keepdim=True)
    lowest = progress.masked_fill(~is_possible, len(levels)).amin(1, keepdim=True)
    is_plain = highest.le(lowest)  # (b, 1)
    plain, candidates = torch.arange(places.shape[1], device=places.device), ids.shape[1]
    places = torch.where(is_plain, plain.clamp_max(candidates - 1), places)
    return places, torch.where(is_plain, plain.ge(candidates), is_filler)


def _advance(
    beams: BeamState, ranked: LivePrefixes, penalty: LengthPenalty, step: int, *, is_sorted: bool, bonus: Tensor | None
) -> BeamState:
    """Divide the ranked continuations (b, C) into hypotheses that end here and prefixes that stay alive.

    Args:
        is_sorted: Whether the continuations are sorted by total, best first.
        bonus: (N,) added to the score of a hypothesis by the row that ends with it.
    """
    beam_size = beams.ends.score.shape[1]
    is_end = ranked.token.eq(EOS)
    if is_sorted and not is_end.any():
        return replace(beams, live=ranked.first(beam_size))
    ended = _best(ranked, ranked.total[:, :beam_size].masked_fill(~is_end[:, :beam_size], -math.inf), beam_size)
    live = _best(ranked, ranked.total.masked_fill(is_end, -math.inf), beam_size)
    ends = score_ends(ended, penalty, step)
    if bonus is not None:
        ends = replace(ends, score=ends.score + bonus.view(len(ranked.beam), -1).gather(1, ended.beam))
    return replace(beams, live=live).add_ends(ends)


def _best(prefixes: LivePrefixes, total: Tensor, count: int) -> LivePrefixes:
    """Return the `count` best prefixes, or all if there are fewer, sorted by these totals (b, w)."""
    total, order = total.sort(dim=1, descending=True, stable=True)
    total, order = total[:, :count], order[:, :count]
    return LivePrefixes(total, *(part.gather(1, order) for part in (prefixes.token, prefixes.parent, prefixes.beam)))
