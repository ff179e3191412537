import pytest
import torch
from torch import Tensor

from regard.nn.modules import Linear
from regard.nn.recurrent import GatedUnit, init_orthogonal_, scan

WIDTH = 4


def unit() -> GatedUnit:
    torch.manual_seed(1)
    return GatedUnit(WIDTH).double().requires_grad_(False)


def input_layer() -> Linear:
    torch.manual_seed(3)
    return Linear(WIDTH + 1, 3 * WIDTH).double().requires_grad_(False)


def values(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)


def test_a_step_is_the_papers_equations() -> None:
    gated, x, state = unit(), values(3, 3 * WIDTH), values(3, WIDTH)
    out = gated(x, state)
    U_z, U_r = gated.gates.weight[:WIDTH], gated.gates.weight[WIDTH:]
    for row in range(3):
        x_z, x_r, x_s = x[row].split(WIDTH)
        z = torch.sigmoid(x_z + U_z @ state[row])
        r = torch.sigmoid(x_r + U_r @ state[row])
        candidate = torch.tanh(x_s + gated.candidate.weight @ (r * state[row]))
        torch.testing.assert_close(out[row], (1 - z) * state[row] + z * candidate)


@pytest.mark.parametrize("backward", [False, True])
def test_a_scan_of_padded_rows_is_that_of_each_row_alone(backward: bool) -> None:
    gated, to_inputs, x, lengths = unit(), input_layer(), values(3, 6, WIDTH + 1), [6, 2, 4]
    mask = torch.arange(6) < torch.tensor(lengths)[:, None]
    states, inputs = scan(gated, to_inputs, x, mask, backward=backward), to_inputs(x)
    for row, length in enumerate(lengths):
        state = torch.zeros(1, WIDTH, dtype=torch.float64)
        order = range(length)
        for position in reversed(order) if backward else order:
            state = gated(inputs[row : row + 1, position], state)
            torch.testing.assert_close(states[row, position], state[0])


def test_a_state_stands_still_at_padding() -> None:
    gated, to_inputs, x = unit(), input_layer(), values(1, 5, WIDTH + 1)
    mask = torch.tensor([[True, True, True, False, False]])
    ahead, back = scan(gated, to_inputs, x, mask), scan(gated, to_inputs, x, mask, backward=True)
    assert torch.equal(ahead[0, 3], ahead[0, 2])
    assert torch.equal(ahead[0, 4], ahead[0, 2])
    assert back[0, 3:].eq(0).all()


def test_each_recurrent_matrix_begins_orthogonal() -> None:
    gated = GatedUnit(WIDTH)
    init_orthogonal_(gated)
    matrices = [*gated.gates.weight.split(WIDTH), gated.candidate.weight]
    assert len(matrices) == 3
    for matrix in matrices:
        torch.testing.assert_close(matrix @ matrix.t(), torch.eye(WIDTH))
    assert not torch.allclose(matrices[0], matrices[1])
