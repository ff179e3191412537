import pytest
import torch
from torch import nn

from regard.errors import ConfigError
from regard.nn import int8, native
from regard.nn.int8 import NativeLinear, OneDnnLinear, int8_linear


@pytest.fixture(params=[NativeLinear, OneDnnLinear], autouse=True)
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> type[nn.Module]:
    """Which kernels do it."""
    if request.param is OneDnnLinear:
        monkeypatch.setattr(native, "has_int8", lambda: False)
    elif not native.has_int8():
        pytest.skip("needs a C compiler and a processor with AVX-512 VNNI")
    if not int8.available():
        pytest.skip("needs oneDNN's 8-bit products")
    chosen: type[nn.Module] = request.param
    return chosen


@pytest.mark.parametrize("shape", [(3, 5), (40,), (1,), ()])
@pytest.mark.parametrize("bias", [True, False])
def test_it_is_near_the_linear_layer(shape: tuple[int, ...], bias: bool, kind: type[nn.Module]) -> None:
    torch.manual_seed(1)
    linear = nn.Linear(64, 200, bias=bias).requires_grad_(False)
    x = torch.randn(*shape, 64)
    rounded = int8_linear(linear.weight, linear.bias)
    assert type(rounded) is kind
    exact, found = linear(x), rounded(x)
    assert found.shape == exact.shape
    assert (found - exact).abs().max() < 0.06
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
    weight, x = (torch.randint(-127, 128, (size, 48), generator=generator).float() for size in (outputs, rows))
    weight[:, 0], x[:, 0] = 127, -127  # so that a step is 1, and all is exact
    assert torch.equal(int8_linear(weight, None)(x), x @ weight.T)


@pytest.mark.parametrize("outputs", [[0], [3, 33, 69], [*range(1, 70, 2)], [*range(70)]])
def test_narrowed_it_is_the_same_for_those_outputs(outputs: list[int]) -> None:
    torch.manual_seed(1)
    layer, x, some = int8_linear(torch.randn(70, 48), torch.randn(70)), torch.randn(5, 48), torch.tensor(outputs)
    assert isinstance(layer, (NativeLinear, OneDnnLinear))
    assert torch.equal(layer.narrowed(some)(x), layer(x)[:, some])


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_what_is_no_number_stays_none_in_its_row_alone(value: float) -> None:
    linear = int8_linear(torch.randn(40, 32), torch.randn(40))
    x = torch.randn(5, 32)
    x[2, 7] = value
    finite = linear(x).isfinite()
    assert not finite[2].any()
    assert finite[[0, 1, 3, 4]].all()


def test_inputs_of_any_width_will_do() -> None:
    layer = int8_linear(torch.full((2, 10), 127.0), None)
    assert isinstance(layer, OneDnnLinear)
    assert layer(torch.full((1, 10), 127.0)).tolist() == [[161290.0] * 2]


def test_without_kernels_that_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native, "has_int8", lambda: False)
    monkeypatch.setattr(int8, "_onednn", lambda: False)
    with pytest.raises(ConfigError, match="no 8-bit products"):
        int8_linear(torch.zeros(2, 16), None)
