from __future__ import annotations

import math

import pytest
import torch
from tests.levels import LEVELS, use_level

from regard.decoding.next_tokens import best_tokens, blockwise_topk
from regard.errors import DecodingError
from regard.nn.kernels import native
from regard.special_tokens import BOS, EOS, PAD


@pytest.fixture(params=[*LEVELS, "PyTorch"], autouse=True)
def kernels(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Use one level of the kernels, which support tensors without gradients, or PyTorch."""
    if request.param == "PyTorch":
        monkeypatch.setattr(native, "library", lambda: None)
    else:
        use_level(request.param, monkeypatch)
        monkeypatch.setattr(torch, "is_grad_enabled", lambda: False)


def test_pad_and_bos_keep_their_probability_but_are_never_chosen() -> None:
    logits = torch.tensor([[0.4, 0.3, 0.1, 0.05, 0.15]]).log()
    values, ids = best_tokens(logits, 10, step=1)
    assert ids.tolist() == [[4, EOS, 3]]
    torch.testing.assert_close(values, torch.tensor([[0.15, 0.1, 0.05]]).log())


def test_half_precision_logits_are_normalized_in_single_precision() -> None:
    logits = torch.randn(3, 50, generator=torch.Generator().manual_seed(1)).bfloat16()
    values, ids = best_tokens(logits, 4, step=1)
    assert values.dtype == torch.float32
    torch.testing.assert_close(values, logits.float().log_softmax(1).gather(1, ids))


@pytest.mark.parametrize(
    "row",
    [
        [0.0, 0.0, 0.0, math.nan],
        [math.nan, 0.0, 0.0, 0.0],
        [0.0, 0.0, math.inf, 0.0],
        [-math.inf] * 4,
        [0.0, 0.0, -math.inf, -math.inf],
    ],
)
def test_non_finite_scores_of_the_best_tokens_are_an_error(row: list[float]) -> None:
    with pytest.raises(DecodingError, match="step 7"):
        best_tokens(torch.tensor([[0.0] * 4, row]), 2, step=7)


def test_a_token_may_be_impossible() -> None:
    values, ids = best_tokens(torch.tensor([[0.0, 0.0, -math.inf, 0.0]]), 2, step=1)
    assert ids.tolist() == [[3, EOS]]
    assert values[0, 1] == -math.inf


def test_the_ids_that_are_never_chosen_come_before_eos() -> None:
    assert sorted((PAD, BOS)) == list(range(EOS))


@pytest.mark.parametrize("width", [5, 1000, 8000, 8003])
@pytest.mark.parametrize("count", [1, 2, 10])
def test_blockwise_topk_equals_topk(width: int, count: int) -> None:
    if count > width:
        pytest.skip("count is larger than the vocabulary")
    values = torch.randn(7, width, generator=torch.Generator().manual_seed(width), dtype=torch.float64)
    values[0, -1], values[1, -2:] = 9, torch.tensor([9.0, 8.0])  # after the last complete block
    values[2, :count] = 10 + torch.arange(count)  # all in one block
    values[3, 3:] = -math.inf
    largest, ids = blockwise_topk(values, count)
    expected = values.topk(count, dim=1)
    assert torch.equal(largest, expected.values)
    is_finite = largest.isfinite()
    assert torch.equal(ids[is_finite], expected.indices[is_finite])


@pytest.mark.parametrize("width", [5, 17, 258, 1000, 8003])
@pytest.mark.parametrize("count", [1, 2, 10, 40])
def test_the_best_tokens_are_the_most_probable(width: int, count: int) -> None:
    if count > width - EOS:
        pytest.skip("count is larger than the vocabulary")
    logits = torch.randn(9, width, generator=torch.Generator().manual_seed(width)) * 3
    logits[0, -1], logits[1, EOS] = 30, 30
    logits[2, EOS : EOS + count] = 30 + torch.arange(count)
    logits[3, EOS + count :] = -math.inf
    expected = logits.double().log_softmax(1)
    expected[:, :EOS] = -math.inf
    best = expected.topk(count, dim=1)
    values, ids = best_tokens(logits.clone(), count, step=1)
    torch.testing.assert_close(values.double(), best.values, rtol=1e-6, atol=1e-5)
    assert torch.equal(ids, best.indices)


def test_ties_are_ordered_by_id() -> None:
    if native.library() is None:
        pytest.skip("torch.topk breaks ties in any order")
    logits = torch.zeros(2, 700)
    logits[1, [3, 20, 19, 600, 35, 599, 4]] = 1.0
    _, ids = best_tokens(logits, 6, step=1)
    assert ids.tolist() == [[2, 3, 4, 5, 6, 7], [3, 4, 19, 20, 35, 599]]
