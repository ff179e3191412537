import math

import pytest
import torch
from torch import Tensor

from regard.nn.multihead import MultiHeadAttention, attend, attention_weights, split

HEADS, WIDTH = 6, 4
MODEL_WIDTH = HEADS * WIDTH


def values(*shape: int, seed: int = 2) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_heads_lie_behind_one_another() -> None:
    x = values(2, 3, HEADS * WIDTH)
    heads = split(x, WIDTH)
    assert heads.shape == (2, 3, HEADS, WIDTH)
    assert torch.equal(heads[:, :, 1], x[:, :, WIDTH : 2 * WIDTH])


@pytest.mark.parametrize("kv_heads", [1, 2, 6])
@pytest.mark.parametrize("causal", [True, False])
def test_each_head_attends_by_the_keys_and_values_of_its_group(kv_heads: int, causal: bool) -> None:
    queries, keys, own = (
        values(2, 5, HEADS, WIDTH),
        values(2, 5, kv_heads, WIDTH, seed=3),
        values(2, 5, kv_heads, WIDTH),
    )
    lengths = [5, 5] if causal else [5, 3]
    mask = None if causal else (torch.arange(5) < torch.tensor(lengths)[:, None])
    mixed, none = attend(queries, keys, own, mask=mask, causal=causal)
    assert none is None
    for row in range(2):
        for position in range(5):
            seen = position + 1 if causal else lengths[row]
            for head in range(HEADS):
                group = head // (HEADS // kv_heads)
                scores = keys[row, :seen, group] @ queries[row, position, head] / math.sqrt(WIDTH)
                expected = scores.softmax(0) @ own[row, :seen, group]
                torch.testing.assert_close(mixed[row, position, head * WIDTH : (head + 1) * WIDTH], expected)


@pytest.mark.parametrize("kv_heads", [2, 6])
def test_with_and_without_its_weights_is_the_same(kv_heads: int) -> None:
    queries, keys, own = (
        values(2, 3, HEADS, WIDTH),
        values(2, 5, kv_heads, WIDTH, seed=3),
        values(2, 5, kv_heads, WIDTH),
    )
    mask = torch.arange(5) < torch.tensor([[5], [3]])
    for allowed in (mask, None):
        fused, _ = attend(queries, keys, own, mask=allowed)
        told, weights = attend(queries, keys, own, mask=allowed, with_weights=True)
        torch.testing.assert_close(told, fused, rtol=0, atol=1e-12)
        assert weights is not None
        assert weights.shape == (2, HEADS, 3, 5)
        assert weights[1, :, :, 3:].eq(0).all() == (allowed is not None)


def multi_head() -> MultiHeadAttention:
    torch.manual_seed(1)
    return MultiHeadAttention(MODEL_WIDTH, HEADS).double()


@pytest.mark.parametrize("masked", [True, False])
def test_the_layer_with_and_without_its_weights_is_the_same(masked: bool) -> None:
    attention = multi_head()
    x, memory = values(2, 5, MODEL_WIDTH), values(2, 7, MODEL_WIDTH)
    mask = torch.arange(7) < torch.tensor([[7], [4]]) if masked else None
    fused, none = attention(x, *attention.project(memory), mask=mask)
    told, weights = attention(x, *attention.project(memory), mask=mask, with_weights=True)
    assert none is None
    assert weights is not None
    torch.testing.assert_close(fused, told, rtol=0, atol=1e-12)
    assert weights.shape == (2, HEADS, 5, 7)
    torch.testing.assert_close(weights.sum(-1), torch.ones(2, HEADS, 5, dtype=torch.float64))
    if masked:
        assert weights[1, :, :, 4:].eq(0).all()


@pytest.mark.parametrize("causal", [True, False])
def test_each_head_is_equation_1(causal: bool) -> None:
    attention = multi_head()
    x = values(1, 5, MODEL_WIDTH)
    out, _ = attention(x, *attention.project(x), causal=causal)
    size = WIDTH
    heads = []
    W_k, W_v = attention.key_value.weight.split(MODEL_WIDTH)
    b_k, b_v = attention.key_value.bias.split(MODEL_WIDTH)
    for head in range(HEADS):
        rows = slice(head * size, (head + 1) * size)
        q = x[0] @ attention.query.weight[rows].t() + attention.query.bias[rows]
        k, v = x[0] @ W_k[rows].t() + b_k[rows], x[0] @ W_v[rows].t() + b_v[rows]
        mixed = []
        for position in range(5):
            seen = position + 1 if causal else 5
            mixed.append((q[position] @ k[:seen].t() / math.sqrt(size)).softmax(0) @ v[:seen])
        heads.append(torch.stack(mixed))
    expected = torch.cat(heads, 1) @ attention.output.weight.t() + attention.output.bias
    torch.testing.assert_close(out[0], expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("kv_heads", [2, 6])
@pytest.mark.parametrize("causal", [True, False])
def test_weights_are_those_by_which_values_are_averaged(kv_heads: int, causal: bool) -> None:
    queries, keys = values(2, 5, HEADS, WIDTH), values(2, 5, kv_heads, WIDTH, seed=3)
    own = values(2, 5, kv_heads, WIDTH, seed=4)
    mask = None if causal else torch.arange(5) < torch.tensor([5, 3])[:, None]
    mixed, _ = attend(queries, keys, own, mask=mask, causal=causal)
    weights = attention_weights(queries, keys, mask, causal=causal)
    for head in range(HEADS):
        averaged = weights[:, head] @ own[:, :, head // (HEADS // kv_heads)]
        torch.testing.assert_close(split(mixed, WIDTH)[:, :, head], averaged)


def test_the_bias_of_all_keys_has_no_gradient() -> None:
    attention = multi_head()
    torch.nn.init.normal_(attention.key_value.bias)
    x, memory = values(2, 5, MODEL_WIDTH), values(2, 7, MODEL_WIDTH)
    out, _ = attention(x, *attention.project(memory))
    out.square().sum().backward()
    gradient = attention.key_value.bias.grad
    assert gradient is not None
    keys, own = gradient.chunk(2)
    assert keys.eq(0).all()
    assert own.ne(0).all()
    with torch.no_grad():
        same, _ = attention(x, *attention.project(memory))
        attention.key_value.bias[:MODEL_WIDTH] = 0
        without, _ = attention(x, *attention.project(memory))
    assert torch.equal(same, out)
    torch.testing.assert_close(without, out, rtol=0, atol=1e-12)
