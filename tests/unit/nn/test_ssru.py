import math

import pytest
import torch
from torch import Tensor

from regard.nn.attention_memory import PaddedSequence
from regard.nn.ssru import SSRU

SIZE = 4


def ssru_layer() -> SSRU:
    torch.manual_seed(1)
    return SSRU(SIZE).double()


def values(*shape: int, seed: int = 2) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_outputs_and_states_follow_the_equations() -> None:
    ssru, x, start = ssru_layer().requires_grad_(False), values(3, 6, SIZE), values(3, SIZE, seed=3)
    outputs, last = ssru.scan(x, start)
    W_f, W, b_f = ssru.forget.weight.tolist(), ssru.input.weight.tolist(), ssru.forget.bias.tolist()
    assert all(b_f)
    for row in range(3):
        c = start[row].tolist()
        for t in range(6):
            word = x[row, t].tolist()
            for i in range(SIZE):
                f = 1 / (1 + math.exp(-sum(w * v for w, v in zip(W_f[i], word, strict=True)) - b_f[i]))
                c[i] = f * c[i] + (1 - f) * sum(w * v for w, v in zip(W[i], word, strict=True))
                assert outputs[row, t, i].item() == pytest.approx(max(c[i], 0), abs=1e-12)
        assert last[row].tolist() == pytest.approx(c, abs=1e-12)
    assert outputs.eq(0).any()
    assert outputs.gt(0).any()


def test_the_layer_scans_a_padded_sequence_from_zeros() -> None:
    ssru, x = ssru_layer(), values(3, 6, SIZE)
    expected, _ = ssru.scan(x, x.new_zeros(3, SIZE))
    assert torch.equal(ssru(x, PaddedSequence(6, causal=True)), expected)


def test_scanning_in_two_parts_equals_scanning_at_once() -> None:
    ssru, x, start = ssru_layer(), values(2, 7, SIZE), values(2, SIZE, seed=3)
    expected, last = ssru.scan(x, start)
    first, state = ssru.scan(x[:, :3], start)
    second, second_last = ssru.scan(x[:, 3:], state)
    torch.testing.assert_close(torch.cat((first, second), 1), expected)
    torch.testing.assert_close(second_last, last)


def test_saturated_gates_are_exact_over_a_long_sequence() -> None:
    """No quotient of products of gates is computed, so nothing overflows or becomes NaN."""
    ssru, x, start = ssru_layer(), values(1, 500, SIZE).requires_grad_(), values(1, SIZE, seed=3)
    with torch.no_grad():
        ssru.forget.weight.zero_()
        ssru.forget.bias.fill_(1000.0)
    outputs, _ = ssru.scan(x, start)
    assert torch.equal(outputs, start.relu()[:, None].expand_as(outputs))
    outputs.sum().backward()
    assert x.grad is not None
    assert x.grad.eq(0).all()
    with torch.no_grad():
        ssru.forget.bias.fill_(-1000.0)
    assert torch.equal(ssru.scan(x, start)[0], ssru.input(x).relu())


def test_the_state_stays_in_float32_under_autocast() -> None:
    torch.manual_seed(1)
    ssru, x, start = SSRU(4), torch.randn(2, 3, 4), torch.zeros(2, 4)
    outputs, last = ssru.scan(x, start)
    with torch.autocast("cpu", torch.bfloat16):
        rounded_outputs, rounded_last = ssru.scan(x, start)
    assert rounded_last.dtype == torch.float32
    torch.testing.assert_close(rounded_outputs, outputs, rtol=0.05, atol=0.05)
    torch.testing.assert_close(rounded_last, last, rtol=0.05, atol=0.05)
