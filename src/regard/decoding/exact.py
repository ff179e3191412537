"""Exact search: the best hypothesis of all there are, and whether that was proved.

Depth first, with bounds (Stahlberg and Byrne 2019): whatever becomes of a prefix, its log-probability only
falls and the penalty's divisor never does, so log-probability / lp(limit) bounds its score; a prefix that
could not beat the best hypothesis so far is cut off. The better the first hypothesis, the more is cut.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from regard.contract import Decoder, Memory
from regard.decoding.candidates import checked_limits, log_probabilities
from regard.decoding.hypothesis import Hypothesis
from regard.decoding.length_penalty import LengthPenalty
from regard.errors import DecodingError
from regard.special_tokens import BOS, EOS

ROWS = 16  # prefixes of one parent that are fed at once, though the first may show that the last need not be


@torch.inference_mode()
def exact_search(
    decoder: Decoder[Any],
    memory: Memory,
    max_lengths: Sequence[int] | Tensor,
    *,
    penalty: LengthPenalty,
    found: Sequence[Hypothesis],
    max_steps: int,
    with_attention: bool = False,
) -> list[Hypothesis]:
    """The finished hypothesis of the greatest score for each of the memory's B sentences, one after another.

    max_lengths: for each sentence, how many decoder steps a hypothesis may have, the one that gives EOS among them.
    found: one hypothesis a sentence, such as a beam's best by the same penalty; only a better one takes its place,
    where any finished one is better than an unfinished. max_steps: how many prefixes of a sentence may be fed
    to the decoder; where they do not suffice it is the best so far, with `proved` False. An unfinished hypothesis is
    never proved, since no two prefixes are compared. with_attention: of what is found here; what was given keeps its
    own. Raises DecodingError for limits or steps below 1, for other than one hypothesis a sentence, and for scores that
    are not numbers.
    """
    limits = checked_limits(max_lengths, memory)
    if len(found) != len(limits):
        raise DecodingError(f"{len(found)} hypotheses for {len(limits)} sentences", fix="give one a sentence")
    if max_steps < 1:
        raise DecodingError(f"{max_steps} steps were granted", fix="grant at least one")
    answers: list[Hypothesis] = []
    for sentence, (limit, first) in enumerate(zip(limits.tolist(), found, strict=True)):
        own = memory.select(torch.tensor([sentence], device=limits.device))
        divisors = penalty(torch.arange(1, limit + 1, dtype=torch.float64)).tolist()
        search = _Search(decoder, divisors, first)
        proved = search.run(own, max_steps) and search.best.finished
        best = search.best if search.best is first or not with_attention else _attended(decoder, own, search.best)
        answers.append(replace(best, proved=proved))
    return answers


def _attended(decoder: Decoder[Any], memory: Memory, found: Hypothesis) -> Hypothesis:
    """A finished hypothesis of the memory's one sentence with its attention, where the decoder has any."""
    state = decoder.init_state(memory)
    looked: list[Tensor] = []
    for token in (BOS, *found.tokens):
        out = decoder.step(torch.tensor([token], device=memory.mask.device), state, with_attention=True)
        if out.attention is None:
            return found
        looked.append(out.attention)
        state = out.state
    return replace(found, attention=torch.cat(looked)[:, : int(memory.mask.sum())])


@dataclass
class _Open:
    """Prefixes that differ in their last token alone and are yet to be fed, the most probable last."""

    state: Any  # behind all but their last tokens
    row: int  # whose it is there
    written: tuple[int, ...]  # all but their last tokens
    tokens: list[int]
    totals: list[float]  # their log-probabilities


class _Search:
    """The search for one sentence."""

    def __init__(self, decoder: Decoder[Any], divisors: list[float], first: Hypothesis) -> None:
        self.decoder = decoder
        self.divisors = divisors  # by length - 1, up to the limit
        self.best = first

    def run(self, memory: Memory, steps: int) -> bool:
        """Go through the tree, or through as much of it as comes to so many prefixes fed; whether that was all."""
        device = memory.mask.device
        ways = [_Open(self.decoder.init_state(memory), 0, (), [BOS], [0.0])]
        while ways:
            way = ways[-1]
            if not way.tokens or not self._hopeful(way.totals[-1]):
                ways.pop()
                continue
            if steps == 0:
                return False
            count = min(steps, ROWS)
            count = sum(map(self._hopeful, way.totals[-count:]))
            steps -= count
            fed = torch.tensor(way.tokens[-count:], device=device)
            out = self.decoder.step(fed, way.state.select(torch.full_like(fed, way.row)))
            scores = log_probabilities(out.logits, len(way.written) + 1).cpu().double()
            scores += torch.tensor(way.totals[-count:], dtype=torch.float64)[:, None]
            prefixes = [(*way.written, token) for token in way.tokens[-count:]]
            del way.tokens[-count:], way.totals[-count:]
            ways += self._beyond(prefixes, scores, out.state)
        return True

    def _least(self) -> float:
        """What the score of a hypothesis must exceed."""
        return self.best.score if self.best.finished else -math.inf

    def _hopeful(self, total: float) -> bool:
        """Whether what begins with such a log-probability may become the best."""
        return self._score(total, len(self.divisors)) > self._least()

    def _score(self, total: float, length: int) -> float:
        divisor = self.divisors[length - 1]
        return total / divisor if divisor else -math.inf

    def _beyond(self, prefixes: list[tuple[int, ...]], totals: Tensor, state: Any) -> list[_Open]:
        """The ways on behind each prefix that has been fed; the hypotheses that end there are looked at.

        totals: (n, V) log-probabilities of the prefixes, which begin with BOS, with each token more.
        """
        length = len(prefixes[0])  # of the hypotheses: EOS in the place of BOS
        ended = totals[:, EOS].tolist()
        for prefix, total in zip(prefixes, ended, strict=True):
            score = self._score(total, length)
            known = self.best.finished and prefix[1:] == self.best.tokens  # its score may have been rounded otherwise
            if score > self._least() and not known:
                self.best = Hypothesis(prefix[1:], total, score, finished=True)
        if length == len(self.divisors):
            return []
        totals[:, EOS] = -math.inf
        hopeful = (totals / self.divisors[-1]).gt(self._least())
        ways: list[_Open] = []
        for row, prefix in enumerate(prefixes):
            tokens = hopeful[row].nonzero().squeeze(1)
            own, order = totals[row, tokens].sort()
            ways.append(_Open(state, row, prefix, tokens[order].tolist(), own.tolist()))
        return ways
