"""Linear layers in 8 bits for search on a CPU: weights once, activations at each call."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from regard.errors import ConfigError
from regard.nn import native

LEVELS = 127  # a row's largest value, in steps of its scale
ZERO = 128  # where 0 lies in a byte


def available() -> bool:
    """Whether there are kernels: our own, or oneDNN's in this PyTorch."""
    return native.has_int8() or _onednn()


def _onednn() -> bool:
    return torch.backends.mkldnn.is_available() and hasattr(torch.ops.onednn, "qlinear_pointwise")


def pays(weight: Tensor) -> bool:
    """Whether the product with a weight (O, I) takes less time in 8 bits: a small one takes less than the rounding."""
    return weight.numel() >= (2**12 if _ours(weight) else 2**17)


def _ours(weight: Tensor) -> bool:
    return native.has_int8() and weight.size(1) % native.LANES == 0


def int8_linear(weight: Tensor, bias: Tensor | None) -> nn.Module:
    """x W^T + b with each row of W and each row of x in steps of a 127th of its largest value.

    From a weight (O, I) and a bias (O,). A row's result depends on no other row. The products are added up as whole
    numbers; scales and bias come behind them in float32. Raises ConfigError where there are no kernels for it.
    """
    weight = weight.detach().float()
    bias = torch.zeros(len(weight)) if bias is None else bias.detach().float()
    scale = weight.abs().amax(1).clamp_min(1e-12) / LEVELS
    whole = (weight / scale[:, None]).round().to(torch.int8)
    if _ours(weight):
        return NativeLinear(whole, scale, bias)
    if not _onednn():
        raise ConfigError(
            "this machine has no 8-bit products: its PyTorch has none, and regard's own need a C compiler and a "
            "processor with AVX-512 VNNI",
            where="precision",
            fix="take float32",
        )
    return OneDnnLinear(whole, scale, bias)


class NativeLinear(nn.Module):
    """int8_linear by our own kernel: rounding, products, scales and bias in one pass."""

    def __init__(self, whole: Tensor, scale: Tensor, bias: Tensor) -> None:
        super().__init__()
        self.kernel = native.LinearInt8(whole, -ZERO * whole.sum(1, dtype=torch.int32), scale, bias)

    def narrowed(self, outputs: Tensor) -> native.LinearInt8:
        """What gives some of the outputs (U,) alone: (..., I) to (..., U)."""
        return self.kernel.narrowed(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """(..., I) to (..., O) in float32."""
        return self.kernel(x)

    def rectified(self) -> NativeLinear:
        """With max(0, ...) behind it: itself, changed."""
        self.kernel.least = 0.0
        return self

    __call__ = forward  # a module's own costs as much as a small product


class OneDnnLinear(nn.Module):
    """int8_linear by PyTorch's kernels, for processors that our own do not know.

    They hang for ever when given a weight of another layout, or activations with a sign.
    """

    def __init__(self, whole: Tensor, scale: Tensor, bias: Tensor) -> None:
        super().__init__()
        self.whole = whole.contiguous()
        self.packed = torch.ops.onednn.qlinear_prepack(self.whole, None)
        self.zeros = torch.zeros(len(whole), dtype=torch.long)
        self.scale, self.bias = scale, bias

    def narrowed(self, outputs: Tensor) -> OneDnnLinear:
        """The same for some of its outputs (U,) alone."""
        return OneDnnLinear(self.whole[outputs], self.scale[outputs], self.bias[outputs])

    def forward(self, x: Tensor) -> Tensor:
        """(..., I) to (..., O) in float32."""
        rows = x.reshape(-1, x.size(-1))
        scale = rows.abs().amax(1, keepdim=True).clamp_min_(1e-12).div_(LEVELS)
        steps = torch.div(rows, scale).add_(ZERO + 0.5).to(torch.int32).to(torch.uint8)
        out = torch.ops.onednn.qlinear_pointwise(
            steps, 1.0, ZERO, self.packed, self.scale, self.zeros, None, 1.0, 0, torch.float32, "none", [], ""
        )
        return torch.addcmul(self.bias, out, scale).view(*x.shape[:-1], -1)
