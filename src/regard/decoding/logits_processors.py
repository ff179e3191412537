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

Phrase = Sequence[int]  # tokens, at least one


@dataclass(frozen=True)
class PrefixTokens:
    """The tokens of N prefixes.

    Attributes:
        tokens: (N, t) without BOS.
        sentence: (N,) the index in the batch of the sentence that each prefix translates.
        parents: (N,) the prefix of the last step that each of these extends by a token; None: unknown.
    """

    tokens: Tensor
    sentence: Tensor
    parents: Tensor | None = None


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

    def next_progress(self, prefixes: PrefixTokens, ids: Tensor) -> Tensor | None:
        """Return `constraint_progress` (N, k) of each prefix extended by each of the tokens ids (N, k)."""
        if self.constraint_progress(prefixes) is None:
            return None
        count = ids.size(1)
        longer = torch.cat((prefixes.tokens.repeat_interleave(count, 0), ids.flatten()[:, None]), 1)  # (N * k, t + 1)
        progress = self.constraint_progress(PrefixTokens(longer, prefixes.sentence.repeat_interleave(count, 0)))
        return None if progress is None else progress.view_as(ids)

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

    def next_progress(self, prefixes: PrefixTokens, ids: Tensor) -> Tensor | None:
        """Return the sum over all processors."""
        parts = [part for processor in self.processors if (part := processor.next_progress(prefixes, ids)) is not None]
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
        self._tokens: list[list[int]] = []  # that are phrases
        self._endings: list[dict[int, list[tuple[list[int], int]]]] = []  # by the token before: all before, last token
        for sentence in phrases:
            self._tokens.append([phrase[0] for phrase in sentence if len(phrase) == 1])
            endings: dict[int, list[tuple[list[int], int]]] = {}
            for *before, last in sentence:
                if before:
                    endings.setdefault(before[-1], []).append((before, last))
            self._endings.append(endings)

    def __call__(self, scores: Tensor, prefixes: PrefixTokens) -> Tensor:
        """Forbid the last token of a phrase after its other tokens."""
        sentences = prefixes.sentence.tolist()
        rows: list[int] = []
        tokens: list[int] = []
        for row, sentence in enumerate(sentences):
            rows += [row] * len(self._tokens[sentence])
            tokens += self._tokens[sentence]
        last_tokens = prefixes.tokens[:, -1].tolist() if prefixes.tokens.size(1) else []
        for row, (sentence, last_token) in enumerate(zip(sentences, last_tokens, strict=False)):
            for before, token in self._endings[sentence].get(last_token, ()):
                if prefixes.tokens[row, -len(before) :].tolist() == before:
                    rows.append(row)
                    tokens.append(token)
        if rows:
            scores[rows, tokens] = -math.inf
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
