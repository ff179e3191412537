import math

import pytest
import torch
from torch import Tensor

from regard.nn.ssru import SSRU

WIDTH = 4


def unit() -> SSRU:
    torch.manual_seed(1)
    return SSRU(WIDTH).double()


def values(*shape: int, seed: int = 2) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_every_value_is_that_of_the_papers_equations() -> None:
    ssru, x, first = unit().requires_grad_(False), values(3, 6, WIDTH), values(3, WIDTH, seed=3)
    hidden, last = ssru(x, first)
    W_f, W, b_f = ssru.forget.weight.tolist(), ssru.input.weight.tolist(), ssru.forget.bias.tolist()
    assert all(b_f)
    for row in range(3):
        c = first[row].tolist()
        for t in range(6):
            word = x[row, t].tolist()
            for i in range(WIDTH):
                f = 1 / (1 + math.exp(-sum(w * v for w, v in zip(W_f[i], word, strict=True)) - b_f[i]))
                c[i] = f * c[i] + (1 - f) * sum(w * v for w, v in zip(W[i], word, strict=True))
                assert hidden[row, t, i].item() == pytest.approx(max(c[i], 0), abs=1e-12)
        assert last[row].tolist() == pytest.approx(c, abs=1e-12)
    assert hidden.eq(0).any()
    assert hidden.gt(0).any()


def test_a_sequence_in_two_parts_is_the_whole() -> None:
    ssru, x, first = unit(), values(2, 7, WIDTH), values(2, WIDTH, seed=3)
    whole, last = ssru(x, first)
    before, state = ssru(x[:, :3], first)
    after, same = ssru(x[:, 3:], state)
    torch.testing.assert_close(torch.cat((before, after), 1), whole)
    torch.testing.assert_close(same, last)


def test_gates_that_are_shut_or_open_lose_nothing_over_a_long_sequence() -> None:
    """No quotient of products of gates, so nothing overflows or vanishes into NaN."""
    ssru, x, first = unit(), values(1, 500, WIDTH).requires_grad_(), values(1, WIDTH, seed=3)
    with torch.no_grad():
        ssru.forget.weight.zero_()
        ssru.forget.bias.fill_(1000.0)
    kept, _ = ssru(x, first)
    assert torch.equal(kept, first.relu()[:, None].expand_as(kept))
    kept.sum().backward()
    assert x.grad is not None
    assert x.grad.eq(0).all()
    with torch.no_grad():
        ssru.forget.bias.fill_(-1000.0)
    assert torch.equal(ssru(x, first)[0], ssru.input(x).relu())
