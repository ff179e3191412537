"""Gated recurrent units."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from regard.nn import onnx_recurrence
from regard.nn.modules import Linear


class GatedUnit(nn.Module):
    """The gated hidden unit as Bahdanau et al. 2014 write it (appendices A.1.1 and A.2.1).

    z = sigma(x_z + U_z s), r = sigma(x_r + U_r s), s~ = tanh(x_s + U (r * s)), s' = (1 - z) * s + z * s~,
    where x = (x_z, x_r, x_s) comes from the input. The reset gate acts before U, unlike in torch.nn.GRU.
    Cho et al. 2014 have the same unit, with 1 - z for z.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size
        self.gates = Linear(size, 2 * size, bias=False)  # U_z over U_r
        self.candidate = Linear(size, size, bias=False)  # U

    def forward(self, x: Tensor, state: Tensor) -> Tensor:
        """Advance a state (N, D) by an input (N, 3 D) in the order z, r, s~."""
        gate_input, candidate_input = x.split((2 * self.size, self.size), dim=-1)
        update, reset = torch.sigmoid(gate_input + self.gates(state)).chunk(2, dim=-1)  # z, r (N, D)
        candidate = torch.tanh(candidate_input + self.candidate(reset * state))  # s~ (N, D)
        return torch.lerp(state, candidate, update)

    if TYPE_CHECKING:
        __call__ = forward


@torch.no_grad()
def init_orthogonal_(unit: GatedUnit) -> None:
    """Make each recurrent matrix a random orthogonal one (Bahdanau et al. 2014, appendix B.1)."""
    for weight in (*unit.gates.weight.split(unit.size), unit.candidate.weight):
        nn.init.orthogonal_(weight)


def scan(unit: GatedUnit, input_layer: Linear, x: Tensor, mask: Tensor, *, backward: bool = False) -> Tensor:
    """Run a unit over x (B, S, I) from a state of zeros, and return its states (B, S, D).

    The state does not change where mask (B, S) is False, so padding has no effect in either direction.

    Args:
        unit: The unit.
        input_layer: Maps x to the unit's inputs (B, S, 3 D).
        x: The sequences.
        mask: True at real positions, which come first.
        backward: Read the sequences from the last position to the first.
    """
    if torch.compiler.is_exporting():
        return onnx_recurrence.gated_states(unit, input_layer, x, mask, backward=backward)
    inputs = input_layer(x)
    state = inputs.new_zeros(inputs.size(0), unit.size)
    steps = list(zip(inputs.unbind(1), mask.unsqueeze(-1).unbind(1), strict=True))
    states: list[Tensor] = []
    for x, is_real in reversed(steps) if backward else steps:
        state = torch.where(is_real, unit(x, state), state)
        states.append(state)
    return torch.stack(states[::-1] if backward else states, dim=1)
