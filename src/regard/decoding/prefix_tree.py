"""The tree of all prefixes of a search, from which hypotheses are read at the end."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from regard.decoding.hypothesis import Hypothesis
from regard.special_tokens import BOS, EOS


@dataclass(frozen=True)
class HypothesisEnd:
    """The end of a hypothesis: a node and its last token, which is EOS unless the length limit cut it."""

    node: int
    token: int
    log_probability: float
    score: float


class PrefixTree:
    """Stores a node for each row of each decoder step.

    A node has the token fed to the decoder, the parent node, and the log-probability of the prefix with this token.

    Steps only append, so reordering a beam copies nothing.
    """

    def __init__(self) -> None:
        self._size = 0
        self._tokens: list[Tensor] = []
        self._parents: list[Tensor] = []
        self._totals: list[Tensor] = []
        self._attention: list[Tensor] = []

    def append(self, tokens: Tensor, parents: Tensor, totals: Tensor, attention: Tensor | None) -> Tensor:
        """Append a step with attention (N, S), or None: see `add`. Return the new nodes (N,)."""
        if attention is not None:
            self._attention.append(attention)
        first = self.add(tokens, parents, totals)
        return torch.arange(first, self._size, device=tokens.device)

    def add(self, tokens: Tensor, parents: Tensor, totals: Tensor) -> int:
        """Append a step without attention. Return the first of the new nodes, which are numbered consecutively.

        Args:
            tokens: (N,) the tokens fed to the decoder.
            parents: (N,) the nodes of the prefixes without them.
            totals: (N,) the log-probabilities of the prefixes with them.
        """
        self._tokens.append(tokens)
        self._parents.append(parents)
        self._totals.append(totals)
        first = self._size
        self._size += len(tokens)
        return first

    def read_hypotheses(self, ends: Sequence[Sequence[HypothesisEnd]], mask: Tensor) -> list[list[Hypothesis]]:
        """Return the hypotheses of each sentence's ends; mask (B, S) is True at real source positions."""
        tokens: list[int] = torch.cat(self._tokens).tolist()
        parents: list[int] = torch.cat(self._parents).tolist()
        totals: list[float] = torch.cat(self._totals).tolist()
        attention = torch.cat(self._attention) if self._attention else None
        lengths: list[int] = mask.sum(1).tolist()

        def read(end: HypothesisEnd, length: int) -> Hypothesis:
            path = [end.node]
            while tokens[path[-1]] != BOS:  # only the first step feeds BOS
                path.append(parents[path[-1]])
            path.reverse()
            finished = end.token == EOS
            sums = [*(totals[node] for node in path), end.log_probability]
            return Hypothesis(
                tokens=(*(tokens[node] for node in path[1:]), *(() if finished else (end.token,))),
                log_probability=end.log_probability,
                score=end.score,
                finished=finished,
                token_log_probabilities=tuple(after - before for before, after in pairwise(sums)),
                attention=None if attention is None else attention[path, :length],
            )

        def empty(length: int) -> Hypothesis:
            no_attention = None if attention is None else attention[:0, :length]
            return Hypothesis((), -math.inf, -math.inf, finished=False, attention=no_attention)

        return [
            [read(end, length) for end in sentence] or [empty(length)]
            for sentence, length in zip(ends, lengths, strict=True)
        ]
