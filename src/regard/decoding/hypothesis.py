"""The result of a search."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Hypothesis:
    """A target that a search has found.

    Attributes:
        tokens: The target tokens, without BOS and EOS.
        log_probability: The sum over the tokens, and over EOS if finished, in nats.
        score: The log-probability after the length penalty, by which hypotheses are ranked.
        finished: False if the length limit cut the hypothesis before its EOS.
        attention: (T, S) a distribution over the S source positions for each of the T decoder steps: one for each
            token, and one for EOS if finished. None if it was not requested or the model has none.
        proved: Whether exact search has proved that no finished hypothesis within the limit has a greater score;
            None after other searches.
        token_log_probabilities: That of each token, and of EOS if finished, in nats; empty if exact search found it.
    """

    tokens: tuple[int, ...]
    log_probability: float
    score: float
    finished: bool
    attention: Tensor | None = None
    proved: bool | None = None
    token_log_probabilities: tuple[float, ...] = ()
