"""Recurrent layers as single ONNX operators, for `torch.export`.

An exported graph has no loop over the positions of a source, because their number is unknown. ONNX has operators for
the whole recurrence of a gated unit and of an LSTM; PyTorch traces them as calls of `torch.onnx.ops.symbolic`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from regard.nn.lstm import LSTMState
    from regard.nn.recurrent import GatedUnit


def gated_states(unit: GatedUnit, input_layer: nn.Linear, x: Tensor, mask: Tensor, *, backward: bool) -> Tensor:
    """Return the states (B, S, D) of `regard.nn.recurrent.scan`.

    ONNX has 1 - z for z, so the weights of z are negated.
    """
    size = unit.size
    weight, bias = _negate_first(input_layer.weight, size), _negate_first(input_layer.bias, size)
    recurrent = torch.cat((_negate_first(unit.gates.weight, size), unit.candidate.weight))
    lengths = mask.sum(1)
    states = torch.onnx.ops.symbolic(
        "GRU",
        (
            x.transpose(0, 1),
            weight.unsqueeze(0),
            recurrent.unsqueeze(0),
            torch.cat((bias, torch.zeros_like(bias))).unsqueeze(0),
            lengths.int(),
        ),
        {"hidden_size": size, "direction": "reverse" if backward else "forward"},
        dtype=x.dtype,
        shape=(x.size(1), 1, x.size(0), size),
        version=14,
    )
    states = states.squeeze(1).transpose(0, 1)  # (B, S, D), zero in the padding
    if backward:
        return states
    last = torch.minimum(torch.arange(mask.size(1), device=mask.device), lengths.unsqueeze(1) - 1)  # (B, S)
    return states.gather(1, last.unsqueeze(-1).expand(-1, -1, size))


def _negate_first(weight: Tensor, count: int) -> Tensor:
    return torch.cat((-weight[:count], weight[count:]))


def lstm(layer: nn.LSTM, x: Tensor, mask: Tensor | None, state: LSTMState) -> tuple[Tensor, LSTMState]:
    """Run a layer as `regard.nn.lstm.run_lstm` does."""
    weight, recurrent, bias, recurrent_bias = (_reorder_gates(parameter) for parameter in layer.parameters())
    size, (length, rows) = layer.hidden_size, (x.size(1), x.size(0))
    outputs, hidden, cell = torch.onnx.ops.symbolic_multi_out(
        "LSTM",
        (
            x.transpose(0, 1),
            weight.unsqueeze(0),
            recurrent.unsqueeze(0),
            torch.cat((bias, recurrent_bias)).unsqueeze(0),
            None if mask is None else mask.sum(1).int(),
            state[0].unsqueeze(0),
            state[1].unsqueeze(0),
        ),
        {"hidden_size": size},
        dtypes=(x.dtype,) * 3,
        shapes=((length, 1, rows, size), (1, rows, size), (1, rows, size)),
        version=14,
    )
    return outputs.squeeze(1).transpose(0, 1), (hidden.squeeze(0), cell.squeeze(0))


def _reorder_gates(weight: Tensor) -> Tensor:
    """Reorder PyTorch's gates (input, forget, candidate, output) to ONNX's (input, output, forget, candidate)."""
    input_gate, forget, candidate, output = weight.chunk(4)
    return torch.cat((input_gate, output, forget, candidate))
