import math

import pytest
import torch
from torch import Tensor

from regard.contract import Memory
from regard.nn.attention import AdditiveScore, Annotations, DotScore, GeneralScore, masked_softmax


def values(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)


def test_masked_softmax_is_a_softmax_over_real_positions_only() -> None:
    mask = torch.tensor([[True, True, False, True], [True, False, False, False]])
    scores = torch.tensor([[1.0, 2.0, 50.0, -1.0], [-9.0, 3.0, 4.0, math.nan]])
    weights = masked_softmax(scores, mask)
    e = [math.exp(1), math.exp(2), math.exp(-1)]
    expected = torch.tensor([[e[0], e[1], 0, e[2]], [sum(e), 0, 0, 0]]) / sum(e)
    torch.testing.assert_close(weights, expected)
    assert weights[~mask].eq(0).all()


def test_the_additive_score_follows_its_formula() -> None:
    torch.manual_seed(1)
    score = AdditiveScore(4, 5, 3).double()
    queries, keys = values(2, 3, 4), values(2, 6, 5)
    scores = score(queries, score.project(keys))
    assert scores.shape == (2, 3, 6)
    W, b, U, v = score.query.weight, score.query.bias, score.key.weight, score.score.weight[0]
    for row in range(2):
        for step in range(3):
            for position in range(6):
                energy = v @ torch.tanh(W @ queries[row, step] + b + U @ keys[row, position])
                torch.testing.assert_close(scores[row, step, position], energy)


@pytest.mark.parametrize("scale", [1.0, 0.5])
def test_the_dot_score_follows_its_formula(scale: float) -> None:
    score, queries, keys = DotScore(scale), values(2, 3, 4), values(2, 6, 4)
    scores = score(queries, score.project(keys))
    assert scores.shape == (2, 3, 6)
    for row in range(2):
        for step in range(3):
            for position in range(6):
                dot = sum(queries[row, step, unit] * keys[row, position, unit] for unit in range(4))
                torch.testing.assert_close(scores[row, step, position], scale * dot)


def test_the_general_score_follows_its_formula() -> None:
    torch.manual_seed(1)
    score = GeneralScore(4, 5).double()
    queries, keys = values(2, 3, 4), values(2, 6, 5)
    scores = score(queries, score.project(keys))
    assert scores.shape == (2, 3, 6)
    for row in range(2):
        for step in range(3):
            for position in range(6):
                torch.testing.assert_close(
                    scores[row, step, position], queries[row, step] @ score.key.weight @ keys[row, position]
                )


def test_without_a_bias_the_additive_score_is_luongs_concat_score() -> None:
    torch.manual_seed(1)
    score = AdditiveScore(4, 5, 3, bias=False).double()
    queries, keys = values(2, 3, 4), values(2, 6, 5)
    scores = score(queries, score.project(keys))
    assert scores.shape == (2, 3, 6)
    W = torch.cat((score.query.weight, score.key.weight), 1)
    for row in range(2):
        for step in range(3):
            for position in range(6):
                pair = torch.cat((queries[row, step], keys[row, position]))
                torch.testing.assert_close(scores[row, step, position], score.score.weight[0] @ torch.tanh(W @ pair))


def test_annotations_are_averaged_by_the_weights_of_each_row() -> None:
    memory, mask = values(2, 6, 4), torch.arange(6) < torch.tensor([[6], [4]])
    source = Annotations.of(Memory(keys=memory, values=memory, mask=mask), DotScore())
    queries = values(6, 4)  # three rows for each source
    contexts, weights = source.attend(queries, DotScore())
    for row in range(6):
        real = memory[row // 3][mask[row // 3]]
        expected = (real @ queries[row]).softmax(0)
        torch.testing.assert_close(weights[row, : len(real)], expected)
        assert weights[row, len(real) :].eq(0).all()
        torch.testing.assert_close(contexts[row], expected @ real)
