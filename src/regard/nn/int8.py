"""Linear layers in 8 bits for search on a CPU: weights are rounded once, activations at each call.

Sums of products are exact integers on every CPU. Our own kernels see to that (kernels/int8.c). Without them PyTorch's
oneDNN products do it where they are exact, which takes a CPU with VNNI: elsewhere they saturate, and are refused.
"""

from __future__ import annotations

import copy
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from regard.errors import ConfigError
from regard.nn.kernels import native

LEVELS = 127  # a row's largest value, in steps of its scale
ZERO = 128  # where 0 lies in an unsigned byte


def available() -> bool:
    """Return whether this machine has exact 8-bit products: our own, or oneDNN's in this PyTorch."""
    return native.library() is not None or onednn_is_exact()


@cache
def onednn_is_exact() -> bool:
    """Return whether oneDNN's products of bytes hold their largest sums, for the shapes that it treats differently.

    Without VNNI it adds two products in 16 bits, which saturate: 2 x 255 x 127 becomes 32,767.
    """
    if not (torch.backends.mkldnn.is_available() and hasattr(torch.ops.onednn, "qlinear_pointwise")):
        return False
    for rows, inputs, outputs in ((1, 16, 2), (1, 256, 64), (16, 64, 40), (64, 256, 512)):
        whole = torch.full((outputs, inputs), LEVELS, dtype=torch.int8)
        whole[1::2] = -LEVELS
        layer = OneDnnLinear(whole, torch.ones(outputs), torch.zeros(outputs))
        if not torch.equal(layer(torch.full((rows, inputs), float(LEVELS))), LEVELS * whole.sum(1).expand(rows, -1)):
            return False
    return True


def is_worthwhile(weight: Tensor) -> bool:
    """Return whether a product with a weight (O, I) takes less time in 8 bits.

    A small one takes less than rounding the activations does, and portable C is slower than PyTorch in float32.
    """
    kernels = native.library()
    if kernels is None:
        return weight.numel() >= 2**17
    return kernels.level != "plain" and weight.numel() >= 2**12


def int8_linear(weight: Tensor, bias: Tensor | None) -> nn.Module:
    """Return a layer x W^T + b with each row of W and of x in steps of a 127th of its largest value.

    From a weight (O, I) and a bias (O,). A row's result depends on no other row. Products are summed as integers,
    exactly; scales and bias are applied to the sums in float32. Raises ConfigError where there are no exact products.
    """
    weight = weight.detach().float()
    bias = torch.zeros(len(weight)) if bias is None else bias.detach().float()
    scale = weight.abs().amax(1).clamp_min(1e-12) / LEVELS
    whole = (weight / scale[:, None]).round().to(torch.int8)
    if native.library() is not None:
        return NativeLinear(whole, scale, bias)
    if not onednn_is_exact():
        raise ConfigError(
            "int8 is not available here: regard's own kernels are not in use (no C compiler, or REGARD_KERNELS=0), and "
            "PyTorch's 8-bit products saturate on a CPU without VNNI",
            where="precision",
            fix="install a C compiler, or take float32",
        )
    return OneDnnLinear(whole, scale, bias)


class NativeLinear(nn.Module):
    """int8_linear by our own kernel: rounding, products, scales and bias in one pass."""

    def __init__(self, whole: Tensor, scale: Tensor, bias: Tensor) -> None:
        super().__init__()
        self.fill = -whole.size(1) % native.UNIT  # the kernel wants whole multiples
        self.kernel = native.LinearInt8(F.pad(whole, (0, self.fill)), scale, bias)

    def select_outputs(self, outputs: Tensor) -> NativeLinear:
        """The same for some of its outputs (U,) alone."""
        narrow = copy.copy(self)
        narrow.kernel = self.kernel.select_outputs(outputs)
        return narrow

    def forward(self, x: Tensor) -> Tensor:
        """(..., I) to (..., O) in float32."""
        return self.kernel(F.pad(x, (0, self.fill)) if self.fill else x)

    def rectified(self) -> NativeLinear:
        """With max(0, ...) behind it: itself, changed."""
        self.kernel.least = 0.0
        return self

    __call__ = forward  # a module's own costs as much as a small product


class OneDnnLinear(nn.Module):
    """int8_linear by PyTorch's kernels, where there are none of our own and they are exact.

    They hang for ever when given a weight of another layout, or activations with a sign.
    """

    def __init__(self, whole: Tensor, scale: Tensor, bias: Tensor) -> None:
        super().__init__()
        self.whole = whole.contiguous()
        self.packed = torch.ops.onednn.qlinear_prepack(self.whole, None)
        self.zeros = torch.zeros(len(whole), dtype=torch.long)
        self.scale, self.bias = scale, bias

    def select_outputs(self, outputs: Tensor) -> OneDnnLinear:
        """The same for some of its outputs (U,) alone."""
        return OneDnnLinear(self.whole[outputs], self.scale[outputs], self.bias[outputs])

    def forward(self, x: Tensor) -> Tensor:
        """(..., I) to (..., O) in float32."""
        rows = x.reshape(-1, x.size(-1))
        scale = rows.abs().amax(1, keepdim=True).clamp_min_(1e-12).div_(LEVELS)
        steps = torch.div(rows, scale).round_().add_(ZERO).to(torch.int32).to(torch.uint8)
        out = torch.ops.onednn.qlinear_pointwise(
            steps, 1.0, ZERO, self.packed, self.scale, self.zeros, None, 1.0, 0, torch.float32, "none", [], ""
        )
        return torch.addcmul(self.bias, out, scale).view(*x.shape[:-1], -1)
