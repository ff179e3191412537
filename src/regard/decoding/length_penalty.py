"""Length penalties: functions of a hypothesis' length by which its log-probability is divided."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

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


@dataclass(frozen=True)
class _WithoutEmpty:
    penalty: LengthPenalty

    def __call__(self, lengths: Tensor) -> Tensor:
        return self.penalty(lengths).masked_fill(lengths.le(1), 0)


def without_empty(penalty: LengthPenalty) -> LengthPenalty:
    """Return the same penalty with divisor 0 for a hypothesis of length 1, which is EOS alone."""
    return _WithoutEmpty(penalty)


def for_unfinished(penalty: LengthPenalty) -> LengthPenalty:
    """Return the penalty of prefixes that have no EOS: one of length 1 holds a token, so it is never empty."""
    return penalty.penalty if isinstance(penalty, _WithoutEmpty) else penalty


def _check(alpha: float) -> None:
    if not alpha >= 0:
        raise DecodingError(f"the length penalty is {alpha}", fix="give a number that is not negative")
