"""The kernels of training on every level that this CPU executes, against PyTorch in float64; on 1 and 3 threads."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from regard.models import transformer2017
from regard.nn import feedforward
from regard.nn.dropout import Dropout
from regard.nn.feedforward import fused_feed_forward, silu_times
from regard.nn.kernels import autograd
from regard.nn.kernels.autograd import cross_entropy
from regard.nn.norm import add_norm, add_then_norm
from regard.nn.packing import Packing
from regard.nn.scaled_dot_product import attend_packed

pytestmark = pytest.mark.usefixtures("level")


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


def close(actual: tuple[Tensor, ...], expected: tuple[Tensor, ...]) -> None:
    for value, exact_value in zip(actual, expected, strict=True):
        torch.testing.assert_close(value.double(), exact_value, rtol=1e-5, atol=2e-5)


def lengths(*count: int, most: int) -> Packing:
    """Sequences of these lengths."""
    return Packing.of(torch.tensor([[place < length for place in range(most)] for length in count]))


@pytest.mark.parametrize("width", [16, 32, 64, 112])
@pytest.mark.parametrize("causal", [False, True])
def test_attention_and_its_gradient(width: int, causal: bool) -> None:
    rows = lengths(1, 17, 40, 5, 16, most=40)
    columns = rows if causal else lengths(70, 1, 16, 33, 5, most=70)
    num_rows, num_columns = len(rows.indices), len(columns.indices)
    queries = values(1, num_rows, 3 * width).requires_grad_()
    both = values(1, num_columns, 2 * 3 * width, seed=3).requires_grad_()

    def parts(dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
        first, second, third = (x.to(dtype).unflatten(-1, (3, width)) for x in (queries, *both.chunk(2, -1)))
        return first, second, third

    actual = attend_packed(*parts(torch.float32), rows.starts, columns.starts, causal=causal)
    expected = []
    for (row, end), (column, last) in zip(
        *(pairwise(packing.starts.tolist()) for packing in (rows, columns)), strict=True
    ):
        turned, keys, own = (x.transpose(1, 2) for x in parts(torch.float64))
        means = F.scaled_dot_product_attention(
            turned[:, :, row:end], keys[:, :, column:last], own[:, :, column:last], is_causal=causal
        )
        expected.append(means.transpose(1, 2).flatten(2))
    together = torch.cat(expected, 1)
    torch.testing.assert_close(actual.double(), together, rtol=0, atol=2e-6)
    close(gradients(actual, queries, both), tuple(x.double() for x in gradients(together, queries, both)))


def test_heads_that_share_keys_have_the_gradient_of_all_their_queries() -> None:
    rows = lengths(3, 5, most=5)
    queries, keys = values(1, 8, 4, 16).requires_grad_(), values(1, 8, 2, 16, seed=3).requires_grad_()
    actual = attend_packed(queries, keys, keys, rows.starts, rows.starts, causal=False)
    expanded_keys = keys.repeat_interleave(2, 2)
    expected = attend_packed(queries, expanded_keys, expanded_keys, rows.starts, rows.starts, causal=False)
    torch.testing.assert_close(actual, expected)
    for value, exact_value in zip(gradients(actual, queries, keys), gradients(expected, queries, keys), strict=True):
        torch.testing.assert_close(value, exact_value)


def test_what_is_no_number_is_not_hidden_by_attention() -> None:
    queries, keys = values(1, 6, 1, 16).requires_grad_(), values(1, 8, 1, 16, seed=3)
    keys[0, 6, 0, 5] = torch.nan  # of the second of two
    rows, columns = lengths(3, 3, most=3), lengths(4, 4, most=4)
    means = attend_packed(queries, keys, keys, rows.starts, columns.starts, causal=False)
    assert means[0, :3].isfinite().all()
    assert means[0, 3:].isnan().any(-1).all()


def test_a_packed_row_that_sees_nothing_is_nan() -> None:
    rows, columns = torch.tensor([0, 3, 5]), torch.tensor([0, 0, 4])  # the first sequence has no keys
    means, _ = autograd.attention(values(5, 2, 16), values(4, 2, 16), values(4, 2, 16), rows, columns, causal=False)
    assert means[:3].isnan().all()
    assert means[3:].isfinite().all()


@pytest.mark.parametrize("shape", [(1, 32), (3, 40, 96), (70, 256)])
@pytest.mark.parametrize("p", [0.0, 0.4])
def test_norm_of_a_sum_with_dropout_and_its_gradient(shape: tuple[int, ...], p: float) -> None:
    norm, dropout = nn.LayerNorm(shape[-1]), Dropout(p)
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    x, y = (values(*shape) * 3 + 5).requires_grad_(), values(*shape, seed=3).requires_grad_()
    torch.manual_seed(4)
    actual = add_norm(x, y, norm, dropout)
    torch.manual_seed(4)
    zero = nn.LayerNorm(shape[-1], elementwise_affine=True)
    with torch.no_grad():  # what is dropped shows where nothing else is added
        ones, draws = torch.ones(shape), dropout.draw()
        alone = autograd.drop_add_norm(torch.zeros(shape), ones, zero, draws, with_sum=True)
        survivors = alone.sum
    assert survivors is not None
    assert survivors.gt(0).double().mean().item() == pytest.approx(1 - p, abs=5 * (p / survivors.numel()) ** 0.5)
    factor = survivors.gt(0).double() * (1 / (1 - round(p * 65536) / 65536))
    gain, bias = norm.weight.double(), norm.bias.double()
    expected = F.layer_norm(x.double() + y.double() * factor, shape[-1:], gain, bias, norm.eps)
    torch.testing.assert_close(actual.double(), expected, rtol=1e-5, atol=1e-5)
    leaves = x, y, norm.weight, norm.bias
    close(gradients(actual, *leaves), tuple(part.double() for part in gradients(expected, *leaves)))


@pytest.mark.parametrize("biased", [True, False])
@pytest.mark.parametrize("used", ["both", "sum", "norm"])
def test_a_sum_and_its_norm_and_their_gradient(biased: bool, used: str) -> None:
    norm = nn.LayerNorm(64, bias=biased)
    nn.init.normal_(norm.weight)
    x, y = (values(5, 9, 64) * 3).requires_grad_(), values(5, 9, 64, seed=3).requires_grad_()
    leaves = x, y, *norm.parameters()

    def ends(both: Tensor, normed: Tensor) -> Tensor:
        return torch.cat([part for name, part in (("norm", normed), ("sum", both)) if used in (name, "both")])

    actual = ends(*add_then_norm(x, y, norm, Dropout(0.0)))
    exact = x.double() + y.double()
    gain, bias = norm.weight.double(), norm.bias.double() if biased else None
    expected = ends(exact, F.layer_norm(exact, (64,), gain, bias, norm.eps))
    torch.testing.assert_close(actual.double(), expected, rtol=1e-5, atol=1e-5)
    loose = used == "sum"  # which the norm's parameters have no part in
    leaves = leaves[:2] if loose else leaves
    close(gradients(actual, *leaves), tuple(part.double() for part in gradients(expected, *leaves)))


@pytest.mark.parametrize("shape", [(16,), (3, 7, 48)])
def test_a_gate_and_its_gradient(shape: tuple[int, ...]) -> None:
    gate, x = (values(*shape) * 20).requires_grad_(), values(*shape, seed=3).requires_grad_()
    actual = silu_times(gate, x)
    expected = F.silu(gate.double()) * x.double()
    torch.testing.assert_close(actual.double(), expected, rtol=1e-6, atol=1e-6)
    close(gradients(actual, gate, x), tuple(part.double() for part in gradients(expected, gate, x)))


def test_the_draws_do_not_depend_on_the_threads() -> None:
    norm, x = nn.LayerNorm(64), values(7, 50, 64)
    draws = autograd.DropoutDraw(20_000, 1.4, 77)
    actual = autograd.drop_add_norm(x, x, norm, draws, with_sum=False).out
    torch.set_num_threads(2)
    assert torch.equal(actual, autograd.drop_add_norm(x, x, norm, draws, with_sum=False).out)


@pytest.mark.parametrize(("inner", "outer"), [(7, 5), (64, 32)])
def test_feed_forward_and_its_gradient(inner: int, outer: int) -> None:
    first, second = nn.Linear(9, inner), nn.Linear(inner, outer)
    x = values(4, 6, 9).requires_grad_()
    leaves = x, *first.parameters(), *second.parameters()
    layers = nn.Sequential(first, nn.ReLU(), second)
    assert feedforward.can_fuse(x, layers)
    assert not feedforward.can_fuse(x, nn.Sequential(first, nn.SiLU(), second))
    actual = fused_feed_forward(x, layers)
    inside = F.linear(x.double(), first.weight.double(), first.bias.double()).relu()
    expected = F.linear(inside, second.weight.double(), second.bias.double())
    torch.testing.assert_close(actual.double(), expected, rtol=0, atol=1e-5)
    close(gradients(actual, *leaves), tuple(part.double() for part in gradients(expected, *leaves)))


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_an_impossible_token_has_the_loss_and_the_gradient_that_it_has_in_pytorch(smoothing: float) -> None:
    logits, targets = values(2, 37), torch.tensor([3, 36])
    logits[0, 5] = logits[0, 35] = -math.inf  # in a whole vector, and in what is left of the row
    exact = logits.double().requires_grad_()
    expected = F.cross_entropy(exact, targets, reduction="sum", label_smoothing=smoothing)
    assert cross_entropy(logits, targets, smoothing) == pytest.approx(expected.item(), rel=1e-6)
    if smoothing == 0:
        (gradient,) = torch.autograd.grad(expected, exact)
        torch.testing.assert_close(logits.double(), gradient, rtol=0, atol=1e-6)
        assert logits[0, [5, 35]].tolist() == [0, 0]


@pytest.mark.parametrize("width", [5, 16, 40])
def test_relu_lets_nan_and_its_gradient_through(width: int) -> None:
    x, bias = values(3, width), torch.zeros(width)
    x[1, [0, width - 1]] = math.nan
    exact = x.clone().requires_grad_()
    expected = exact.relu()
    autograd.bias_relu(x, bias)
    torch.testing.assert_close(x, expected.detach(), equal_nan=True)
    change = values(3, width, seed=3)
    (gradient,) = torch.autograd.grad(expected, exact, change)
    of_bias = autograd.bias_relu_gradient(change, x)
    torch.testing.assert_close(change, gradient)
    torch.testing.assert_close(of_bias, gradient.sum(0))


def test_a_gate_is_as_pytorchs_where_numbers_end() -> None:
    gate = torch.tensor([-math.inf, math.nan, -1e30, -200.0, -87.5, -86.0, 200.0, 1e30] * 2)
    torch.testing.assert_close(
        autograd.gated(gate, torch.ones(16)), F.silu(gate), rtol=1e-5, atol=1e-30, equal_nan=True
    )


def test_dropout_draws_by_xorshift128plus_seeded_by_splitmix64() -> None:
    mask = (1 << 64) - 1

    def mixed(number: int) -> int:
        number = (number ^ number >> 30) * 0xBF58476D1CE4E5B9 & mask
        number = (number ^ number >> 27) * 0x94D049BB133111EB & mask
        return number ^ number >> 31

    seed, dropped = 7, 20_000
    states = []
    for lane in range(8):
        numbers = (seed + (2 * lane + part) * 0x9E3779B97F4A7C15 & mask for part in (1, 2))
        states.append([mixed(number) for number in numbers])
    expected: list[float] = []
    for _ in range(3):
        for lane, (first, second) in enumerate(states):
            total = first + second & mask
            expected += [2.0 if (total >> 16 * part & 0xFFFF) >= dropped else 0.0 for part in range(4)]
            first ^= first << 23 & mask
            states[lane] = [second, first ^ second ^ first >> 18 ^ second >> 5]
    draws = autograd.DropoutDraw(dropped, 2.0, seed)
    assert autograd.dropout(torch.ones(90), draws).tolist() == expected[:90]


def test_the_loss_is_the_sum_of_its_parts() -> None:
    logits, targets = values(50, 33), torch.arange(50) % 33
    expected = F.cross_entropy(logits.double(), targets, reduction="sum", label_smoothing=0.1).item()
    assert cross_entropy(logits, targets, 0.1) == pytest.approx(expected, rel=1e-6)


def test_a_feed_forward_that_is_not_trained_gives_the_same() -> None:
    layer = transformer2017.FeedForward(transformer2017.Config(hidden_size=32, ffn_size=64, num_heads=2))
    x = values(3, 5, 32)
    trained = layer(x)
    with torch.inference_mode():
        torch.testing.assert_close(layer(x), trained, rtol=0, atol=1e-6)
