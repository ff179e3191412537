"""The tree of prefixes that a search has gone through, from which hypotheses are read in the end."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from regard.decoding.hypothesis import Hypothesis
from regard.special_tokens import BOS, EOS


@dataclass(frozen=True)
class End:
    """Where a hypothesis ends: at a node, with one token more (EOS, unless the limit cut it)."""

    node: int
    token: int
    log_probability: float
    score: float


class SearchTree:
    """Every row of every decoder step is a node: the token it was fed, and its parent.

    Steps only append; nothing is copied when the rows of a beam change places.
    """

    def __init__(self) -> None:
        self._size = 0
        self._tokens: list[Tensor] = []
        self._parents: list[Tensor] = []
        self._attention: list[Tensor] = []

    def grow(self, tokens: Tensor, parents: Tensor, attention: Tensor | None) -> Tensor:
        """The tokens (N,) fed in a step, under parent nodes (N,), with attention (N, S): to their nodes (N,)."""
        self._tokens.append(tokens)
        self._parents.append(parents)
        if attention is not None:
            self._attention.append(attention)
        nodes = torch.arange(self._size, self._size + len(tokens), device=tokens.device)
        self._size += len(tokens)
        return nodes

    def hypotheses(self, ends: Sequence[Sequence[End]], mask: Tensor) -> list[list[Hypothesis]]:
        """The hypotheses behind each sentence's ends; mask (B, S) says how much of attention is real."""
        tokens: list[int] = torch.cat(self._tokens).tolist()
        parents: list[int] = torch.cat(self._parents).tolist()
        attention = torch.cat(self._attention) if self._attention else None
        lengths: list[int] = mask.sum(1).tolist()

        def read(end: End, length: int) -> Hypothesis:
            path = [end.node]
            while tokens[path[-1]] != BOS:  # only the first step is fed BOS
                path.append(parents[path[-1]])
            path.reverse()
            finished = end.token == EOS
            return Hypothesis(
                tokens=(*(tokens[node] for node in path[1:]), *(() if finished else (end.token,))),
                log_probability=end.log_probability,
                score=end.score,
                finished=finished,
                attention=None if attention is None else attention[path, :length],
            )

        def nothing(length: int) -> Hypothesis:
            looked = None if attention is None else attention[:0, :length]
            return Hypothesis((), -math.inf, -math.inf, finished=False, attention=looked)

        return [
            [read(end, length) for end in found] or [nothing(length)]
            for found, length in zip(ends, lengths, strict=True)
        ]
