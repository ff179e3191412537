"""Length penalties: functions of the length of a hypothesis that divide its log-probability."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from regard.errors import DecodingError

LengthPenalty = Callable[[Tensor], Tensor]
"""Maps lengths |Y|, EOS included, of any shape and as floats, to divisors; 0 forbids a length.

The divisor never decreases with the length: beam search relies on this when it decides to stop.
"""


def no_penalty(lengths: Tensor) -> Tensor:
    """Return 1, so that the score is the log-probability."""
    return torch.ones_like(lengths)


def average(alpha: float) -> LengthPenalty:
    """Return the penalty |Y| ** alpha. With alpha 1, the score is the mean log-probability of a token.

    Raises DecodingError if alpha is negative.
    """
    _check_alpha(alpha)
    return _Average(alpha)


def gnmt(alpha: float) -> LengthPenalty:
    """Return the penalty lp(Y) = ((5 + |Y|) / 6) ** alpha (Wu et al. 2016, eq. 14). With alpha 0 it has no effect.

    Raises DecodingError if alpha is negative.
    """
    _check_alpha(alpha)
    return _Gnmt(alpha)


@dataclass(frozen=True)
class _Average:
    alpha: float

    def __call__(self, lengths: Tensor) -> Tensor:
        return lengths**self.alpha


@dataclass(frozen=True)
class _Gnmt:
    alpha: float

    def __call__(self, lengths: Tensor) -> Tensor:
        return ((5 + lengths) / 6) ** self.alpha


@dataclass(frozen=True)
class _ForbidEmpty:
    penalty: LengthPenalty

    def __call__(self, lengths: Tensor) -> Tensor:
        return self.penalty(lengths).masked_fill(lengths.le(1), 0)


def forbid_empty(penalty: LengthPenalty) -> LengthPenalty:
    """Return the same penalty, but with divisor 0 for length 1, which is EOS alone."""
    return _ForbidEmpty(penalty)


def penalty_for_unfinished(penalty: LengthPenalty) -> LengthPenalty:
    """Return the penalty for prefixes without EOS: one of length 1 holds a token, so it is not empty."""
    return penalty.penalty if isinstance(penalty, _ForbidEmpty) else penalty


@lru_cache(maxsize=4096)
def divisor(penalty: LengthPenalty, length: int, dtype: torch.dtype) -> float:
    """Return the divisor of one length, at most the largest number of `dtype`: minus infinity / infinity is NaN.

    PyTorch's power of a tensor is rounded differently at different places of it, so each length is computed alone: a
    score must not depend on the batch.
    """
    return min(float(penalty(torch.tensor([length], dtype=dtype))), torch.finfo(dtype).max)


def _check_alpha(alpha: float) -> None:
    if not alpha >= 0:
        raise DecodingError(f"length_penalty is {alpha}", fix="set it to 0 or more")
