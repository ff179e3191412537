"""Length penalties: functions of a hypothesis' length by which its log-probability is divided."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from regard.errors import DecodingError

LengthPenalty = Callable[[Tensor], Tensor]
"""Lengths |Y| of any shape, EOS counted, as floats, to divisors of that shape: 0 where none may be so short, else more.

The divisor never falls as the length grows: beam search relies on it when it decides to stop.
"""


def none(lengths: Tensor) -> Tensor:
    """Rank by the log-probability itself."""
    return torch.ones_like(lengths)


def average(alpha: float) -> LengthPenalty:
    """|Y| ** alpha; alpha 1 ranks by the mean log-probability of a token.

    Raises DecodingError where alpha is negative.
    """
    _check(alpha)
    return lambda lengths: lengths**alpha


def gnmt(alpha: float) -> LengthPenalty:
    """lp(Y) = ((5 + |Y|) / 6) ** alpha (Wu et al. 2016); alpha 0 is no penalty.

    Raises DecodingError where alpha is negative.
    """
    _check(alpha)
    return lambda lengths: ((5 + lengths) / 6) ** alpha


def without_empty(penalty: LengthPenalty) -> LengthPenalty:
    """The same, and 0 for EOS alone."""
    return lambda lengths: penalty(lengths).masked_fill(lengths.le(1), 0)


def _check(alpha: float) -> None:
    if not alpha >= 0:
        raise DecodingError(f"the length penalty is {alpha}", fix="give a number that is not negative")
