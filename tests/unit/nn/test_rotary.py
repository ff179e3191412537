import math

import pytest
import torch
from torch import Tensor

from regard.nn.rotary import RotaryPositions


def values(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)


def exact(width: int) -> RotaryPositions:
    """With its table in float64."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        return RotaryPositions(width)
    finally:
        torch.set_default_dtype(before)


@pytest.mark.parametrize("width", [2, 6, 8])
@pytest.mark.parametrize("at", [None, 0, 3, 300])
def test_each_pair_is_turned_by_its_angle(width: int, at: int | None) -> None:
    x = values(2, 5, 3, width)
    turned = exact(width)(x) if at is None else exact(width).at(x, at)
    for row in range(2):
        for position in range(5):
            for head in range(3):
                for i in range(width // 2):
                    angle = (position if at is None else at) / 10000 ** (2 * i / width)
                    a, b = x[row, position, head, 2 * i : 2 * i + 2].tolist()
                    expected = [a * math.cos(angle) - b * math.sin(angle), b * math.cos(angle) + a * math.sin(angle)]
                    # the table grows with the type that it had, so no digit is lost
                    assert turned[row, position, head, 2 * i : 2 * i + 2].tolist() == pytest.approx(expected, abs=1e-12)


def test_a_product_knows_only_how_far_apart_its_two_are() -> None:
    rotary, query, key = exact(8), values(1, 1, 1, 8), values(2, 1, 1, 8)[1:]

    def product(at: int, other: int) -> float:
        return float((rotary.at(query, at) * rotary.at(key, other)).sum())

    for apart in range(6):
        assert product(apart, 0) == pytest.approx(product(apart + 50, 50), abs=1e-12)
        assert product(apart, 0) != pytest.approx(product(apart + 1, 0), abs=1e-3)


def test_its_gradient_is_that_of_a_rotation() -> None:
    rotary, x = exact(4), values(2, 3, 2, 4).requires_grad_()
    torch.autograd.gradcheck(rotary, x)


@pytest.mark.parametrize("length", [256, 257, 1003])
def test_the_table_grows_with_the_longest_sequence(length: int) -> None:
    rotary, long = RotaryPositions(6), RotaryPositions(6)
    x = torch.randn(1, length, 1, 6)
    assert long(x).shape == x.shape
    torch.testing.assert_close(rotary.at(x[:, -1:], length - 1), long(x)[:, -1:])
    torch.testing.assert_close(rotary(x[:, :2]), long(x)[:, :2], msg="what was there stays")


def test_a_table_that_grew_keeps_its_type_and_is_no_weight() -> None:
    rotary = RotaryPositions(6).double()
    assert rotary(torch.zeros(1, 300, 1, 6, dtype=torch.float64)).dtype == torch.float64
    assert rotary.table.dtype == torch.float64
    assert not rotary.state_dict()
    assert not list(rotary.parameters())


def test_a_table_that_grew_in_a_search_serves_training() -> None:
    rotary = RotaryPositions(6)
    with torch.inference_mode():
        rotary(torch.zeros(1, 300, 1, 6))
    x = torch.randn(1, 300, 1, 6, requires_grad=True)
    rotary(x).square().sum().backward()
    assert x.grad is not None
    torch.testing.assert_close(x.grad, 2 * x.detach())  # a rotation changes no length
