"""The kernels between matrix products on every level that this CPU executes, against PyTorch in float64."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from regard.nn.attention_memory import Positions
from regard.nn.dropout import Dropout
from regard.nn.feedforward import silu_times
from regard.nn.kernels import native
from regard.nn.norm import LayerNorm, add, add_then_norm
from regard.nn.rotary import RotaryPositions
from regard.nn.ssru import SSRU

SIZE = 48


pytestmark = pytest.mark.usefixtures("level")


def values(*shape: int, seed: int = 2) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


class Normed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm, self.dropout = LayerNorm(SIZE, eps=1e-6, bias=False), Dropout(0.5)
        nn.init.normal_(self.norm.weight)

    def forward(self, x: Tensor) -> Tensor:
        total, normed = add_then_norm(x, x.roll(1, -1), self.norm, self.dropout)
        return add(total, normed, self.dropout)


class Rotated(nn.Module):
    """Four heads at the given positions, or in a step, at one position."""

    def __init__(self, positions: Positions) -> None:
        super().__init__()
        self.rotary, self.positions = RotaryPositions(SIZE), positions

    def forward(self, x: Tensor) -> Tensor:
        heads = torch.stack([x * factor for factor in (1, -2, 0.5, 3)], 2)  # (N, T, 4, SIZE)
        return self.rotary(heads, self.positions)


class Gated(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return silu_times(x * 20, x.roll(1, -1))


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.ssru = SSRU(SIZE)

    def forward(self, x: Tensor) -> Tensor:
        outputs, last = self.ssru.scan(x, x[:, -1])
        return torch.cat((outputs, last.unsqueeze(1)), 1)


LAYERS: dict[str, Callable[[], nn.Module]] = {
    "norm": Normed,
    "rotary positions": lambda: Rotated(Positions(slice(0, 5), 5)),
    "rotary positions of a step": lambda: Rotated(Positions(slice(300, 301), 301)),
    "rotary positions of packed sequences": lambda: Rotated(Positions(torch.tensor([0, 1, 7, 0, 1]), 8)),
    "gated": Gated,
    "recurrent": Recurrent,
}


def layer_of(name: str) -> nn.Module:
    torch.manual_seed(1)
    return LAYERS[name]().eval()


def count_calls(run: Callable[[], Tensor]) -> tuple[Tensor, int]:
    """Return what `run` returns, and the number of kernels that it calls."""
    calls = [0]

    def count(_: native.KernelCall) -> None:
        calls[0] += 1

    token = native.call_listener.set(count)
    try:
        return run(), calls[0]
    finally:
        native.call_listener.reset(token)


@pytest.mark.parametrize("name", LAYERS)
def test_results_are_as_pytorchs(name: str) -> None:
    layer, x = layer_of(name), values(3, 5, SIZE)
    with torch.inference_mode():
        actual, calls = count_calls(lambda: layer(x))
        expected, other_calls = count_calls(lambda: copy.deepcopy(layer).double()(x.double()))
    torch.testing.assert_close(actual, expected.float(), rtol=1e-5, atol=1e-5)
    assert (calls > 0, other_calls) == (True, 0)


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.usefixtures("one_thread")
@torch.inference_mode()
def test_a_row_is_the_same_bit_for_bit_in_every_batch(name: str) -> None:
    layer, x = layer_of(name), values(7, 5, SIZE)
    together = layer(x)
    for row in range(7):
        assert layer(x[row : row + 1]).equal(together[row : row + 1])


@pytest.mark.parametrize("name", LAYERS)
@torch.inference_mode()
def test_nan_stays_in_its_row(name: str) -> None:
    layer, x = layer_of(name), values(3, 5, SIZE)
    x[1] = math.nan
    out = layer(x)
    assert out[1].isnan().all()
    assert out[[0, 2]].isfinite().all()


def test_gradients_and_other_widths_are_left_to_pytorch() -> None:
    layer, x = LayerNorm(SIZE, bias=False), values(2, SIZE)
    odd = LayerNorm(SIZE + 1, bias=False)
    for run in (
        lambda: layer(x),
        lambda: torch.no_grad()(odd)(values(2, SIZE + 1)),
        lambda: torch.no_grad()(silu_times)(values(16, 5), values(16, 5)),
    ):
        assert count_calls(run)[1] == 0


@torch.inference_mode()
def test_saturated_forget_gates_are_exact() -> None:
    ssru, x, start = SSRU(SIZE), values(2, 100, SIZE), values(2, SIZE, seed=3)
    for bias, expected in ((1000.0, start.relu()[:, None].expand_as(x)), (-1000.0, ssru.input(x).relu())):
        ssru.forget.weight.zero_()
        ssru.forget.bias.fill_(bias)
        assert ssru.scan(x, start)[0].equal(expected)
