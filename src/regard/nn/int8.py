"""Linear layers in 8 bits for search on a CPU: weights are rounded once, activations at each call.

Sums of products are exact integers on every CPU. The native kernels (kernels/int8.c) guarantee that. Without them,
PyTorch's oneDNN products are used if they are exact, which needs a CPU with VNNI; elsewhere they saturate and are
refused.
"""

from __future__ import annotations

import copy
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from regard.errors import ConfigError
from regard.nn.kernels import native
from regard.nn.kernels.linear import LinearInt8

LEVELS = 127  # a row's largest value, in steps of its scale
LARGEST_SUM = 128  # of the positive weights, and of the negative ones, whose products int8.c adds in 16 bits
ZERO = 128  # the unsigned byte that represents 0


def available() -> bool:
    """Return whether this machine has exact 8-bit products: native ones, or oneDNN's in this PyTorch."""
    return native.library() is not None or onednn_is_exact()


@cache
def onednn_is_exact() -> bool:
    """Return whether oneDNN's products of bytes hold their largest sums, for shapes that take different code paths.

    Without VNNI, oneDNN adds two products in 16 bits, which saturate: 2 x 255 x 127 becomes 32,767.
    """
    if not (torch.backends.mkldnn.is_available() and hasattr(torch.ops.onednn, "qlinear_pointwise")):
        return False
    for rows, inputs, outputs in ((1, 16, 2), (1, 256, 64), (16, 64, 40), (64, 256, 512)):
        weight = torch.full((outputs, inputs), LEVELS, dtype=torch.int8)
        weight[1::2] = -LEVELS
        layer = OneDnnLinear(weight, torch.ones(outputs), torch.zeros(outputs))
        x = torch.full((rows, inputs), float(LEVELS))
        if not torch.equal(layer(x), LEVELS * weight.sum(1).expand(rows, -1)):
            return False
    return True


def is_worthwhile(weight: Tensor) -> bool:
    """Return whether a product with a weight (O, I) is faster in 8 bits.

    For a small weight, rounding the activations takes longer than it saves. Portable C is slower than PyTorch's
    float32.
    """
    kernels = native.library()
    if kernels is None:
        return weight.numel() >= 2**17
    return kernels.level != "plain" and weight.numel() >= 2**12


def int8_linear(weight: Tensor, bias: Tensor | None) -> nn.Module:
    """Return a layer x W^T + b in which each row of W and of x is rounded to steps.

    A step of x is a 127th of the row's largest value. That of W may be larger (see `scales`). The result of a row does
    not depend on other rows. Products are summed exactly, as integers; scales and bias are applied to the sums in
    float32.

    Args:
        weight: (O, I).
        bias: (O,).

    Raises:
        ConfigError: This machine has no exact 8-bit products.
    """
    weight = weight.detach().float()
    bias = torch.zeros(len(weight)) if bias is None else bias.detach().float()
    scale = scales(weight)
    rounded = (weight / scale[:, None]).round().to(torch.int8)
    if native.library() is not None:
        return NativeLinear(rounded, scale, bias)
    if not onednn_is_exact():
        raise ConfigError(
            "int8 is not available here: regard's own kernels are not in use (no C compiler, or REGARD_KERNELS=0), and "
            "PyTorch's 8-bit products saturate on a CPU without VNNI",
            where="precision",
            fix="install a C compiler, or use float32",
        )
    return OneDnnLinear(rounded, scale, bias)


def scales(weight: Tensor) -> Tensor:
    """Return the size of a step (O,) for each row of a weight (O, I).

    A row has at most 127 steps, and 128 in each sum of positive or of negative weights that `largest_sums` returns, so
    that AVX2 can add the products of four inputs in 16 bits. In rows of a trained model, the largest weight then has
    about 75 steps (benchmarks/RESULTS.md).
    """
    largest, sums = weight.abs().amax(1).clamp_min(1e-12) / LEVELS, largest_sums(weight)
    scale = torch.maximum(largest, sums / LARGEST_SUM)
    is_too_small = largest_sums((weight / scale[:, None]).round()) > LARGEST_SUM  # rounding adds up to 4 / 2 steps
    return torch.where(is_too_small, torch.maximum(largest, sums / (LARGEST_SUM - 2)), scale)


def largest_sums(weight: Tensor) -> Tensor:
    """Return the largest size (O,) of a sum of positive or of negative weights (O, I) whose products are added first.

    These are the weights of four inputs: two pairs, of which the second is four inputs after the first.
    """
    fours = F.pad(weight, (0, -weight.size(1) % 8)).view(len(weight), -1, 2, 2, 2)  # (O, I/8, pair, which, in pair)
    sums = (part.clamp_min(0).sum((2, 4)).amax((1, 2)) for part in (fours, -fours))
    return torch.maximum(*sums)


class NativeLinear(nn.Module):
    """`int8_linear` by a native kernel: rounding, products, scales and bias in one pass."""

    def __init__(self, weight: Tensor, scale: Tensor, bias: Tensor) -> None:
        super().__init__()
        self.padding = -weight.size(1) % native.UNIT  # the kernel needs multiples of UNIT
        self.kernel = LinearInt8(F.pad(weight, (0, self.padding)), scale, bias)

    def select_outputs(self, outputs: Tensor) -> NativeLinear:
        """Return a layer with only these outputs (U,)."""
        selected = copy.copy(self)
        selected.kernel = self.kernel.select_outputs(outputs)
        return selected

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., I) to (..., O) in float32."""
        return self.kernel(F.pad(x, (0, self.padding)) if self.padding else x)

    def fuse_relu(self) -> None:
        """Apply max(0, ...) to the outputs from now on."""
        self.kernel.minimum = 0.0

    __call__ = forward  # nn.Module's own costs as much as a small product


class OneDnnLinear(nn.Module):
    """`int8_linear` by PyTorch's kernels, used without native kernels if it is exact.

    qlinear_pointwise never returns for a weight in another layout, or for signed activations.
    """

    def __init__(self, weight: Tensor, scale: Tensor, bias: Tensor) -> None:
        super().__init__()
        self.weight = weight.contiguous()
        self.packed = torch.ops.onednn.qlinear_prepack(self.weight, None)
        self.zeros = torch.zeros(len(weight), dtype=torch.long)
        self.scale, self.bias = scale, bias

    def select_outputs(self, outputs: Tensor) -> OneDnnLinear:
        """Return a layer with only these outputs (U,)."""
        return OneDnnLinear(self.weight[outputs], self.scale[outputs], self.bias[outputs])

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., I) to (..., O) in float32."""
        rows = x.reshape(-1, x.size(-1))
        scale = rows.abs().amax(1, keepdim=True).clamp_min_(1e-12).div_(LEVELS)
        steps = torch.div(rows, scale).round_().add_(ZERO).to(torch.int32).to(torch.uint8)
        out = torch.ops.onednn.qlinear_pointwise(
            steps, 1.0, ZERO, self.packed, self.scale, self.zeros, None, 1.0, 0, torch.float32, "none", [], ""
        )
        return torch.addcmul(self.bias, out, scale).view(*x.shape[:-1], -1)
