"""The simpler simple recurrent unit, which can replace the self-attention of a decoder."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from regard.nn.attention_memory import SequenceMemory
from regard.nn.kernels import layers, native
from regard.nn.modules import Linear


class SSRU(nn.Module):
    """f_t = sigma(W_f x_t + b_f), c_t = f_t c_{t-1} + (1 - f_t) W x_t, h_t = ReLU(c_t) (Kim et al. 2019).

    No matrix multiplies the state, so the products with W_f and W cover all positions at once, and only the second
    equation runs step by step. A parallel scan in log T steps takes six times as long on a CPU for 20 positions.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self.forget = Linear(size, size)  # W_f, b_f
        self.input = Linear(size, size, bias=False)  # W

    def forward(self, x: Tensor, sequence: SequenceMemory) -> Tensor:
        """Map x (N, T, D) to h (N, T, D), after what comes before it in the sequence."""
        return sequence.scan(self.scan, x)

    def scan(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Map x (N, T, D), after a state c (N, D), to h (N, T, D) and the last state (N, D)."""
        forget, inputs = self.forget(x), self.input(x)
        if x.size(-1) % native.UNIT == 0 and native.supports_inference(x) and state.dtype == x.dtype:
            return layers.ssru(forget, inputs, state)
        forget, inputs = torch.sigmoid(forget).to(state.dtype), inputs.to(state.dtype)  # autocast
        states: list[Tensor] = []
        for keep, new in zip(forget.unbind(1), inputs.unbind(1), strict=True):
            state = torch.lerp(new, state, keep)  # c_t (N, D)
            states.append(state)
        return torch.relu(torch.stack(states, dim=1)), state

    if TYPE_CHECKING:
        __call__ = forward
