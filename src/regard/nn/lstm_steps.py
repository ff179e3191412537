"""One step at a time through a torch.nn.LSTM, for a layer whose input waits for what the step before it gave."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from regard.nn.lstm import LSTMState


class LSTMCellStep:
    """A one-layer torch.nn.LSTM whose input is [known; fed], of which only the first `known` columns are known ahead.

    Made anew for every pass: it lays the layer's weights out so that a step is one product.
    """

    def __init__(self, lstm: nn.LSTM, known: int) -> None:
        weight, recurrent, bias, recurrent_bias = lstm.parameters()
        self.bias = bias + recurrent_bias
        self.known = weight[:, :known]
        self.stepped = torch.cat((weight[:, known:], recurrent), dim=1).t()  # (fed + W, 4W)

    def inputs(self, x: Tensor) -> Tensor:
        """What is known (N, T, known), over all positions at once, to its share of the gates (N, T, 4 x W)."""
        return F.linear(x, self.known, self.bias)

    def __call__(self, x: Tensor, fed: Tensor, state: LSTMState) -> LSTMState:
        """x, a column of inputs (N, 4 x W) or the bias alone (4 x W,), and fed (N, fed) to the next state."""
        hidden, cell = state
        gates = torch.addmm(x, torch.cat((fed, hidden), dim=1), self.stepped)
        enter, keep, candidate, leave = gates.chunk(4, dim=1)
        cell = torch.sigmoid(keep) * cell + torch.sigmoid(enter) * torch.tanh(candidate)
        return torch.sigmoid(leave) * torch.tanh(cell), cell
