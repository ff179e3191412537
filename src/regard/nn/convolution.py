"""Convolutions over time whose kernels are matrices: causal or centred, dilated, with weights normalised or not.

A kernel over k inputs of width D is a matrix (out, k x D) that reads their concatenation, the earliest
first. With dilation r those inputs are r positions apart.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Linear = Callable[[int, int], nn.Module]  # (inputs, outputs) to a linear map with a bias


class WeightNormLinear(nn.Module):
    """W x + b, where row i of W is g_i v_i / |v_i| (Salimans and Kingma 2016, equation 2)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.direction = nn.Parameter(torch.empty(outputs, inputs))  # v
        self.magnitude = nn.Parameter(torch.empty(outputs))  # g
        self.bias = nn.Parameter(torch.empty(outputs))
        self.draw()

    def draw(self, gain: float = 1.0) -> None:
        """Fresh weights: W from N(0, gain / inputs), b zero."""
        with torch.no_grad():
            nn.init.normal_(self.direction, std=math.sqrt(gain / self.direction.size(1)))
            self.magnitude.copy_(self.direction.norm(dim=1))
            nn.init.zeros_(self.bias)

    def weight(self) -> Tensor:
        """W (outputs, inputs)."""
        return torch._weight_norm(self.direction, self.magnitude.unsqueeze(1), dim=0)

    def forward(self, x: Tensor) -> Tensor:
        """(..., inputs) to (..., outputs)."""
        return F.linear(x, self.weight(), self.bias)


def windows(x: Tensor, kernel: int, dilation: int) -> Tensor:
    """x (N, T + (kernel - 1) x dilation, D) to what the kernel reads at each place, (N, T, kernel x D)."""
    if kernel == 1:
        return x
    length = x.size(1) - (kernel - 1) * dilation
    return torch.cat([x[:, tap * dilation : tap * dilation + length] for tap in range(kernel)], dim=-1)


class CausalConvolution(nn.Module):
    """Position t reads positions t, t - r, ..., t - (k - 1) r; before the first there are zeros."""

    def __init__(self, inputs: int, outputs: int, kernel: int, dilation: int = 1, linear: Linear = nn.Linear) -> None:
        super().__init__()
        self.inputs = inputs
        self.kernel = kernel
        self.dilation = dilation
        self.reach = (kernel - 1) * dilation
        self.linear = linear(kernel * inputs, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """A whole sequence (N, T, inputs) to (N, T, outputs)."""
        out: Tensor = self.linear(windows(F.pad(x, (0, 0, self.reach, 0)), self.kernel, self.dilation))
        return out

    def start(self, like: Tensor) -> Tensor:
        """What lies before the first position, (N, reach, inputs), for as many rows as `like` (N, ...) has."""
        return like.new_zeros(like.size(0), self.reach, self.inputs)

    def step(self, x: Tensor, past: Tensor) -> tuple[Tensor, Tensor]:
        """One position x (N, inputs) behind the last `reach` ones to (N, outputs), and the past behind it."""
        seen = torch.cat((past, x.unsqueeze(1)), dim=1)
        out: Tensor = self.linear(windows(seen, self.kernel, self.dilation).squeeze(1))
        return out, seen[:, 1:]


class CentredConvolution(nn.Module):
    """Position t reads as many positions behind it as before it; outside the sentence there are zeros."""

    def __init__(self, inputs: int, outputs: int, kernel: int, dilation: int = 1, linear: Linear = nn.Linear) -> None:
        super().__init__()
        assert kernel % 2 == 1
        self.kernel = kernel
        self.dilation = dilation
        self.linear = linear(kernel * inputs, outputs)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """x (N, T, inputs), read as zero where mask (N, T) is False, to (N, T, outputs)."""
        side = (self.kernel - 1) // 2 * self.dilation
        if self.kernel > 1:
            x = F.pad(x * mask.unsqueeze(-1), (0, 0, side, side))
        out: Tensor = self.linear(windows(x, self.kernel, self.dilation))
        return out
