"""Long short-term memory over padded batches: torch.nn.LSTM's cell, with row-first states.

A state is (h, c) of one layer, each (N, D).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from regard.nn import onnx_recurrence
from regard.nn.dropout import Dropout
from regard.nn.modules import ModuleList

LSTMState = tuple[Tensor, Tensor]
SATURATED = 1e4  # makes a gate exactly 0 or 1, whatever else is added to it
# Devices on which autocast runs an LSTM in float16, whatever its own dtype is. Gradients of a mean over thousands of
# tokens underflow in it, so that an LSTM runs in float32 there.
FLOAT16_DEVICES = ("cuda",)


def run_lstm(
    lstm: nn.LSTM, x: Tensor, *, mask: Tensor | None = None, state: LSTMState | None = None
) -> tuple[Tensor, LSTMState]:
    """Run one layer in one direction, batch first.

    Args:
        lstm: The layer.
        x: (N, T, I).
        mask: (N, T), True at real positions, which come first. Each row has at least one.
        state: The state before the first position; zeros by default.

    Returns:
        The outputs (N, T, D), 0 where mask is False, and the state after each row's last real position.
    """
    if state is None:
        state = (x.new_zeros(x.size(0), lstm.hidden_size),) * 2
    if torch.compiler.is_exporting():
        return onnx_recurrence.lstm(lstm, x, mask, state)
    if x.device.type in FLOAT16_DEVICES and torch.is_autocast_enabled(x.device.type):
        with torch.autocast(x.device.type, enabled=False):
            hidden, cell = state
            return run_lstm(lstm, x.float(), mask=mask, state=(hidden.float(), cell.float()))
    if mask is not None:
        return (run_lstm_held if x.device.type == "cpu" else run_lstm_packed)(lstm, x, mask, state)
    if x.size(1) == 1:  # one step without the overhead of a run
        hidden, cell = torch.lstm_cell(x.squeeze(1), state, *lstm.parameters())
        return hidden.unsqueeze(1), (hidden, cell)
    outputs, (hidden, cell) = lstm(x, (state[0].unsqueeze(0), state[1].unsqueeze(0)))
    return outputs, (hidden.squeeze(0), cell.squeeze(0))


def run_lstm_packed(lstm: nn.LSTM, x: Tensor, mask: Tensor, state: LSTMState) -> tuple[Tensor, LSTMState]:
    """Run a layer as `run_lstm` does, with a packed sequence."""
    packed = pack_padded_sequence(x, mask.sum(1).cpu(), batch_first=True, enforce_sorted=False)
    packed_outputs, (hidden, cell) = lstm(packed, (state[0].unsqueeze(0), state[1].unsqueeze(0)))
    outputs, _ = pad_packed_sequence(packed_outputs, batch_first=True, total_length=x.size(1))
    return outputs, (hidden.squeeze(0), cell.squeeze(0))


def run_lstm_held(lstm: nn.LSTM, x: Tensor, mask: Tensor, state: LSTMState) -> tuple[Tensor, LSTMState]:
    """Run a layer as `run_lstm` does, over the padding too, where c does not change.

    An additional input marks padding; its weights close the input gate and open the forget gate. On a CPU, training
    takes three fifths of the time of a packed sequence.
    """
    weight, *other_parameters = lstm.parameters()
    hold = weight.new_zeros(4, lstm.hidden_size)  # torch's order of gates: input, forget, candidate, output
    hold[0], hold[1] = -SATURATED, SATURATED
    inputs = torch.cat((x, (~mask).unsqueeze(-1).to(x.dtype)), dim=-1)  # (N, T, I + 1)
    weights = [torch.cat((weight, hold.view(-1, 1)), dim=1), *other_parameters]
    initial = [state[0].unsqueeze(0), state[1].unsqueeze(0)]
    outputs, _, cell = torch.lstm(inputs, initial, weights, True, 1, 0.0, lstm.training, False, True)
    last = outputs[torch.arange(x.size(0), device=x.device), mask.sum(1) - 1]  # h (N, D)
    return outputs * mask.unsqueeze(-1), (last, cell.squeeze(0))


def reverse_sequences(x: Tensor, mask: Tensor) -> Tensor:
    """Reverse the order of the real positions of x (N, T, ...). Padding stays at the end."""
    positions = torch.arange(mask.size(1), device=mask.device).expand_as(mask)
    index = torch.where(mask, mask.sum(1, keepdim=True) - 1 - positions, positions)
    return x[torch.arange(x.size(0), device=x.device).unsqueeze(1), index]


class LSTMStack(nn.Module):
    """LSTM layers, each of which reads the outputs of the one below, with dropout between them."""

    def __init__(self, input_size: int, hidden_size: int, num_layers: int, dropout: float) -> None:
        super().__init__()
        self.layers: ModuleList[nn.LSTM] = ModuleList(
            nn.LSTM(hidden_size if layer else input_size, hidden_size, batch_first=True) for layer in range(num_layers)
        )
        self.dropout = Dropout(dropout)

    def forward(
        self, x: Tensor, *, mask: Tensor | None = None, states: Sequence[LSTMState] | None = None
    ) -> tuple[Tensor, tuple[LSTMState, ...]]:
        """Return the top layer's outputs (N, T, D) and each layer's last state; arguments as in `run_lstm`."""
        last_states: list[LSTMState] = []
        for index, layer in enumerate(self.layers):
            state = None if states is None else states[index]
            x, last = run_lstm(layer, self.dropout(x) if index else x, mask=mask, state=state)
            last_states.append(last)
        return x, tuple(last_states)

    if TYPE_CHECKING:
        __call__ = forward


class LSTMCellStep:
    """One step at a time through a one-layer torch.nn.LSTM whose input is [known; fed].

    Only the first `known_size` columns of the input are known before the step before has run. The weights are
    rearranged once per pass, so that a step is one product.
    """

    def __init__(self, lstm: nn.LSTM, known_size: int) -> None:
        weight, recurrent, bias, recurrent_bias = lstm.parameters()
        self.bias = bias + recurrent_bias
        self.known_weight = weight[:, :known_size]
        self.step_weight = torch.cat((weight[:, known_size:], recurrent), dim=1).t()  # (fed + D, 4 D)

    def project_known(self, x: Tensor) -> Tensor:
        """Project the known inputs (N, T, known_size) of all positions to their share of the gates (N, T, 4 D)."""
        return F.linear(x, self.known_weight, self.bias)

    def __call__(self, x: Tensor, fed: Tensor, state: LSTMState) -> LSTMState:
        """Advance the state by a position of `project_known`, (N, 4 D), or the bias alone, (4 D,), and fed (N, F)."""
        hidden, cell = state
        gates = torch.addmm(x, torch.cat((fed, hidden), dim=1), self.step_weight)  # (N, 4 D)
        input_gate, forget_gate, candidate, output_gate = gates.chunk(4, dim=1)
        cell = torch.sigmoid(forget_gate) * cell + torch.sigmoid(input_gate) * torch.tanh(candidate)
        return torch.sigmoid(output_gate) * torch.tanh(cell), cell


def init_uniform_(module: nn.Module, bound: float) -> None:
    """Draw every parameter from U(-bound, bound)."""
    for parameter in module.parameters():
        nn.init.uniform_(parameter, -bound, bound)
