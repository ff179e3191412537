"""Packed float32 layers on every level that this CPU executes, against PyTorch in float64."""

from __future__ import annotations

import math
import pickle

import pytest
import torch
from torch import Tensor, nn

from regard.nn import packed_linear
from regard.nn.inference import freeze_for_inference
from regard.nn.kernels import linear as kernel_module
from regard.nn.kernels import native
from regard.nn.packed_linear import PackedLinear, can_pack

pytestmark = pytest.mark.usefixtures("level")


def layer_of(inputs: int, outputs: int, *, bias: bool = True) -> nn.Linear:
    torch.manual_seed(inputs + outputs)
    return nn.Linear(inputs, outputs, bias=bias).requires_grad_(False)


def pack(layer: nn.Linear) -> PackedLinear:
    return PackedLinear(layer.weight, layer.bias)


@pytest.mark.parametrize("outputs", [1, 16, 33, 70])
@pytest.mark.parametrize("inputs", [1, 19, 64])
def test_it_is_near_pytorchs(inputs: int, outputs: int) -> None:
    layer = layer_of(inputs, outputs, bias=outputs != 33)
    packed = pack(layer)
    for shape in [(), (1,), (3, 5), (31,), (2, 0)]:
        x = torch.randn(*shape, inputs)
        expected = nn.functional.linear(
            x.double(), layer.weight.double(), None if layer.bias is None else layer.bias.double()
        )
        torch.testing.assert_close(packed(x), expected.float(), rtol=0, atol=1e-5)


def test_a_row_is_the_same_bit_for_bit_in_every_batch() -> None:
    """Thousands of outputs need several groups of panels."""
    packed, x = pack(layer_of(256, 1100)), torch.randn(40, 256)
    together = packed(x)
    for size in (1, 2, 3, 5, 7, 11, 13, 39):
        for first in (0, 40 - size):
            assert packed(x[first : first + size]).equal(together[first : first + size])


def test_several_threads_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    packed, x = pack(layer_of(32, 40)), torch.randn(50, 32)
    expected = packed(x)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    monkeypatch.setattr(kernel_module, "PARALLEL", 1)
    assert packed(x).equal(expected)


def test_selected_outputs_are_the_same(level: str) -> None:
    packed, x = pack(layer_of(48, 70)), torch.randn(5, 48)
    for outputs in ([0], [3, 33, 69], [*range(70)]):
        assert packed.select_outputs(torch.tensor(outputs))(x).equal(packed(x)[:, outputs])


def test_a_fused_relu_keeps_nan() -> None:
    packed, x = pack(layer_of(32, 40)), torch.randn(3, 32)
    x[1, 7] = math.nan
    expected = packed(x).relu()
    packed.fuse_relu()
    torch.testing.assert_close(packed(x), expected, rtol=0, atol=0, equal_nan=True)
    assert packed(x)[1].isnan().all()
    assert packed.select_outputs(torch.tensor([0, 5]))(x)[0].min() >= 0


def test_gradients_and_other_precisions_are_pytorchs() -> None:
    layer = layer_of(24, 40)
    packed, x = pack(layer), torch.randn(3, 24, requires_grad=True)
    packed.fuse_relu()
    of_x = [torch.autograd.grad(out.sum(), x)[0] for out in (packed(x), layer(x).relu())]
    torch.testing.assert_close(*of_x)
    double = packed(x.detach().double())
    assert double.dtype == torch.float64
    torch.testing.assert_close(double.float(), layer(x.detach()).relu())


def test_freezing_packs_large_matrices_where_that_is_measured(level: str) -> None:
    model = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 8)).requires_grad_(False)
    frozen = freeze_for_inference(model)
    is_measured = level in packed_linear.LEVELS
    kinds = [PackedLinear, nn.Linear] if is_measured else [nn.Linear, nn.ReLU, nn.Linear]
    assert [type(layer) for layer in frozen] == kinds
    x = torch.randn(9, 64)
    torch.testing.assert_close(frozen(x), model(x))
    assert not can_pack(torch.zeros(64, 128, dtype=torch.float64))


def test_it_can_be_pickled() -> None:
    packed, x = pack(layer_of(48, 70)), torch.randn(5, 48)
    packed.fuse_relu()
    assert pickle.loads(pickle.dumps(packed))(x).equal(packed(x))


def test_without_kernels_nothing_is_packed(monkeypatch: pytest.MonkeyPatch) -> None:
    packed, x = pack(layer_of(64, 128)), torch.randn(3, 64)
    expected: Tensor = packed(x)
    monkeypatch.setattr(native, "library", lambda: None)
    assert not can_pack(torch.zeros(64, 128))
    torch.testing.assert_close(packed(x), expected)
