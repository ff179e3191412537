import math

import pytest
import torch
from torch import Tensor

from regard.nn.attention_memory import PaddedSequence, PaddedSource
from regard.nn.multihead import MultiHeadSelfAttention, MultiHeadSourceAttention

HEADS, HEAD_SIZE = 6, 4
SIZE = HEADS * HEAD_SIZE


def values(*shape: int, seed: int = 2) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def self_attention() -> MultiHeadSelfAttention:
    torch.manual_seed(1)
    return MultiHeadSelfAttention(SIZE, HEADS).double()


def source_attention() -> MultiHeadSourceAttention:
    torch.manual_seed(1)
    return MultiHeadSourceAttention(SIZE, HEADS).double()


def test_source_attention_stores_its_weights_if_asked() -> None:
    attention = source_attention()
    x, projected = values(2, 5, SIZE), attention.project(values(2, 7, SIZE))
    mask = torch.arange(7) < torch.tensor([[7], [4]])
    without, with_weights = PaddedSource(projected, mask), PaddedSource(projected, mask, with_weights=True)
    torch.testing.assert_close(attention(x, without), attention(x, with_weights), rtol=0, atol=1e-12)
    assert without.weights is None
    weights = with_weights.weights
    assert weights is not None
    assert weights.shape == (2, HEADS, 5, 7)
    torch.testing.assert_close(weights.sum(-1), torch.ones(2, HEADS, 5, dtype=torch.float64))
    assert weights[1, :, :, 4:].eq(0).all()


@pytest.mark.parametrize("causal", [True, False])
def test_each_head_follows_equation_1(causal: bool) -> None:
    attention = self_attention()
    x = values(1, 5, SIZE)
    output = attention(x, PaddedSequence(5, causal=causal))
    heads = []
    W_k, W_v = attention.key_value.weight.split(SIZE)
    b_k, b_v = attention.key_value.bias.split(SIZE)
    for head in range(HEADS):
        rows = slice(head * HEAD_SIZE, (head + 1) * HEAD_SIZE)
        q = x[0] @ attention.query.weight[rows].t() + attention.query.bias[rows]
        k, v = x[0] @ W_k[rows].t() + b_k[rows], x[0] @ W_v[rows].t() + b_v[rows]
        outputs = []
        for position in range(5):
            visible = position + 1 if causal else 5
            outputs.append((q[position] @ k[:visible].t() / math.sqrt(HEAD_SIZE)).softmax(0) @ v[:visible])
        heads.append(torch.stack(outputs))
    expected = torch.cat(heads, 1) @ attention.output.weight.t() + attention.output.bias
    torch.testing.assert_close(output[0], expected, rtol=0, atol=1e-12)


def test_the_bias_of_the_keys_gets_no_gradient() -> None:
    attention = source_attention()
    torch.nn.init.normal_(attention.key_value.bias)
    x, memory, mask = values(2, 5, SIZE), values(2, 7, SIZE), torch.ones(2, 7, dtype=torch.bool)
    output = attention(x, PaddedSource(attention.project(memory), mask))
    output.square().sum().backward()
    gradient = attention.key_value.bias.grad
    assert gradient is not None
    of_keys, of_values = gradient.chunk(2)
    assert of_keys.eq(0).all()
    assert of_values.ne(0).all()
    with torch.no_grad():
        unchanged = attention(x, PaddedSource(attention.project(memory), mask))
        attention.key_value.bias[:SIZE] = 0
        without_bias = attention(x, PaddedSource(attention.project(memory), mask))
    assert torch.equal(unchanged, output)
    torch.testing.assert_close(without_bias, output, rtol=0, atol=1e-12)
