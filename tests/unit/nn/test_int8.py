import pytest
import torch
from torch import nn

from regard.nn import int8
from regard.nn.int8 import Int8Linear

pytestmark = pytest.mark.skipif(not int8.available(), reason="needs oneDNN's 8-bit products")


@pytest.mark.parametrize("shape", [(3, 5), (40,), (1,), ()])
@pytest.mark.parametrize("bias", [True, False])
def test_it_is_near_the_linear_layer(shape: tuple[int, ...], bias: bool) -> None:
    torch.manual_seed(1)
    linear = nn.Linear(64, 200, bias=bias).requires_grad_(False)
    x = torch.randn(*shape, 64)
    exact, found = linear(x), Int8Linear(linear.weight, linear.bias)(x)
    assert found.shape == exact.shape
    assert (found - exact).abs().max() < 0.06
    assert exact.abs().max() > 1


def test_it_is_the_product_of_whole_numbers() -> None:
    weight, x = torch.tensor([[127.0, -3, 0], [-127, 127, 64]]), torch.tensor([[127.0, 5, -80], [0, 0, 0]])
    assert Int8Linear(weight, torch.tensor([1.0, 2]))(x).tolist() == [[16115.0, -20612.0], [1.0, 2.0]]


def test_a_row_does_not_depend_on_its_neighbours() -> None:
    linear = Int8Linear(torch.randn(50, 32), torch.randn(50))
    x = torch.randn(9, 32) * torch.logspace(-3, 3, 9)[:, None]
    together = linear(x)
    for row in range(9):
        assert torch.equal(linear(x[row : row + 1]), together[row : row + 1])
