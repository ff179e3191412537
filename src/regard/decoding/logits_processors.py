"""What bends a search: functions from the next tokens' log-probabilities to others, which compose.

A guide sees what is written so far. Minus infinity forbids a token. Guides that only forbid leave the log-probability
of what is found as the model gives it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from regard.special_tokens import EOS

Phrase = Sequence[int]  # tokens, at least one


@dataclass(frozen=True)
class Written:
    """What N rows have written: tokens (N, t) without BOS, and which sentence of the batch each is of, (N,)."""

    tokens: Tensor
    sentence: Tensor


class Guide:
    """Bends nothing; a guide overrides what it needs."""

    def __call__(self, scores: Tensor, written: Written) -> Tensor:
        """Log-probabilities (N, V) of the next tokens, which may be changed in place, to others."""
        return scores

    def wanted(self, written: Written) -> Tensor | None:
        """Next tokens (N, k) that must be tried whatever their rank; a row with fewer repeats one, or has -1."""
        return None

    def met(self, written: Written) -> Tensor | None:
        """How much of what it requires each row has (N,): a beam is shared among rows that have less and more."""
        return None

    def at_end(self, covered: Tensor, mask: Tensor) -> Tensor | None:
        """What is added to the score of a hypothesis that ends, (N,) and never positive.

        covered (N, S): the sum of its attention over all its steps, EOS's among them; mask (N, S). Only asked
        where `reads_attention`.
        """
        return None

    reads_attention: bool = False


class Guides(Guide):
    """Several, one after another."""

    def __init__(self, guides: Sequence[Guide]) -> None:
        self.guides = tuple(guides)
        self.reads_attention = any(guide.reads_attention for guide in guides)

    def __call__(self, scores: Tensor, written: Written) -> Tensor:
        """Each on what the one before it gave."""
        for guide in self.guides:
            scores = guide(scores, written)
        return scores

    def wanted(self, written: Written) -> Tensor | None:
        """What any wants."""
        found = [tokens for guide in self.guides if (tokens := guide.wanted(written)) is not None]
        return torch.cat(found, 1) if found else None

    def met(self, written: Written) -> Tensor | None:
        """The sum over all."""
        found = [part for guide in self.guides if (part := guide.met(written)) is not None]
        return torch.stack(found).sum(0) if found else None

    def at_end(self, covered: Tensor, mask: Tensor) -> Tensor | None:
        """The sum over all."""
        found = [part for guide in self.guides if (part := guide.at_end(covered, mask)) is not None]
        return torch.stack(found).sum(0) if found else None


class Coverage(Guide):
    """GNMT's coverage penalty: beta sum_j log(min(sum_i a_ij, 1)) (Wu et al. 2016)."""

    reads_attention = True

    def __init__(self, beta: float) -> None:
        self.beta = beta

    def at_end(self, covered: Tensor, mask: Tensor) -> Tensor:
        """What the source positions that were looked at too little cost."""
        least = torch.finfo(covered.dtype).tiny
        return self.beta * covered.clamp(least, 1).log().masked_fill(~mask, 0).sum(-1)


class Forbid(Guide):
    """Phrases that must not appear, for each sentence of the batch its own."""

    def __init__(self, phrases: Sequence[Sequence[Phrase]]) -> None:
        self.phrases = phrases

    def __call__(self, scores: Tensor, written: Written) -> Tensor:
        """The last token of a phrase is forbidden where the others have just been written."""
        for row, (sentence, tokens) in enumerate(zip(written.sentence.tolist(), written.tokens.tolist(), strict=True)):
            for phrase in self.phrases[sentence]:
                *first, last = phrase
                if tokens[len(tokens) - len(first) :] == first:
                    scores[row, last] = -math.inf
        return scores


class NoRepeat(Guide):
    """No n tokens in a row twice."""

    def __init__(self, n: int) -> None:
        self.n = n

    def __call__(self, scores: Tensor, written: Written) -> Tensor:
        """Forbids what followed an earlier occurrence of the last n - 1 tokens."""
        length, before = written.tokens.size(1), self.n - 1
        if length < self.n:
            return scores
        grams = written.tokens.unfold(1, self.n, 1)  # (N, t - n + 1, n)
        same = grams[:, :, :before].eq(written.tokens[:, None, length - before :]).all(2)
        rows, places = same.nonzero(as_tuple=True)
        scores[rows, grams[rows, places, before]] = -math.inf
        return scores


class ForcedPrefix(Guide):
    """Each target begins with the given tokens, for each sentence of the batch its own (none: an empty one)."""

    def __init__(self, prefixes: Sequence[Sequence[int]]) -> None:
        self.prefixes = prefixes

    def __call__(self, scores: Tensor, written: Written) -> Tensor:
        """Forbids all but the next of them; its log-probability stays."""
        place = written.tokens.size(1)
        for row, sentence in enumerate(written.sentence.tolist()):
            prefix = self.prefixes[sentence]
            if place < len(prefix):
                kept = scores[row, prefix[place]].clone()
                scores[row] = -math.inf
                scores[row, prefix[place]] = kept
        return scores


class Require(Guide):
    """Phrases that must appear, for each sentence of the batch its own (Post and Vilar 2018).

    EOS is forbidden until all have appeared; the next token of each is always tried; and a beam is shared among
    prefixes that have more and fewer of the tokens that are required, so that those with more are not crowded out.
    """

    def __init__(self, phrases: Sequence[Sequence[Phrase]]) -> None:
        self.phrases = [[list(phrase) for phrase in own] for own in phrases]
        self.most = max((len(own) for own in self.phrases), default=0)

    def __call__(self, scores: Tensor, written: Written) -> Tensor:
        """Forbids EOS to rows that lack a phrase."""
        for row, (own, tokens) in enumerate(self._rows(written)):
            if any(_progress(tokens, phrase) < len(phrase) for phrase in own):
                scores[row, EOS] = -math.inf
        return scores

    def wanted(self, written: Written) -> Tensor | None:
        """The next token of each phrase that is not complete."""
        if not self.most:
            return None
        found = torch.full((len(written.sentence), self.most), -1, dtype=torch.long)
        for row, (own, tokens) in enumerate(self._rows(written)):
            for place, phrase in enumerate(own):
                done = _progress(tokens, phrase)
                if done < len(phrase):
                    found[row, place] = phrase[done]
        return found.to(written.tokens.device)

    def met(self, written: Written) -> Tensor | None:
        """How many tokens of the phrases there are, those of one that is under way among them."""
        if not self.most:
            return None
        counts = [sum(_progress(tokens, phrase) for phrase in own) for own, tokens in self._rows(written)]
        return torch.tensor(counts, device=written.tokens.device)

    def _rows(self, written: Written) -> list[tuple[list[list[int]], list[int]]]:
        sentences, tokens = written.sentence.tolist(), written.tokens.tolist()
        return [(self.phrases[sentence], row) for sentence, row in zip(sentences, tokens, strict=True)]


def _progress(tokens: list[int], phrase: list[int]) -> int:
    """How much of a phrase has appeared: all of it anywhere, or its longest beginning that is the end of the tokens."""
    size = len(phrase)
    if any(tokens[start : start + size] == phrase for start in range(len(tokens) - size + 1)):
        return size
    return next(
        part
        for part in range(size - 1, -1, -1)
        if part <= len(tokens) and tokens[len(tokens) - part :] == phrase[:part]
    )
