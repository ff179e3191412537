from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from regard.nn import lstm as module
from regard.nn.lstm import (
    LSTMStack,
    LSTMState,
    init_uniform_,
    reverse_sequences,
    run_lstm,
    run_lstm_held,
    run_lstm_packed,
)

INPUTS, WIDTH, LENGTHS = 3, 4, [6, 2, 4, 1]
Way = Callable[[nn.LSTM, Tensor, Tensor, LSTMState], tuple[Tensor, LSTMState]]


def values(*shape: int, seed: int = 2) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def layer() -> nn.LSTM:
    torch.manual_seed(1)
    return nn.LSTM(INPUTS, WIDTH, batch_first=True).double().requires_grad_(False)


def stack(layers: int = 3, dropout: float = 0.0) -> LSTMStack:
    torch.manual_seed(1)
    return LSTMStack(INPUTS, WIDTH, layers, dropout).double().requires_grad_(False)


def random_state(seed: int) -> LSTMState:
    return values(len(LENGTHS), WIDTH, seed=seed), values(len(LENGTHS), WIDTH, seed=seed + 1)


def mask_of(lengths: list[int], width: int) -> Tensor:
    return torch.arange(width) < torch.tensor(lengths)[:, None]


def step(lstm: nn.LSTM, x: Tensor, state: LSTMState) -> LSTMState:
    """The cell's equations, one row: x (D,), h and c (W,)."""
    hidden, cell = state
    weight, recurrent, bias, recurrent_bias = lstm.parameters()
    gates = weight @ x + bias + recurrent @ hidden + recurrent_bias
    enter, keep, candidate, leave = gates.split(WIDTH)
    cell = torch.sigmoid(keep) * cell + torch.sigmoid(enter) * torch.tanh(candidate)
    return torch.sigmoid(leave) * torch.tanh(cell), cell


@pytest.mark.parametrize("way", [run_lstm_packed, run_lstm_held])
def test_a_masked_run_has_the_gradients_of_rows_alone(way: Way) -> None:
    lstm, x, mask = layer().requires_grad_(), values(4, 8, INPUTS).requires_grad_(), mask_of(LENGTHS, 8)
    state, leaves = random_state(5), [x, *lstm.parameters()]
    outputs, (hidden, cell) = way(lstm, x, mask, state)
    rows = [
        run_lstm(lstm, x[row : row + 1, :length], state=(state[0][row : row + 1], state[1][row : row + 1]))
        for row, length in enumerate(LENGTHS)
    ]
    weights = values(4, 8, WIDTH, seed=13)
    together = (outputs * weights).sum() + (hidden * weights[:, 0]).sum() + (cell * weights[:, 1]).sum()
    apart = sum(
        (outs[0] * weights[row, : outs.size(1)]).sum() + (h[0] * weights[row, 0]).sum() + (c[0] * weights[row, 1]).sum()
        for row, (outs, (h, c)) in enumerate(rows)
    )
    assert isinstance(apart, Tensor)
    torch.testing.assert_close(together, apart)
    for gradient, expected_gradient in zip(
        torch.autograd.grad(together, leaves), torch.autograd.grad(apart, leaves), strict=True
    ):
        torch.testing.assert_close(gradient, expected_gradient)


@pytest.mark.parametrize("way", [run_lstm_packed, run_lstm_held])
def test_both_ways_of_running_over_padding_agree_in_float32(way: Way) -> None:
    lstm, mask, state = layer().float(), mask_of(LENGTHS, 8), (random_state(5)[0].float(), random_state(5)[1].float())
    x = 10 * values(4, 8, INPUTS).float()
    outputs, (hidden, cell) = way(lstm, x, mask, state)
    for row, length in enumerate(LENGTHS):
        rows = slice(row, row + 1)
        alone, (last, last_cell) = run_lstm(lstm, x[rows, :length], state=(state[0][rows], state[1][rows]))
        torch.testing.assert_close(outputs[rows, :length], alone)
        torch.testing.assert_close((hidden[rows], cell[rows]), (last, last_cell))
        assert outputs[row, length:].eq(0).all()


@pytest.mark.parametrize("started", [False, True])
def test_a_run_of_padded_rows_is_that_of_each_row_alone(started: bool) -> None:
    lstm, x, mask = layer(), values(4, 8, INPUTS), mask_of(LENGTHS, 8)
    before = random_state(5) if started else (torch.zeros(4, WIDTH).double(), torch.zeros(4, WIDTH).double())
    outputs, (hidden, cell) = run_lstm(lstm, x, mask=mask, state=before if started else None)
    assert outputs.shape == (4, 8, WIDTH)
    for row, length in enumerate(LENGTHS):
        state = before[0][row], before[1][row]
        for position in range(length):
            state = step(lstm, x[row, position], state)
            torch.testing.assert_close(outputs[row, position], state[0])
        assert outputs[row, length:].eq(0).all()
        torch.testing.assert_close(hidden[row], state[0])
        torch.testing.assert_close(cell[row], state[1])


def test_padding_values_do_not_matter() -> None:
    lstm, x, mask = layer(), values(4, 6, INPUTS), mask_of(LENGTHS, 6)
    changed = torch.where(mask.unsqueeze(-1), x, values(4, 6, INPUTS, seed=9))
    assert not torch.equal(x, changed)
    outputs, (one_hidden, one_cell) = run_lstm(lstm, x, mask=mask)
    changed_outputs, (two_hidden, two_cell) = run_lstm(lstm, changed, mask=mask)
    assert (
        torch.equal(outputs, changed_outputs)
        and torch.equal(one_hidden, two_hidden)
        and torch.equal(one_cell, two_cell)
    )


def test_without_a_mask_every_position_counts() -> None:
    lstm, x = layer(), values(4, 6, INPUTS)
    everywhere = torch.ones(4, 6, dtype=torch.bool)
    masked, masked_state = run_lstm(lstm, x, mask=everywhere, state=random_state(5))
    plain, plain_state = run_lstm(lstm, x, state=random_state(5))
    torch.testing.assert_close(plain, masked)
    torch.testing.assert_close(plain_state, masked_state)


def test_a_stack_is_its_layers_one_upon_the_other() -> None:
    stacked, x, mask = stack(), values(4, 6, INPUTS), mask_of(LENGTHS, 6)
    states = [random_state(5), random_state(7), random_state(11)]
    top, after = stacked(x, mask=mask, states=states)
    for lstm, before, state in zip(stacked.layers, states, after, strict=True):
        assert isinstance(lstm, nn.LSTM)
        x, expected = run_lstm(lstm, x, mask=mask, state=before)
        torch.testing.assert_close(state, expected)
    torch.testing.assert_close(top, x)


def test_a_stack_continues_from_its_last_states() -> None:
    stacked, x = stack(), values(4, 6, INPUTS)
    full, last = stacked(x)
    first, middle = stacked(x[:, :2])
    second, end = stacked(x[:, 2:], states=middle)
    torch.testing.assert_close(torch.cat((first, second), 1), full)
    torch.testing.assert_close(end, last)


def test_dropout_is_between_the_layers_only() -> None:
    x, everything = values(4, 6, INPUTS), 1.0
    single = stack(1, everything)
    torch.testing.assert_close(single.train()(x)[0], single.eval()(x)[0])
    double = stack(2, everything)
    with_nothing_from_below, _ = double.train()(x)
    upper = double.layers[1]
    assert isinstance(upper, nn.LSTM)
    # of all values kept with probability 1 / 65,536, none is
    torch.testing.assert_close(with_nothing_from_below, run_lstm(upper, torch.zeros(4, 6, WIDTH).double())[0])


def test_reverse_turns_real_positions_and_leaves_padding() -> None:
    x = torch.tensor([[4, 5, 6, 7], [4, 5, 0, 0], [4, 5, 6, 9], [8, 9, 9, 9]])
    mask = mask_of([4, 2, 3, 0], 4)
    expected = torch.tensor([[7, 6, 5, 4], [5, 4, 0, 0], [6, 5, 4, 9], [8, 9, 9, 9]])
    assert torch.equal(reverse_sequences(x, mask), expected)
    vectors = values(4, 4, INPUTS)
    for row in range(4):
        for position in range(4):
            source_position = (
                int((reverse_sequences(x, mask)[row, position] == x[row]).nonzero()[0])
                if mask[row, position]
                else position
            )
            assert torch.equal(reverse_sequences(vectors, mask)[row, position], vectors[row, source_position])
    assert torch.equal(reverse_sequences(reverse_sequences(vectors, mask), mask), vectors)


def test_uniform_fills_the_interval_and_every_parameter() -> None:
    torch.manual_seed(3)
    stacked = LSTMStack(40, 50, 2, 0.0)
    init_uniform_(stacked, 0.08)
    for name, parameter in stacked.named_parameters():
        assert parameter.abs().max() <= 0.08, name
        assert parameter.std().item() == pytest.approx(0.08 / 3**0.5, rel=0.1), name


def test_an_lstm_runs_in_float32_where_autocast_would_use_float16(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FLOAT16_DEVICES", ("cpu",))
    lstm, x, mask = layer().float(), values(4, 6, INPUTS).float(), torch.arange(6) < torch.tensor(LENGTHS)[:, None]
    for masked in (mask, None):
        expected, (expected_hidden, expected_cell) = run_lstm(lstm, x, mask=masked)
        with torch.autocast("cpu", torch.bfloat16):
            outputs, (hidden, cell) = run_lstm(lstm, x, mask=masked)
        assert torch.equal(outputs, expected)
        assert torch.equal(hidden, expected_hidden)
        assert torch.equal(cell, expected_cell)
