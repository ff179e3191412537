"""What every search hands back."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Hypothesis:
    """One target that a search found.

    tokens: without BOS and without EOS.
    log_probability: the sum over its tokens, EOS included where it is finished.
    score: log_probability after the length penalty; what hypotheses are ranked by.
    finished: False where the length limit cut it before its EOS.
    attention: (T, S), a distribution over the S source positions for each of the T decoder steps (one a
        token, and one for EOS where it is finished); None where it was not asked for or there is none.
    proved: whether exact search has shown that no finished one within the limit has a greater score; None where
        that was not asked.
    """

    tokens: tuple[int, ...]
    log_probability: float
    score: float
    finished: bool
    attention: Tensor | None = None
    proved: bool | None = None
