"""Recurrent units."""

import torch
from torch import Tensor, nn


class GatedUnit(nn.Module):
    """The gated hidden unit, as Bahdanau et al. 2014 write it (appendix A.1.1 and A.2.1).

    z = sigma(x_z + U_z s), r = sigma(x_r + U_r s), s~ = tanh(x_s + U (r * s)), s' = (1 - z) * s + z * s~,
    where x = (x_z, x_r, x_s) is whatever the input adds. The reset gate acts before U, unlike in
    torch.nn.GRU. Cho et al. 2014 have the same unit with the update gate's sense turned round.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        self.gates = nn.Linear(width, 2 * width, bias=False)  # U_z over U_r
        self.candidate = nn.Linear(width, width, bias=False)  # U

    def forward(self, x: Tensor, state: Tensor) -> Tensor:
        """Input (N, 3 x W) in the order z, r, s~, and state (N, W), to the next state (N, W)."""
        gate_input, candidate_input = x.split((2 * self.width, self.width), dim=-1)
        update, reset = torch.sigmoid(gate_input + self.gates(state)).chunk(2, dim=-1)
        candidate = torch.tanh(candidate_input + self.candidate(reset * state))
        return torch.lerp(state, candidate, update)


def orthogonal_(unit: GatedUnit) -> None:
    """Each recurrent matrix a random orthogonal one (Bahdanau et al. 2014, appendix B.1)."""
    with torch.no_grad():
        for weight in (*unit.gates.weight.split(unit.width), unit.candidate.weight):
            nn.init.orthogonal_(weight)


def scan(unit: GatedUnit, inputs: Tensor, mask: Tensor, *, backward: bool = False) -> Tensor:
    """A unit over inputs (B, S, 3 x W) from a state of zeros to its states (B, S, W).

    The state stands still at positions that mask (B, S) does not mark, so that padding changes
    nothing in either direction.
    """
    state = inputs.new_zeros(inputs.size(0), unit.width)
    steps = list(zip(inputs.unbind(1), mask.unsqueeze(-1).unbind(1), strict=True))
    states: list[Tensor] = []
    for x, real in reversed(steps) if backward else steps:
        state = torch.where(real, unit(x, state), state)
        states.append(state)
    return torch.stack(states[::-1] if backward else states, dim=1)
