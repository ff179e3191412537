"""The kernels of training beside PyTorch's own layers in float64, on one thread and on three."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from regard.models import transformer2017
from regard.nn import feedforward, native, native_training
from regard.nn.dropout import Dropout
from regard.nn.feedforward import relu_between, silu_times
from regard.nn.multihead import attend
from regard.nn.native_training import cross_entropy
from regard.nn.norm import add_norm, add_then_norm

pytestmark = pytest.mark.skipif(native.library() is None, reason="there is no C compiler")


@pytest.fixture(params=[1, 3], autouse=True)
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


def values(*shape: int, seed: int = 2) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def gradients(out: Tensor, *leaves: Tensor) -> tuple[Tensor, ...]:
    """Of the sum of out, each value times another number."""
    return torch.autograd.grad(out, leaves, values(*out.shape, seed=9).to(out.dtype))


def close(found: tuple[Tensor, ...], expected: tuple[Tensor, ...]) -> None:
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one.double(), other, rtol=1e-5, atol=2e-5)


@pytest.mark.parametrize(("rows", "columns", "width"), [(1, 1, 16), (5, 17, 64), (23, 16, 32), (40, 70, 112)])
@pytest.mark.parametrize("seen", ["all", "sentence", "causal", "both"])
def test_attention_and_its_gradient(rows: int, columns: int, width: int, seen: str) -> None:
    columns = rows if seen in ("causal", "both") else columns
    queries = values(5, rows, 3 * width).requires_grad_()
    both = values(5, columns, 2 * 3 * width, seed=3).requires_grad_()
    mask = values(5, columns, seed=4).gt(0.3) if seen in ("sentence", "both") else None
    if mask is not None:
        mask[:, 0] = True
    causal = seen in ("causal", "both")

    def parts(dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
        keys, own = both.chunk(2, -1)
        one, two, three = (part.to(dtype).unflatten(-1, (3, width)) for part in (queries, keys, own))
        return one, two, three

    assert native_training.trains(*parts(torch.float32), mask)
    means, _ = native_training.attention(*parts(torch.float32), mask, causal=causal)
    allowed = torch.ones(5, 1, rows, columns, dtype=torch.bool) if mask is None else mask[:, None, None]
    allowed = allowed & torch.ones(rows, columns, dtype=torch.bool).tril() if causal else allowed
    turned, keys, own = (part.transpose(1, 2) for part in parts(torch.float64))
    expected = F.scaled_dot_product_attention(turned, keys, own, attn_mask=allowed).transpose(1, 2).flatten(2)
    torch.testing.assert_close(means.double(), expected, rtol=0, atol=2e-6)
    if seen != "both":
        found, _ = attend(*parts(torch.float32), mask=mask, causal=causal)
        torch.testing.assert_close(found, means, rtol=0, atol=0)
        close(gradients(found, queries, both), tuple(part.double() for part in gradients(expected, queries, both)))


def test_what_is_no_number_is_not_hidden_by_attention() -> None:
    queries, keys = values(2, 3, 1, 16), values(2, 4, 1, 16, seed=3)
    keys[1, 2, 0, 5] = torch.nan
    means, _ = native_training.attention(queries, keys, keys, None, causal=False)
    assert means[0].isfinite().all()
    assert means[1].isnan().any(-1).all()


@pytest.mark.parametrize("shape", [(1, 32), (3, 40, 96), (70, 256)])
@pytest.mark.parametrize("p", [0.0, 0.4])
def test_norm_of_a_sum_with_dropout_and_its_gradient(shape: tuple[int, ...], p: float) -> None:
    norm, dropout = nn.LayerNorm(shape[-1]), Dropout(p)
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    x, y = (values(*shape) * 3 + 5).requires_grad_(), values(*shape, seed=3).requires_grad_()
    torch.manual_seed(4)
    found = add_norm(x, y, norm, dropout)
    torch.manual_seed(4)
    zero = nn.LayerNorm(shape[-1], elementwise_affine=True)
    with torch.no_grad():  # what is dropped shows where nothing else is added
        ones, draws = torch.ones(shape), dropout.draws()
        alone = native_training.drop_add_norm(torch.zeros(shape), ones, zero, draws, with_both=True)
        kept = alone.both
    assert kept is not None
    assert kept.gt(0).double().mean().item() == pytest.approx(1 - p, abs=5 * (p / kept.numel()) ** 0.5)
    factor = kept.gt(0).double() * (1 / (1 - round(p * 65536) / 65536))
    gain, bias = norm.weight.double(), norm.bias.double()
    expected = F.layer_norm(x.double() + y.double() * factor, shape[-1:], gain, bias, norm.eps)
    torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=1e-5)
    leaves = x, y, norm.weight, norm.bias
    close(gradients(found, *leaves), tuple(part.double() for part in gradients(expected, *leaves)))


@pytest.mark.parametrize("biased", [True, False])
@pytest.mark.parametrize("used", ["both", "sum", "norm"])
def test_a_sum_and_its_norm_and_their_gradient(biased: bool, used: str) -> None:
    norm = nn.LayerNorm(64, bias=biased)
    nn.init.normal_(norm.weight)
    x, y = (values(5, 9, 64) * 3).requires_grad_(), values(5, 9, 64, seed=3).requires_grad_()
    leaves = x, y, *norm.parameters()

    def ends(both: Tensor, normed: Tensor) -> Tensor:
        return torch.cat([part for name, part in (("norm", normed), ("sum", both)) if used in (name, "both")])

    found = ends(*add_then_norm(x, y, norm, Dropout(0.0)))
    exact = x.double() + y.double()
    gain, bias = norm.weight.double(), norm.bias.double() if biased else None
    expected = ends(exact, F.layer_norm(exact, (64,), gain, bias, norm.eps))
    torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=1e-5)
    loose = used == "sum"  # which the norm's parameters have no part in
    leaves = leaves[:2] if loose else leaves
    close(gradients(found, *leaves), tuple(part.double() for part in gradients(expected, *leaves)))


@pytest.mark.parametrize("shape", [(16,), (3, 7, 48)])
def test_a_gate_and_its_gradient(shape: tuple[int, ...]) -> None:
    gate, x = (values(*shape) * 20).requires_grad_(), values(*shape, seed=3).requires_grad_()
    found = silu_times(gate, x)
    expected = F.silu(gate.double()) * x.double()
    torch.testing.assert_close(found.double(), expected, rtol=1e-6, atol=1e-6)
    close(gradients(found, gate, x), tuple(part.double() for part in gradients(expected, gate, x)))


def test_the_draws_do_not_depend_on_the_threads() -> None:
    norm, x = nn.LayerNorm(64), values(7, 50, 64)
    draws = native_training.Draws(20_000, 1.4, 77)
    found = native_training.drop_add_norm(x, x, norm, draws, with_both=False).out
    torch.set_num_threads(2)
    assert torch.equal(found, native_training.drop_add_norm(x, x, norm, draws, with_both=False).out)


@pytest.mark.parametrize(("inner", "outer"), [(7, 5), (64, 32)])
def test_feed_forward_and_its_gradient(inner: int, outer: int) -> None:
    first, second = nn.Linear(9, inner), nn.Linear(inner, outer)
    x = values(4, 6, 9).requires_grad_()
    leaves = x, *first.parameters(), *second.parameters()
    layers = nn.Sequential(first, nn.ReLU(), second)
    assert feedforward.trains(x, layers)
    assert not feedforward.trains(x, nn.Sequential(first, nn.SiLU(), second))
    found = relu_between(x, layers)
    inside = F.linear(x.double(), first.weight.double(), first.bias.double()).relu()
    expected = F.linear(inside, second.weight.double(), second.bias.double())
    torch.testing.assert_close(found.double(), expected, rtol=0, atol=1e-5)
    close(gradients(found, *leaves), tuple(part.double() for part in gradients(expected, *leaves)))


def test_the_loss_is_the_sum_of_its_parts() -> None:
    logits, targets = values(50, 33), torch.arange(50) % 33
    expected = F.cross_entropy(logits.double(), targets, reduction="sum", label_smoothing=0.1).item()
    assert cross_entropy(logits, targets, 0.1) == pytest.approx(expected, rel=1e-6)


def test_a_feed_forward_that_is_not_trained_gives_the_same() -> None:
    layer = transformer2017.FeedForward(transformer2017.Config(d_model=32, ff=64, heads=2))
    x = values(3, 5, 32)
    trained = layer(x)
    with torch.inference_mode():
        torch.testing.assert_close(layer(x), trained, rtol=0, atol=1e-6)
