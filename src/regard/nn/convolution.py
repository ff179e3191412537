"""Convolutions over time, causal or centred, dilated, with weight normalization or without.

A kernel over k inputs of size D is a matrix (out, k x D) applied to their concatenation, the earliest first. With
dilation r, the inputs are r positions apart.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

LinearFactory = Callable[[int, int], nn.Module]
"""(input size, output size) to a linear layer with a bias."""


class WeightNormLinear(nn.Module):
    """W x + b, where row i of W is g_i v_i / |v_i| (Salimans and Kingma 2016, equation 2)."""

    def __init__(self, input_size: int, output_size: int) -> None:
        super().__init__()
        self.direction = nn.Parameter(torch.empty(output_size, input_size))  # v
        self.magnitude = nn.Parameter(torch.empty(output_size))  # g
        self.bias = nn.Parameter(torch.empty(output_size))
        self.init_weights()

    @torch.no_grad()
    def init_weights(self, gain: float = 1.0) -> None:
        """Draw W from N(0, gain / inputs), and set b to zero."""
        nn.init.normal_(self.direction, std=math.sqrt(gain / self.direction.size(1)))
        self.magnitude.copy_(self.direction.norm(dim=1))
        nn.init.zeros_(self.bias)

    def weight(self) -> Tensor:
        """Return W (output size, input size)."""
        return torch._weight_norm(self.direction, self.magnitude.unsqueeze(1), dim=0)

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., input size) to (..., output size)."""
        return F.linear(x, self.weight(), self.bias)

    if TYPE_CHECKING:
        __call__ = forward


def windows(x: Tensor, kernel_size: int, dilation: int) -> Tensor:
    """Concatenate the inputs of a kernel at each position: (N, T + (k - 1) x dilation, D) to (N, T, k x D)."""
    if kernel_size == 1:
        return x
    length = x.size(1) - (kernel_size - 1) * dilation
    return torch.cat([x[:, tap * dilation : tap * dilation + length] for tap in range(kernel_size)], dim=-1)


class CausalConvolution(nn.Module):
    """Position t reads positions t, t - r, ..., t - (k - 1) r; before the first position there are zeros."""

    def __init__(
        self,
        input_size: int,
        output_size: int,
        kernel_size: int,
        dilation: int = 1,
        linear: LinearFactory = nn.Linear,
    ) -> None:
        super().__init__()
        self.input_size = input_size
        self.kernel_size = kernel_size
        self.dilation = dilation
        self.reach = (kernel_size - 1) * dilation
        self.linear = linear(kernel_size * input_size, output_size)

    def forward(self, x: Tensor) -> Tensor:
        """Map a whole sequence (N, T, input size) to (N, T, output size)."""
        out: Tensor = self.linear(windows(F.pad(x, (0, 0, self.reach, 0)), self.kernel_size, self.dilation))
        return out

    def initial_state(self, like: Tensor) -> Tensor:
        """Return the inputs before the first position, zeros (N, reach, input size), for as many rows as `like`."""
        return like.new_zeros(like.size(0), self.reach, self.input_size)

    def step(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Map one position (N, input size) after the last `reach` inputs to (N, output size), and the next state."""
        inputs = torch.cat((state, x.unsqueeze(1)), dim=1)  # (N, reach + 1, input size)
        out: Tensor = self.linear(windows(inputs, self.kernel_size, self.dilation).squeeze(1))
        return out, inputs[:, 1:]

    if TYPE_CHECKING:
        __call__ = forward


class CentredConvolution(nn.Module):
    """Position t reads as many positions after it as before it, or one more if the kernel is even.

    Outside the sentence there are zeros.
    """

    def __init__(
        self,
        input_size: int,
        output_size: int,
        kernel_size: int,
        dilation: int = 1,
        linear: LinearFactory = nn.Linear,
    ) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.dilation = dilation
        self.linear = linear(kernel_size * input_size, output_size)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Map (N, T, input size), read as zero where mask (N, T) is False, to (N, T, output size)."""
        before, after = (self.kernel_size - 1) // 2 * self.dilation, self.kernel_size // 2 * self.dilation
        if self.kernel_size > 1:
            x = F.pad(x * mask.unsqueeze(-1), (0, 0, before, after))
        out: Tensor = self.linear(windows(x, self.kernel_size, self.dilation))
        return out

    if TYPE_CHECKING:
        __call__ = forward
