import pytest
import torch
from torch import Tensor

from regard.nn.norm import RMSNorm


def values(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)


def norms(width: int) -> tuple[RMSNorm, torch.nn.RMSNorm]:
    """Ours and PyTorch's with the same gain."""
    ours, theirs = RMSNorm(width).double(), torch.nn.RMSNorm(width, eps=1e-6, dtype=torch.float64)
    gain = values(width)
    with torch.no_grad():
        ours.weight.copy_(gain)
        theirs.weight.copy_(gain)
    return ours, theirs


@pytest.mark.parametrize("shape", [(6,), (1, 6), (3, 5, 6), (2, 3, 4, 6)])
@pytest.mark.parametrize("size", [1.0, 1e-4, 1e4])
def test_values_and_gradients_are_those_of_torch(shape: tuple[int, ...], size: float) -> None:
    ours, theirs = norms(6)
    x = (size * values(*shape)).requires_grad_()
    other = x.detach().clone().requires_grad_()
    out, expected = ours(x), theirs(other)
    torch.testing.assert_close(out, expected, rtol=1e-12, atol=0)
    weight = values(3, *shape)[2]
    (out * weight).sum().backward()
    (expected * weight).sum().backward()
    torch.testing.assert_close(x.grad, other.grad, rtol=1e-9, atol=1e-9 / size)
    torch.testing.assert_close(ours.weight.grad, theirs.weight.grad, rtol=1e-12, atol=1e-14)


def test_rows_that_lie_apart_in_memory_are_normed_alike() -> None:
    ours, theirs = norms(6)
    x = values(4, 6, 5).transpose(1, 2).requires_grad_()
    other = x.detach().contiguous().requires_grad_()
    ours(x).square().sum().backward()
    theirs(other).square().sum().backward()
    torch.testing.assert_close(x.grad, other.grad)


def test_zeros_stay_zeros_and_have_a_gradient() -> None:
    x = torch.zeros(2, 6, requires_grad=True)
    out = RMSNorm(6)(x)
    assert out.eq(0).all()
    out.sum().backward()
    assert x.grad is not None
    torch.testing.assert_close(x.grad, torch.full((2, 6), 1e3))


def test_what_comes_in_is_left_as_it_was() -> None:
    ours, _ = norms(6)
    x = values(2, 6).requires_grad_()
    before, gradient = x.detach().clone(), values(2, 6)
    given = gradient.clone()
    ours(x).backward(given)
    assert torch.equal(x.detach(), before)
    assert torch.equal(given, gradient)
