"""Linear layers in float32 for search on a CPU, with weights packed once for a native kernel."""

from __future__ import annotations

import copy

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from regard.nn.kernels import native
from regard.nn.kernels.linear import LinearFloat32

LEVELS = ("v4", "v3vnni", "v3")  # where the kernel was compared with PyTorch (benchmarks/RESULTS.md)
SMALLEST = 2**12  # weights in a matrix that is worth packing


def can_pack(weight: Tensor) -> bool:
    """Return whether a product with a weight (O, I) is faster packed."""
    kernels = native.library()
    return (
        kernels is not None
        and kernels.level in LEVELS
        and weight.is_cpu
        and weight.dtype == torch.float32
        and weight.numel() >= SMALLEST
    )


class PackedLinear(nn.Module):
    """x W^T + b. The outputs of a row do not depend on other rows. It has no parameters.

    Args:
        weight: W (O, I).
        bias: b (O,).
    """

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        super().__init__()
        self.kernel = LinearFloat32(weight.detach(), torch.zeros(len(weight)) if bias is None else bias.detach())

    def select_outputs(self, outputs: Tensor) -> PackedLinear:
        """Return a layer with only these outputs (U,)."""
        selected = copy.copy(self)
        selected.kernel = self.kernel.select_outputs(outputs)
        return selected

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., I) to (..., O)."""
        if native.supports(x) and not (x.requires_grad and torch.is_grad_enabled()):
            return self.kernel(x)
        out = F.linear(x, self.kernel.weight.to(x), self.kernel.bias.to(x))
        return out if self.kernel.minimum < 0 else out.relu()

    def fuse_relu(self) -> None:
        """Apply max(0, ...) to the outputs from now on."""
        self.kernel.minimum = 0.0

    __call__ = forward  # nn.Module's own costs as much as a small product
