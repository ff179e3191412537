import pytest
import torch

from regard.nn.dropout import LEVELS, Dropout
from regard.nn.kernels import native

COUNT = 200_000


@pytest.fixture(params=["C", "PyTorch"], autouse=True)
def kernels(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """What draws."""
    if request.param == "PyTorch":
        monkeypatch.setattr(native, "library", lambda: None)
    elif native.library() is None:
        pytest.skip("there is no C compiler")


@pytest.mark.parametrize("p", [0.1, 0.3, 0.5, 0.9])
def test_so_many_are_dropped_and_the_others_scaled(p: float) -> None:
    torch.manual_seed(1)
    out = Dropout(p)(torch.ones(COUNT))
    dropped = out.eq(0)
    share = dropped.double().mean().item()
    assert share == pytest.approx(p, abs=5 * (p * (1 - p) / COUNT) ** 0.5)
    torch.testing.assert_close(out[~dropped], torch.full_like(out[~dropped], 1 / (1 - round(p * LEVELS) / LEVELS)))
    assert out.mean().item() == pytest.approx(1, abs=5 * (p / (1 - p) / COUNT) ** 0.5)


def test_neighbours_are_dropped_independently() -> None:
    """Four values share a draw: each pair of them is dropped together with probability p^2."""
    torch.manual_seed(1)
    dropped = Dropout(0.5)(torch.ones(COUNT)).eq(0).view(-1, 4).double()
    together = dropped.t() @ dropped / len(dropped)
    expected = torch.full((4, 4), 0.25, dtype=torch.float64).fill_diagonal_(0.5)
    torch.testing.assert_close(together, expected, rtol=0, atol=0.01)


@pytest.mark.parametrize("shape", [(), (1,), (3,), (5, 7), (2, 3, 5), (0, 4)])
def test_any_shape_is_kept(shape: tuple[int, ...]) -> None:
    assert Dropout(0.5)(torch.ones(shape)).shape == shape


def test_a_part_of_a_larger_tensor_is_dropped_by_its_own_shape() -> None:
    x = torch.randn(6, 8)
    out = Dropout(0.5)(x.t())
    is_kept = out.ne(0)
    torch.testing.assert_close(out[is_kept], 2 * x.t()[is_kept])
    assert is_kept.any()
    assert not is_kept.all()


@pytest.mark.parametrize(("p", "training"), [(0.5, False), (0.0, True)])
def test_nothing_is_dropped_nor_drawn_out_of_training_or_at_zero(p: float, training: bool) -> None:
    dropout, x = Dropout(p).train(training), torch.randn(20)
    before = torch.get_rng_state()
    assert dropout(x) is x
    assert torch.equal(torch.get_rng_state(), before)


def test_what_is_dropped_follows_from_the_seed() -> None:
    dropout, x = Dropout(0.5), torch.ones(64)
    torch.manual_seed(1)
    first, second = dropout(x), dropout(x)
    torch.manual_seed(1)
    assert torch.equal(dropout(x), first)
    assert torch.equal(dropout(x), second)
    assert not torch.equal(first, second)


def test_the_gradient_is_the_mask_times_the_scale() -> None:
    torch.manual_seed(1)
    x = torch.ones(100, requires_grad=True)
    out = Dropout(0.25)(x)
    weights = torch.randn(100)
    (out * weights).sum().backward()
    mask_times_scale = out.detach()  # as x is all ones
    torch.testing.assert_close(x.grad, weights * mask_times_scale)


def test_the_gradient_is_dropped_where_the_value_was() -> None:
    x = torch.randn(1001, requires_grad=True)
    out = Dropout(0.3)(x)
    out.backward(torch.ones(1001))
    assert x.grad is not None
    assert torch.equal(x.grad.eq(0), out.eq(0))
    torch.testing.assert_close(x.grad * x, out)


def test_different_places_and_seeds_do_not_follow_one_another() -> None:
    torch.manual_seed(1)
    first, second = (Dropout(0.5)(torch.ones(COUNT)).eq(0).double() for _ in range(2))
    for shifted in (second, *(first.roll(shift) for shift in (1, 2, 8, 32, 64, 1000))):
        assert (first * shifted).mean().item() == pytest.approx(0.25, abs=0.006)
