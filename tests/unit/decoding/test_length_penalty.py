from __future__ import annotations

import math

import pytest
import torch

from regard.decoding import length_penalty
from regard.errors import DecodingError


def test_gnmt_is_equation_14() -> None:
    lengths = torch.tensor([1.0, 7.0, 13.0])
    torch.testing.assert_close(length_penalty.gnmt(2.0)(lengths), torch.tensor([1.0, 4.0, 9.0]))
    torch.testing.assert_close(length_penalty.gnmt(0.5)(torch.tensor([19.0])), torch.tensor([2.0]))


def test_average_divides_by_the_length() -> None:
    torch.testing.assert_close(length_penalty.average(1.0)(torch.tensor([1.0, 7.0])), torch.tensor([1.0, 7.0]))
    torch.testing.assert_close(length_penalty.average(0.5)(torch.tensor([16.0])), torch.tensor([4.0]))


def test_no_penalty_divides_by_one() -> None:
    lengths = torch.arange(1.0, 30.0)
    assert length_penalty.no_penalty(lengths).eq(1).all()
    assert length_penalty.gnmt(0)(lengths).eq(1).all()


@pytest.mark.parametrize("alpha", [60, 1000, float("inf")])
def test_a_divisor_is_finite(alpha: float) -> None:
    for penalty in (length_penalty.gnmt(alpha), length_penalty.average(alpha)):
        divisors = [length_penalty.divisor(penalty, length, torch.float32) for length in range(1, 40)]
        assert all(map(math.isfinite, divisors)) and divisors == sorted(divisors)
        assert torch.tensor(divisors, dtype=torch.float32).tolist() == divisors
    ordinary = length_penalty.gnmt(0.6)
    for length in (1, 7, 300):
        exact = float(ordinary(torch.tensor([length], dtype=torch.float32)))
        assert length_penalty.divisor(ordinary, length, torch.float32) == exact


@pytest.mark.parametrize("alpha", [-0.1, float("nan")])
def test_a_penalty_that_decreases_with_length_is_an_error(alpha: float) -> None:
    for penalty in (length_penalty.gnmt, length_penalty.average):
        with pytest.raises(DecodingError, match="length_penalty"):
            penalty(alpha)
