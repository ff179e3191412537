import math

import pytest
import torch
from torch import Tensor

from regard.nn.scaled_dot_product import attend, attend_with_weights, attention_weights, split_heads

HEADS, HEAD_SIZE = 6, 4


def values(*shape: int, seed: int = 2) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_heads_are_consecutive_slices() -> None:
    x = values(2, 3, HEADS * HEAD_SIZE)
    heads = split_heads(x, HEAD_SIZE)
    assert heads.shape == (2, 3, HEADS, HEAD_SIZE)
    assert torch.equal(heads[:, :, 1], x[:, :, HEAD_SIZE : 2 * HEAD_SIZE])


@pytest.mark.parametrize("kv_heads", [1, 2, 6])
@pytest.mark.parametrize("causal", [True, False])
def test_each_head_attends_by_the_keys_and_values_of_its_group(kv_heads: int, causal: bool) -> None:
    queries = values(2, 5, HEADS, HEAD_SIZE)
    keys, own = values(2, 5, kv_heads, HEAD_SIZE, seed=3), values(2, 5, kv_heads, HEAD_SIZE)
    lengths = [5, 5] if causal else [5, 3]
    mask = None if causal else (torch.arange(5) < torch.tensor(lengths)[:, None])
    output = attend(queries, keys, own, mask=mask, causal=causal)
    for row in range(2):
        for position in range(5):
            visible = position + 1 if causal else lengths[row]
            for head in range(HEADS):
                group = head // (HEADS // kv_heads)
                scores = keys[row, :visible, group] @ queries[row, position, head] / math.sqrt(HEAD_SIZE)
                expected = scores.softmax(0) @ own[row, :visible, group]
                torch.testing.assert_close(output[row, position, head * HEAD_SIZE : (head + 1) * HEAD_SIZE], expected)


@pytest.mark.parametrize("kv_heads", [2, 6])
def test_returning_the_weights_does_not_change_the_output(kv_heads: int) -> None:
    queries = values(2, 3, HEADS, HEAD_SIZE)
    keys, own = values(2, 5, kv_heads, HEAD_SIZE, seed=3), values(2, 5, kv_heads, HEAD_SIZE)
    mask = torch.arange(5) < torch.tensor([[5], [3]])
    for allowed in (mask, None):
        expected = attend(queries, keys, own, mask=allowed)
        output, weights = attend_with_weights(queries, keys, own, allowed)
        torch.testing.assert_close(output, expected, rtol=0, atol=1e-12)
        assert weights.shape == (2, HEADS, 3, 5)
        torch.testing.assert_close(weights.sum(-1), torch.ones(2, HEADS, 3, dtype=torch.float64))
        assert weights[1, :, :, 3:].eq(0).all() == (allowed is not None)


@pytest.mark.parametrize("kv_heads", [2, 6])
@pytest.mark.parametrize("causal", [True, False])
def test_the_output_is_the_mean_of_the_values_by_the_weights(kv_heads: int, causal: bool) -> None:
    queries, keys = values(2, 5, HEADS, HEAD_SIZE), values(2, 5, kv_heads, HEAD_SIZE, seed=3)
    own = values(2, 5, kv_heads, HEAD_SIZE, seed=4)
    mask = None if causal else torch.arange(5) < torch.tensor([5, 3])[:, None]
    output = attend(queries, keys, own, mask=mask, causal=causal)
    weights = attention_weights(queries, keys, mask, causal=causal)
    for head in range(HEADS):
        mean = weights[:, head] @ own[:, :, head // (HEADS // kv_heads)]
        torch.testing.assert_close(split_heads(output, HEAD_SIZE)[:, :, head], mean)
