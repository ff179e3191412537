"""Logits processors: functions that change the log-probabilities of the next tokens during search.

A processor sees the tokens generated so far. Minus infinity forbids a token. Processors that only forbid tokens leave
the log-probability of the hypotheses as the model gives it.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from regard.special_tokens import EOS

Phrase = Sequence[int]  # tokens, at least one


@dataclass(frozen=True)
class PrefixTokens:
    """The tokens of N prefixes.

    Attributes:
        tokens: (N, t) without BOS.
        sentence: (N,) the index in the batch of the sentence that each prefix translates.
    """

    tokens: Tensor
    sentence: Tensor


class LogitsProcessor:
    """Base class, a no-op. Override the methods that your processor needs.

    Attributes:
        needs_attention: Whether `final_score_bonus` is called, which needs the attention of every step.
    """

    needs_attention: bool = False

    def __call__(self, scores: Tensor, prefixes: PrefixTokens) -> Tensor:
        """Return new log-probabilities of the next tokens, given scores (N, V), which may be changed in place."""
        return scores

    def forced_tokens(self, prefixes: PrefixTokens) -> Tensor | None:
        """Return next tokens (N, k) to try whatever their rank. A row with fewer than k repeats one, or has -1."""
        return None

    def constraint_progress(self, prefixes: PrefixTokens) -> Tensor | None:
        """Return how many required tokens each prefix has, (N,). A beam keeps a share for each level of progress."""
        return None

    def final_score_bonus(self, attention_sum: Tensor, mask: Tensor) -> Tensor | None:
        """Return what is added to the score of a hypothesis when it ends: (N,), never positive.

        Args:
            attention_sum: (N, S) the sum of the attention of all steps, including that of EOS.
            mask: (N, S) True at real source positions.
        """
        return None


class LogitsProcessorList(LogitsProcessor):
    """Several processors, applied one after another."""

    def __init__(self, processors: Sequence[LogitsProcessor]) -> None:
        self.processors = tuple(processors)
        self.needs_attention = any(processor.needs_attention for processor in processors)

    def __call__(self, scores: Tensor, prefixes: PrefixTokens) -> Tensor:
        """Apply each processor to the result of the one before."""
        for processor in self.processors:
            scores = processor(scores, prefixes)
        return scores

    def forced_tokens(self, prefixes: PrefixTokens) -> Tensor | None:
        """Return the forced tokens of all processors."""
        parts = [part for processor in self.processors if (part := processor.forced_tokens(prefixes)) is not None]
        return torch.cat(parts, 1) if parts else None

    def constraint_progress(self, prefixes: PrefixTokens) -> Tensor | None:
        """Return the sum over all processors."""
        parts = [part for processor in self.processors if (part := processor.constraint_progress(prefixes)) is not None]
        return torch.stack(parts).sum(0) if parts else None

    def final_score_bonus(self, attention_sum: Tensor, mask: Tensor) -> Tensor | None:
        """Return the sum over all processors."""
        bonuses = (processor.final_score_bonus(attention_sum, mask) for processor in self.processors)
        parts = [part for part in bonuses if part is not None]
        return torch.stack(parts).sum(0) if parts else None


class CoveragePenalty(LogitsProcessor):
    """GNMT's coverage penalty: beta sum_j log(min(sum_i a_ij, 1)) (Wu et al. 2016, eq. 14)."""

    needs_attention = True

    def __init__(self, beta: float) -> None:
        self.beta = beta

    def final_score_bonus(self, attention_sum: Tensor, mask: Tensor) -> Tensor:
        """Return the penalty for source positions with a total attention below 1."""
        smallest = torch.finfo(attention_sum.dtype).tiny
        return self.beta * attention_sum.clamp(smallest, 1).log().masked_fill(~mask, 0).sum(-1)


class ForbiddenPhrases(LogitsProcessor):
    """Forbids phrases; each sentence of the batch has its own list."""

    def __init__(self, phrases: Sequence[Sequence[Phrase]]) -> None:
        self.phrases = phrases

    def __call__(self, scores: Tensor, prefixes: PrefixTokens) -> Tensor:
        """Forbid the last token of a phrase after its other tokens."""
        sentences, tokens = prefixes.sentence.tolist(), prefixes.tokens.tolist()
        for row, (sentence, prefix) in enumerate(zip(sentences, tokens, strict=True)):
            for phrase in self.phrases[sentence]:
                *first, last = phrase
                if prefix[len(prefix) - len(first) :] == first:
                    scores[row, last] = -math.inf
        return scores


class NoRepeatNGram(LogitsProcessor):
    """Forbids the repetition of any sequence of n tokens."""

    def __init__(self, n: int) -> None:
        self.n = n

    def __call__(self, scores: Tensor, prefixes: PrefixTokens) -> Tensor:
        """Forbid the tokens that followed earlier occurrences of the last n - 1 tokens."""
        length, context = prefixes.tokens.size(1), self.n - 1
        if length < self.n:
            return scores
        ngrams = prefixes.tokens.unfold(1, self.n, 1)  # (N, t - n + 1, n)
        is_same = ngrams[:, :, :context].eq(prefixes.tokens[:, None, length - context :]).all(2)
        rows, places = is_same.nonzero(as_tuple=True)
        scores[rows, ngrams[rows, places, context]] = -math.inf
        return scores


class ForcedPrefix(LogitsProcessor):
    """Makes each target begin with given tokens; each sentence of the batch has its own prefix, perhaps empty."""

    def __init__(self, prefixes: Sequence[Sequence[int]], not_next: Sequence[Collection[int]] = ()) -> None:
        """Create the processor.

        Args:
            prefixes: The prefix of each sentence.
            not_next: For each sentence, the tokens that must not follow its prefix. Default: none.
        """
        self.prefixes = prefixes
        self.not_next = [sorted(tokens) for tokens in not_next] or [[] for _ in prefixes]

    def __call__(self, scores: Tensor, prefixes: PrefixTokens) -> Tensor:
        """Forbid all tokens but the next one of the prefix, which keeps its log-probability."""
        position = prefixes.tokens.size(1)
        for row, sentence in enumerate(prefixes.sentence.tolist()):
            prefix = self.prefixes[sentence]
            if position == len(prefix):
                scores[row, self.not_next[sentence]] = -math.inf
            if position < len(prefix):
                score = scores[row, prefix[position]].clone()
                scores[row] = -math.inf
                scores[row, prefix[position]] = score
        return scores


class RequiredPhrases(LogitsProcessor):
    """Requires phrases; each sentence of the batch has its own list (Post and Vilar 2018).

    EOS is forbidden until all phrases have appeared. The next token of each phrase is always tried. The beam keeps a
    share for each level of progress, so that prefixes with many required tokens survive.
    """

    def __init__(self, phrases: Sequence[Sequence[Phrase]]) -> None:
        self.phrases = [[list(phrase) for phrase in sentence] for sentence in phrases]
        self.max_phrases = max((len(sentence) for sentence in self.phrases), default=0)

    def __call__(self, scores: Tensor, prefixes: PrefixTokens) -> Tensor:
        """Forbid EOS in rows that lack a phrase."""
        for row, (phrases, prefix) in enumerate(self._rows(prefixes)):
            if any(_progress(prefix, phrase) < len(phrase) for phrase in phrases):
                scores[row, EOS] = -math.inf
        return scores

    def forced_tokens(self, prefixes: PrefixTokens) -> Tensor | None:
        """Return the next token of each incomplete phrase."""
        if not self.max_phrases:
            return None
        forced = torch.full((len(prefixes.sentence), self.max_phrases), -1, dtype=torch.long)
        for row, (phrases, prefix) in enumerate(self._rows(prefixes)):
            for column, phrase in enumerate(phrases):
                progress = _progress(prefix, phrase)
                if progress < len(phrase):
                    forced[row, column] = phrase[progress]
        return forced.to(prefixes.tokens.device)

    def constraint_progress(self, prefixes: PrefixTokens) -> Tensor | None:
        """Return the number of tokens of complete and started phrases in each prefix."""
        if not self.max_phrases:
            return None
        counts = [sum(_progress(prefix, phrase) for phrase in phrases) for phrases, prefix in self._rows(prefixes)]
        return torch.tensor(counts, device=prefixes.tokens.device)

    def _rows(self, prefixes: PrefixTokens) -> list[tuple[list[list[int]], list[int]]]:
        """Return the phrases and the tokens of each row."""
        sentences, tokens = prefixes.sentence.tolist(), prefixes.tokens.tolist()
        return [(self.phrases[sentence], prefix) for sentence, prefix in zip(sentences, tokens, strict=True)]


def _progress(tokens: list[int], phrase: list[int]) -> int:
    """Return how many tokens of a phrase have appeared: all, or those of its longest beginning at the end of tokens."""
    size = len(phrase)
    if any(tokens[start : start + size] == phrase for start in range(len(tokens) - size + 1)):
        return size
    return next(
        length
        for length in range(size - 1, -1, -1)
        if length <= len(tokens) and tokens[len(tokens) - length :] == phrase[:length]
    )
