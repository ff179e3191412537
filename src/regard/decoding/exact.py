"""Exact search: the best of all hypotheses, and whether it is proved to be the best.

Depth-first branch and bound (Stahlberg and Byrne 2019): the log-probability of a prefix only falls as it grows, and the
divisor of the length penalty never does, so log-probability / penalty(limit) bounds the score of every continuation. A
prefix that cannot beat the best hypothesis so far is pruned. The better the initial hypothesis, the more is pruned.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from regard.contract import Decoder, Memory
from regard.decoding.hypothesis import Hypothesis
from regard.decoding.length_penalty import LengthPenalty
from regard.decoding.next_tokens import check_length_limits, log_probabilities
from regard.errors import DecodingError
from regard.special_tokens import BOS, EOS

ROWS = 16  # sibling prefixes fed at once, although the first may show that the last can be pruned


@torch.inference_mode()
def exact_search(
    decoder: Decoder[Any],
    memory: Memory,
    max_lengths: Sequence[int] | Tensor,
    *,
    penalty: LengthPenalty,
    initial: Sequence[Hypothesis],
    max_steps: int,
    with_attention: bool = False,
) -> list[Hypothesis]:
    """Return the finished hypothesis with the greatest score for each of the memory's B sentences.

    If `max_steps` is not enough, it is the best one so far, with `proved` False. An unfinished hypothesis is never
    proved, because prefixes are not compared with each other.

    Args:
        max_lengths: The most decoder steps for each sentence, including the one that gives EOS.
        initial: A hypothesis for each sentence, such as the best of a beam search with the same penalty. It is
            replaced only by a better one; a finished hypothesis is better than any unfinished one.
        max_steps: The most prefixes of a sentence that are fed to the decoder.
        with_attention: Whether to compute the attention of hypotheses found here; initial ones keep theirs.

    Raises:
        DecodingError: If a limit or `max_steps` is below 1, the number of initial hypotheses is wrong, or a score is
            not finite.
    """
    limits = check_length_limits(max_lengths, memory)
    if len(initial) != len(limits):
        raise DecodingError(
            f"there are {len(initial)} initial hypotheses for {len(limits)} sentences", fix="give one for each sentence"
        )
    if max_steps < 1:
        raise DecodingError(f"exact_steps is {max_steps}", fix="set it to at least 1")
    results: list[Hypothesis] = []
    for sentence, (limit, first) in enumerate(zip(limits.tolist(), initial, strict=True)):
        sentence_memory = memory.select(torch.tensor([sentence], device=limits.device))
        divisors = penalty(torch.arange(1, limit + 1, dtype=torch.float64)).tolist()
        search = _SentenceSearch(decoder, divisors, first)
        proved = search.run(sentence_memory, max_steps) and search.best.finished
        best = search.best
        if best is not first and with_attention:
            best = _add_attention(decoder, sentence_memory, best)
        results.append(replace(best, proved=proved))
    return results


def _add_attention(decoder: Decoder[Any], memory: Memory, hypothesis: Hypothesis) -> Hypothesis:
    """Return a finished hypothesis of the memory's only sentence with its attention, if the decoder has any."""
    state = decoder.init_state(memory)
    attention: list[Tensor] = []
    for token in (BOS, *hypothesis.tokens):
        out = decoder.step(torch.tensor([token], device=memory.mask.device), state, with_attention=True)
        if out.attention is None:
            return hypothesis
        attention.append(out.attention)
        state = out.state
    return replace(hypothesis, attention=torch.cat(attention)[:, : int(memory.mask.sum())])


@dataclass
class _Siblings:
    """Prefixes that differ only in their last token and are not fed yet, the most probable last."""

    state: Any  # the decoder state after the common part
    row: int  # the row of that state
    common: tuple[int, ...]  # all tokens but the last
    tokens: list[int]  # the last token of each
    totals: list[float]  # the log-probability of each


class _SentenceSearch:
    """The search for one sentence."""

    def __init__(self, decoder: Decoder[Any], divisors: list[float], initial: Hypothesis) -> None:
        self.decoder = decoder
        self.divisors = divisors  # divisors[length - 1], up to the limit
        self.best = initial

    def run(self, memory: Memory, steps: int) -> bool:
        """Search the tree, feeding at most this many prefixes. Return whether the whole tree was searched."""
        device = memory.mask.device
        stack = [_Siblings(self.decoder.init_state(memory), 0, (), [BOS], [0.0])]
        while stack:
            top = stack[-1]
            if not top.tokens or not self._can_improve(top.totals[-1]):
                stack.pop()
                continue
            if steps == 0:
                return False
            count = min(steps, ROWS)
            count = sum(map(self._can_improve, top.totals[-count:]))
            steps -= count
            fed = torch.tensor(top.tokens[-count:], device=device)
            out = self.decoder.step(fed, top.state.select(torch.full_like(fed, top.row)))
            totals = log_probabilities(out.logits, len(top.common) + 1).cpu().double()  # (n, V)
            totals += torch.tensor(top.totals[-count:], dtype=torch.float64)[:, None]
            prefixes = [(*top.common, token) for token in top.tokens[-count:]]
            del top.tokens[-count:], top.totals[-count:]
            stack += self._expand(prefixes, totals, out.state)
        return True

    def _best_score(self) -> float:
        """Return the score that a hypothesis must exceed."""
        return self.best.score if self.best.finished else -math.inf

    def _can_improve(self, total: float) -> bool:
        """Return whether a continuation of a prefix with this log-probability can become the best hypothesis."""
        return self._score(total, len(self.divisors)) > self._best_score()

    def _score(self, total: float, length: int) -> float:
        divisor = self.divisors[length - 1]
        return total / divisor if divisor else -math.inf

    def _expand(self, prefixes: list[tuple[int, ...]], totals: Tensor, state: Any) -> list[_Siblings]:
        """Compare the hypotheses that end after these prefixes with the best one, and return the continuations.

        Args:
            prefixes: The prefixes that were fed, each beginning with BOS.
            totals: (n, V) the log-probability of each prefix with each next token.
            state: The decoder state after the prefixes.
        """
        length = len(prefixes[0])  # of the hypotheses: EOS counts, BOS does not
        ended = totals[:, EOS].tolist()
        for prefix, total in zip(prefixes, ended, strict=True):
            score = self._score(total, length)
            is_known = self.best.finished and prefix[1:] == self.best.tokens  # only the rounding of its score differs
            if score > self._best_score() and not is_known:
                self.best = Hypothesis(prefix[1:], total, score, finished=True)
        if length == len(self.divisors):
            return []
        totals[:, EOS] = -math.inf
        can_improve = (totals / self.divisors[-1]).gt(self._best_score())
        siblings: list[_Siblings] = []
        for row, prefix in enumerate(prefixes):
            tokens = can_improve[row].nonzero().squeeze(1)
            sorted_totals, order = totals[row, tokens].sort()
            siblings.append(_Siblings(state, row, prefix, tokens[order].tolist(), sorted_totals.tolist()))
        return siblings
