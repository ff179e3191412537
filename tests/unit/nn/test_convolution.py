import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from regard.nn.convolution import CausalConvolution, CentredConvolution, WeightNormLinear, windows

INPUTS, OUTPUTS = 5, 4
SHAPES = [(1, 1), (3, 1), (3, 2), (5, 4)]


def values(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)


def kernel_of(linear: nn.Module, kernel: int) -> tuple[Tensor, Tensor]:
    """The matrix (out, k x D) as torch's kernel (out, D, k), and the bias."""
    assert isinstance(linear, nn.Linear)
    return linear.weight.unflatten(1, (kernel, INPUTS)).transpose(1, 2), linear.bias


def test_windows_are_the_neighbours_one_after_the_other() -> None:
    x = torch.arange(7.0).reshape(1, 7, 1)
    assert windows(x, 3, 2).tolist() == [[[0, 2, 4], [1, 3, 5], [2, 4, 6]]]
    assert windows(x, 1, 4) is x


@pytest.mark.parametrize(("kernel", "dilation"), [*SHAPES, (2, 3)])
def test_a_causal_convolution_is_torchs_behind_zeros(kernel: int, dilation: int) -> None:
    torch.manual_seed(1)
    convolution = CausalConvolution(INPUTS, OUTPUTS, kernel, dilation).double()
    x = values(3, 9, INPUTS)
    padded = F.pad(x.mT, ((kernel - 1) * dilation, 0))
    expected = F.conv1d(padded, *kernel_of(convolution.linear, kernel), dilation=dilation).mT
    torch.testing.assert_close(convolution(x), expected)


@pytest.mark.parametrize(("kernel", "dilation"), [*SHAPES, (2, 3)])
def test_steps_with_a_past_are_the_whole_sequence(kernel: int, dilation: int) -> None:
    torch.manual_seed(1)
    convolution = CausalConvolution(INPUTS, OUTPUTS, kernel, dilation).double()
    x = values(3, 23, INPUTS)
    full, past = convolution(x), convolution.initial_state(x)
    for position in range(23):
        assert past.shape == (3, (kernel - 1) * dilation, INPUTS)
        before = past.clone()
        out, after = convolution.step(x[:, position], past)
        torch.testing.assert_close(out, full[:, position])
        assert past.equal(before)
        past = after


@pytest.mark.parametrize(("kernel", "dilation"), [*SHAPES, (2, 1), (4, 1)])
def test_a_centred_convolution_is_torchs_between_zeros(kernel: int, dilation: int) -> None:
    torch.manual_seed(1)
    convolution = CentredConvolution(INPUTS, OUTPUTS, kernel, dilation).double()
    x = values(3, 9, INPUTS)
    weight, bias = kernel_of(convolution.linear, kernel)
    padded = F.pad(x.mT, ((kernel - 1) // 2 * dilation, kernel // 2 * dilation))
    expected = F.conv1d(padded, weight, bias, dilation=dilation).mT
    torch.testing.assert_close(convolution(x, torch.ones(3, 9, dtype=torch.bool)), expected)


@pytest.mark.parametrize(("kernel", "dilation"), [*SHAPES, (2, 1), (4, 3)])
def test_a_centred_convolution_reads_padding_as_zeros(kernel: int, dilation: int) -> None:
    torch.manual_seed(1)
    convolution = CentredConvolution(INPUTS, OUTPUTS, kernel, dilation).double()
    x, lengths = values(3, 9, INPUTS), [9, 2, 6]
    mask = torch.arange(9) < torch.tensor(lengths)[:, None]
    together = convolution(x, mask)
    for row, length in enumerate(lengths):
        alone = convolution(x[row : row + 1, :length], mask[row : row + 1, :length])
        torch.testing.assert_close(together[row, :length], alone[0])


def test_a_normalised_weight_has_its_rows_directions_and_lengths() -> None:
    torch.manual_seed(1)
    linear = WeightNormLinear(INPUTS, OUTPUTS).double()
    with torch.no_grad():
        linear.magnitude.copy_(torch.tensor([1.0, 2.0, -3.0, 0.5]))
        linear.bias.copy_(values(OUTPUTS))
    x = values(2, 3, INPUTS)
    out = linear(x)
    for i, length in enumerate([1.0, 2.0, -3.0, 0.5]):
        v = linear.direction[i].detach()
        torch.testing.assert_close(out[..., i], length * (x @ v) / math.sqrt(float(v @ v)) + linear.bias[i])


def test_a_normalised_weight_begins_as_its_direction() -> None:
    torch.manual_seed(1)
    linear = WeightNormLinear(200, 300)
    linear.init_weights(gain=4.0)
    torch.testing.assert_close(linear.weight(), linear.direction.detach())
    assert linear.weight().std().item() == pytest.approx(math.sqrt(4 / 200), rel=0.02)
    assert not linear.bias.any()


@pytest.mark.parametrize("mode", [torch.enable_grad, torch.no_grad, torch.inference_mode])
def test_a_normalised_weight_follows_its_parameters_in_every_mode(mode: Callable[[], Any]) -> None:
    """A fused optimizer changes a parameter without counting its version up, so that nothing may be kept of it."""
    torch.manual_seed(1)
    linear = WeightNormLinear(INPUTS, OUTPUTS)
    with mode():
        first = linear.weight().clone()
    for parameter in linear.parameters():
        parameter.grad = torch.ones_like(parameter)
    torch.optim.AdamW(linear.parameters(), lr=0.1, fused=True).step()
    with mode():
        second = linear.weight()
    expected = linear.magnitude[:, None] * F.normalize(linear.direction, dim=1)
    torch.testing.assert_close(second, expected, check_stride=False)
    assert not torch.allclose(second, first)
