"""8-bit layers by each level of kernels that this CPU executes, and by oneDNN where it is exact."""

import math

import pytest
import torch
from tests.levels import LEVELS, use_level
from torch import nn

from regard.errors import ConfigError
from regard.nn import int8
from regard.nn.int8 import NativeLinear, OneDnnLinear, int8_linear
from regard.nn.kernels import native


@pytest.fixture(params=[*LEVELS, "oneDNN"], autouse=True)
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> type[nn.Module]:
    """What makes the products."""
    if request.param != "oneDNN":
        use_level(request.param, monkeypatch)
        return NativeLinear
    if not int8.onednn_is_exact():
        pytest.skip("oneDNN's 8-bit products saturate on this CPU")
    monkeypatch.setattr(native, "library", lambda: None)
    return OneDnnLinear


@pytest.mark.parametrize("shape", [(3, 5), (40,), (1,), ()])
@pytest.mark.parametrize("bias", [True, False])
def test_it_is_near_the_linear_layer(shape: tuple[int, ...], bias: bool, kind: type[nn.Module]) -> None:
    torch.manual_seed(1)
    linear = nn.Linear(64, 200, bias=bias).requires_grad_(False)
    x = torch.randn(*shape, 64)
    rounded = int8_linear(linear.weight, linear.bias)
    assert type(rounded) is kind
    exact, actual = linear(x), rounded(x)
    assert actual.shape == exact.shape
    assert (actual - exact).abs().max() < 0.06
    assert exact.abs().max() > 1


def test_it_is_the_product_of_whole_numbers() -> None:
    weight, x = torch.zeros(2, 16), torch.zeros(2, 16)
    weight[:, :3], x[0, :3] = torch.tensor([[127.0, -3, 0], [-127, 127, 64]]), torch.tensor([127.0, 5, -80])
    assert int8_linear(weight, torch.tensor([1.0, 2]))(x).tolist() == [[16115.0, -20612.0], [1.0, 2.0]]


def test_a_row_does_not_depend_on_its_neighbours() -> None:
    linear = int8_linear(torch.randn(50, 32), torch.randn(50))
    x = torch.randn(9, 32) * torch.logspace(-3, 3, 9)[:, None]
    together = linear(x)
    for row in range(9):
        assert torch.equal(linear(x[row : row + 1]), together[row : row + 1])


@pytest.mark.parametrize("rows", [1, 2, 3, 7, 12, 13, 31])
@pytest.mark.parametrize("outputs", [1, 31, 32, 33, 70])
def test_any_number_of_rows_and_outputs_will_do(rows: int, outputs: int) -> None:
    generator = torch.Generator().manual_seed(rows)
    weight = torch.randint(-32, 33, (outputs, 48), generator=generator).float()
    x = torch.randint(-127, 128, (rows, 48), generator=generator).float()
    weight[:, [0, 1, 4, 5]], x[:, 0] = 32, -127  # so that a step is 1, and all is exact
    assert torch.equal(int8_linear(weight, None)(x), x @ weight.T)


@pytest.mark.parametrize("outputs", [[0], [3, 33, 69], [*range(1, 70, 2)], [*range(70)]])
def test_narrowed_it_is_the_same_for_those_outputs(outputs: list[int]) -> None:
    torch.manual_seed(1)
    layer, x, selected = int8_linear(torch.randn(70, 48), torch.randn(70)), torch.randn(5, 48), torch.tensor(outputs)
    assert isinstance(layer, (NativeLinear, OneDnnLinear))
    assert torch.equal(layer.select_outputs(selected)(x), layer(x)[:, selected])


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_what_is_no_number_stays_none_in_its_row_alone(value: float) -> None:
    linear = int8_linear(torch.randn(40, 32), torch.randn(40))
    x = torch.randn(5, 32)
    x[2, 7] = value
    finite = linear(x).isfinite()
    assert not finite[2].any()
    assert finite[[0, 1, 3, 4]].all()


@pytest.mark.parametrize("width", [1, 10, 17, 64])
def test_inputs_of_any_width_will_do(width: int, kind: type[nn.Module]) -> None:
    layer = int8_linear(torch.full((2, width), 127.0), None)
    assert type(layer) is kind
    assert layer(torch.full((1, width), 127.0)).tolist() == [[127.0 * 127 * width] * 2]


@pytest.mark.parametrize("inputs", [16, 512, 4096])
@pytest.mark.parametrize("outputs", [2, 70])
@pytest.mark.parametrize("rows", [1, 7, 30])
def test_the_largest_sums_do_not_saturate(rows: int, inputs: int, outputs: int) -> None:
    """Two products of 127 x 127 do not fit in 16 bits with the offset of unsigned activations: steps are larger."""
    weight, x = torch.full((outputs, inputs), 127.0), torch.full((rows, inputs), 127.0)
    weight[1::2] *= -1
    x[1::3] *= -1
    x[2::3, ::2] *= -1
    bias = torch.arange(outputs).float()
    expected = (x.double() @ weight.double().T + bias).float()
    assert torch.equal(int8_linear(weight, bias)(x), expected)


def test_no_sum_of_four_products_exceeds_16_bits() -> None:
    torch.manual_seed(3)
    weight = torch.cat((torch.randn(200, 50), torch.rand(200, 50), torch.randint(-3, 4, (200, 50)), torch.zeros(1, 50)))
    rounded = (weight / int8.scales(weight)[:, None]).round()
    assert rounded.abs().max() <= 127
    for inputs in ([0, 1, 4, 5], [2, 3, 6, 7], [42, 43, 46, 47]):
        for sign in (1, -1):
            assert (sign * rounded[:, inputs]).clamp_min(0).sum(1).max() <= 128
    assert 60 < rounded[:200].abs().amax(1).mean() < 100  # of 127


def test_values_are_rounded_to_the_nearest_step_halves_to_even() -> None:
    x = torch.zeros(1, 16)
    x[0, :8] = torch.tensor([127.0, 0.5, 1.5, 2.5, -0.5, -1.5, 0.4999, -2.51])
    actual = int8_linear(127 * torch.eye(16), None)(x) / 127
    assert actual[0, :8].tolist() == [127, 0, 2, 2, 0, -2, 0, -3]


def test_a_bound_below_does_not_hide_what_is_no_number(kind: type[nn.Module]) -> None:
    if kind is not NativeLinear:
        pytest.skip("only our own kernels have the ReLU inside")
    layer = int8_linear(torch.randn(40, 32), None)
    assert isinstance(layer, NativeLinear)
    x = torch.randn(3, 32)
    x[1] = math.nan
    layer.fuse_relu()
    actual = layer(x)
    assert actual[1].isnan().all()
    assert actual[[0, 2]].min() == 0


def test_without_exact_products_int8_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native, "library", lambda: None)
    monkeypatch.setattr(int8, "onednn_is_exact", lambda: False)
    with pytest.raises(ConfigError, match="int8 is not available here"):
        int8_linear(torch.zeros(2, 16), None)


def test_products_that_saturate_are_recognised(monkeypatch: pytest.MonkeyPatch) -> None:
    def saturating(self: OneDnnLinear, x: torch.Tensor) -> torch.Tensor:
        pairs = (x.round()[:, None] + 128) * self.weight  # unsigned activations, as oneDNN has them
        sums = pairs.unflatten(-1, (-1, 2)).sum(-1).clamp(-(2**15), 2**15 - 1).sum(-1)
        corrected: torch.Tensor = sums - 128 * self.weight.sum(1)
        return corrected

    monkeypatch.setattr(OneDnnLinear, "forward", saturating)
    int8.onednn_is_exact.cache_clear()
    assert not int8.onednn_is_exact()
    int8.onednn_is_exact.cache_clear()
