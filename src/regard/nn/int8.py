"""Linear layers in 8 bits for search on a CPU: weights once, activations at each call."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from regard.errors import ConfigError

LEVELS = 127  # a row's largest value, in steps of its scale
ZERO = 128  # where 0 lies in a byte


def available() -> bool:
    """Whether this PyTorch has the kernels: oneDNN's, on a CPU."""
    return torch.backends.mkldnn.is_available() and hasattr(torch.ops.onednn, "qlinear_pointwise")


class Int8Linear(nn.Module):
    """x W^T + b with each row of W and each row of x in steps of a 127th of its largest value.

    A row's result depends on no other row. The products are added up as whole numbers; scales and
    bias come behind them in float32.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        """From a weight (O, I) and a bias (O,). Raises ConfigError where there are no kernels for it."""
        super().__init__()
        if not available():
            raise ConfigError(
                "this PyTorch has no 8-bit products for the CPU",
                where="precision",
                fix="take float32, or another build",
            )
        weight = weight.detach().float()
        self.scale = weight.abs().amax(1).clamp_min(1e-12) / LEVELS
        whole = (weight / self.scale[:, None]).round().to(torch.int8)
        self.packed = torch.ops.onednn.qlinear_prepack(whole.contiguous(), None)
        self.zeros = torch.zeros(len(weight), dtype=torch.long)
        self.bias = None if bias is None else bias.detach().float().clone()

    def forward(self, x: Tensor) -> Tensor:
        """(..., I) to (..., O) in float32."""
        rows = x.reshape(-1, x.size(-1))
        scale = rows.abs().amax(1, keepdim=True).clamp_min_(1e-12).div_(LEVELS)
        steps = torch.div(rows, scale).add_(ZERO + 0.5).to(torch.int32).to(torch.uint8)
        out = torch.ops.onednn.qlinear_pointwise(
            steps, 1.0, ZERO, self.packed, self.scale, self.zeros, None, 1.0, 0, torch.float32, "none", [], ""
        )
        out = out.mul_(scale) if self.bias is None else torch.addcmul(self.bias, out, scale)
        return out.view(*x.shape[:-1], -1)
