import math

import pytest
import torch
from torch import Tensor

from regard.nn.attention_memory import Positions
from regard.nn.rotary import RotaryPositions


def values(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)


def first(length: int) -> Positions:
    """Positions 0 to length - 1."""
    return Positions(slice(0, length), length)


def at(position: int) -> Positions:
    return Positions(slice(position, position + 1), position + 1)


def float64_rotary(size: int) -> RotaryPositions:
    """Rotary positions with a table in float64."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        return RotaryPositions(size)
    finally:
        torch.set_default_dtype(before)


@pytest.mark.parametrize("size", [2, 6, 8])
@pytest.mark.parametrize("start", [None, 0, 3, 300])
def test_each_pair_is_rotated_by_its_angle(size: int, start: int | None) -> None:
    x = values(2, 5, 3, size)
    rotated = float64_rotary(size)(x, first(5) if start is None else at(start))
    for row in range(2):
        for position in range(5):
            for head in range(3):
                for i in range(size // 2):
                    angle = (position if start is None else start) / 10000 ** (2 * i / size)
                    a, b = x[row, position, head, 2 * i : 2 * i + 2].tolist()
                    expected = [a * math.cos(angle) - b * math.sin(angle), b * math.cos(angle) + a * math.sin(angle)]
                    # the table grows in the dtype that it had, so no digit is lost
                    assert rotated[row, position, head, 2 * i : 2 * i + 2].tolist() == pytest.approx(
                        expected, abs=1e-12
                    )


def test_rows_of_packed_sequences_are_rotated_by_their_own_positions() -> None:
    rotary, x, positions = float64_rotary(6), values(1, 5, 2, 6), torch.tensor([0, 1, 0, 300, 2])
    rotated = rotary(x, Positions(positions, 301))
    for row, position in enumerate(positions.tolist()):
        torch.testing.assert_close(rotated[:, row], rotary(x[:, row : row + 1], at(position))[:, 0])


def test_the_product_of_query_and_key_depends_on_their_distance_only() -> None:
    rotary, query, key = float64_rotary(8), values(1, 1, 1, 8), values(2, 1, 1, 8)[1:]

    def product(query_position: int, key_position: int) -> float:
        return float((rotary(query, at(query_position)) * rotary(key, at(key_position))).sum())

    for distance in range(6):
        assert product(distance, 0) == pytest.approx(product(distance + 50, 50), abs=1e-12)
        assert product(distance, 0) != pytest.approx(product(distance + 1, 0), abs=1e-3)


def test_the_gradient_passes_gradcheck() -> None:
    rotary, x = float64_rotary(4), values(2, 3, 2, 4).requires_grad_()
    torch.autograd.gradcheck(lambda x: rotary(x, first(3)), x)


@pytest.mark.parametrize("length", [256, 257, 1003])
def test_the_table_grows_with_the_longest_sequence(length: int) -> None:
    rotary, grown = RotaryPositions(6), RotaryPositions(6)
    x = torch.randn(1, length, 1, 6)
    assert grown(x, first(length)).shape == x.shape
    torch.testing.assert_close(rotary(x[:, -1:], at(length - 1)), grown(x, first(length))[:, -1:])
    torch.testing.assert_close(rotary(x[:, :2], first(2)), grown(x, first(length))[:, :2])


def test_a_grown_table_keeps_its_dtype_and_is_not_in_the_state_dict() -> None:
    rotary = RotaryPositions(6).double()
    assert rotary(torch.zeros(1, 300, 1, 6, dtype=torch.float64), first(300)).dtype == torch.float64
    assert rotary.table.dtype == torch.float64
    assert not rotary.state_dict()
    assert not list(rotary.parameters())


def test_a_table_that_grew_in_a_search_can_be_used_in_training() -> None:
    rotary = RotaryPositions(6)
    with torch.inference_mode():
        rotary(torch.zeros(1, 300, 1, 6), first(300))
    x = torch.randn(1, 300, 1, 6, requires_grad=True)
    rotary(x, first(300)).square().sum().backward()
    assert x.grad is not None
    torch.testing.assert_close(x.grad, 2 * x.detach())  # a rotation changes no length


def test_values_in_16_bits_are_rotated_in_float32() -> None:
    rotary = RotaryPositions(6)
    x = values(2, 5, 3, 6).float()
    for dtype in (torch.bfloat16, torch.float16):
        rotated = rotary(x.to(dtype), first(5))
        assert rotated.dtype == dtype
        assert torch.equal(rotated, rotary(x.to(dtype).float(), first(5)).to(dtype))
