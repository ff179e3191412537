import pytest
import torch
from torch import Tensor, nn

from regard.nn.lstm import LSTMCellStep

WIDTH = 4


def values(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)


@pytest.mark.parametrize("known", [0, 3, 7])
def test_steps_are_the_layer_over_the_whole(known: int) -> None:
    torch.manual_seed(1)
    lstm = nn.LSTM(7, WIDTH, batch_first=True).double()
    x, state = values(2, 5, 7), (values(2, WIDTH), values(2, WIDTH).flip(0))
    full, (hidden, cell) = lstm(x, (state[0][None], state[1][None]))
    step = LSTMCellStep(lstm, known)
    for position, column in enumerate(step.project_known(x[..., :known]).unbind(1)):
        state = step(column, x[:, position, known:], state)
        torch.testing.assert_close(state[0], full[:, position])
    torch.testing.assert_close(state, (hidden[0], cell[0]))


def test_where_nothing_is_known_ahead_the_input_is_the_bias() -> None:
    torch.manual_seed(1)
    lstm = nn.LSTM(7, WIDTH, batch_first=True).double()
    x, state = values(2, 7), (values(2, WIDTH), values(2, WIDTH).flip(0))
    step = LSTMCellStep(lstm, 0)
    torch.testing.assert_close(step(step.bias, x, state), step(step.project_known(x[:, None, :0])[:, 0], x, state))


def test_gradients_reach_every_weight_as_they_do_through_the_layer() -> None:
    torch.manual_seed(1)
    lstm = nn.LSTM(7, WIDTH, batch_first=True).double()
    x, start = values(2, 3, 7), (values(2, WIDTH), values(2, WIDTH).flip(0))
    lstm(x, (start[0][None], start[1][None]))[0].square().sum().backward()
    expected = {name: weight.grad.clone() for name, weight in lstm.named_parameters() if weight.grad is not None}
    assert len(expected) == 4
    lstm.zero_grad()
    step, state, total = LSTMCellStep(lstm, 3), start, torch.zeros((), dtype=torch.float64)
    for position, column in enumerate(step.project_known(x[..., :3]).unbind(1)):
        state = step(column, x[:, position, 3:], state)
        total = total + state[0].square().sum()
    total.backward()
    for name, weight in lstm.named_parameters():
        torch.testing.assert_close(weight.grad, expected[name])
