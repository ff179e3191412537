import math

import pytest
import torch

from regard.nn.position import SinusoidPositions, sinusoid


def by_formula(position: int, column: int, width: int) -> float:
    angle = position / 10000 ** ((column - column % 2) / width)
    return math.cos(angle) if column % 2 else math.sin(angle)


@pytest.mark.parametrize("width", [2, 6, 8])
def test_the_table_is_the_papers_formula(width: int) -> None:
    expected = torch.tensor(
        [[by_formula(position, column, width) for column in range(width)] for position in range(70)]
    )
    torch.testing.assert_close(sinusoid(70, width), expected, rtol=0, atol=1e-6)


def test_each_position_is_added_to_what_stands_there() -> None:
    x = torch.randn(2, 5, 6)
    torch.testing.assert_close(SinusoidPositions(6)(x), x + sinusoid(5, 6))


def test_a_start_offset_is_the_later_part_of_a_longer_sequence() -> None:
    positions, x = SinusoidPositions(6), torch.randn(2, 9, 6)
    assert torch.equal(positions(x[:, 4:7], start=4), positions(x)[:, 4:7])


@pytest.mark.parametrize(("start", "length"), [(0, 256), (0, 257), (255, 1), (256, 1), (1000, 3)])
def test_the_table_grows_with_the_longest_sequence(start: int, length: int) -> None:
    positions = SinusoidPositions(6)
    x = torch.zeros(1, length, 6)
    expected = sinusoid(start + length, 6)[start:]
    assert torch.equal(positions(x, start)[0], expected)
    assert torch.equal(positions(x[:, :2])[0], sinusoid(min(2, length), 6)), "what was there stays"


def test_a_table_that_grew_keeps_its_type_and_is_no_weight() -> None:
    positions = SinusoidPositions(6).double()
    assert positions(torch.zeros(1, 300, 6, dtype=torch.float64)).dtype == torch.float64
    assert positions.table.dtype == torch.float64
    assert not positions.state_dict()
    assert not list(positions.parameters())


def test_a_table_that_grew_in_a_search_serves_training() -> None:
    positions = SinusoidPositions(6)
    with torch.inference_mode():
        positions(torch.zeros(1, 300, 6))
    x = torch.zeros(1, 300, 6, requires_grad=True)
    positions(x).square().sum().backward()
    assert x.grad is not None
    torch.testing.assert_close(x.grad[0], 2 * sinusoid(300, 6))
