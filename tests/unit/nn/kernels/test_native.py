"""The kernels of search on every level that this CPU executes, against PyTorch in float64."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from regard.nn.dropout import Dropout
from regard.nn.kernels import native
from regard.nn.norm import add_norm
from regard.nn.scaled_dot_product import attend

pytestmark = pytest.mark.usefixtures("level")


def values(*shape: int, seed: int = 2) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("kv_heads", [1, 3, 6])
@pytest.mark.parametrize("slots", [1, 5, 16, 50])
@pytest.mark.parametrize("seen", ["all", "sentence", "row"])
def test_attention_is_as_pytorchs(kv_heads: int, slots: int, seen: str) -> None:
    queries = values(4, 5, 6, 32)
    room = values(4, 60, 2 * kv_heads, 32, seed=3)[:, 3 : 3 + slots]  # slots that are a part of something longer
    keys, own = room.chunk(2, dim=2)
    shape = {"all": (), "sentence": (4, slots), "row": (4, 5, slots)}[seen]
    mask = None if seen == "all" else values(*shape, seed=4).gt(0.3)
    if mask is not None:
        mask[..., 0] = True
    expected = attend(*(part.double() for part in (queries, keys, own)), mask=mask)
    with torch.inference_mode():
        assert native.can_attend(queries, keys, own, mask)
        actual = attend(queries, keys, own, mask=mask)
    torch.testing.assert_close(actual, expected.float(), rtol=0, atol=2e-6)


def test_large_scores_are_no_trouble() -> None:
    queries, keys = values(1, 1, 2, 16) * 100, values(1, 20, 2, 16, seed=3) * 100
    expected = attend(queries.double(), keys.double(), keys.double())
    with torch.inference_mode():
        actual = attend(queries, keys, keys)
    torch.testing.assert_close(actual, expected.float())


def test_training_and_other_precisions_are_left_to_pytorch() -> None:
    single, double = values(2, 2), values(2, 2).double()
    assert not native.supports_inference(single)
    with torch.no_grad():
        assert native.supports_inference(single)
        assert not native.supports_inference(double)


def test_a_row_that_sees_nothing_is_nan() -> None:
    queries, keys = values(2, 3, 2, 16), values(2, 20, 2, 16, seed=3)
    mask = torch.ones(2, 3, 20, dtype=torch.bool)
    mask[1, 2] = False
    with torch.inference_mode():
        actual = attend(queries, keys, keys, mask=mask)
    assert actual[1, 2].isnan().all()
    assert actual.isfinite().all(-1).sum() == 5


def test_a_masked_slot_has_no_part_in_the_mean() -> None:
    queries, keys = values(1, 1, 1, 16), values(1, 20, 1, 16, seed=3)
    mask = torch.ones(1, 20, dtype=torch.bool)
    mask[0, 7] = False
    keys[0, 7] = math.nan
    with torch.inference_mode():
        actual = attend(queries, keys, keys, mask=mask)
    assert actual.isfinite().all()


@pytest.mark.parametrize("width", [16, 48, 256])
def test_the_norm_of_a_sum_is_as_pytorchs(width: int) -> None:
    norm = torch.nn.LayerNorm(width)
    torch.nn.init.normal_(norm.weight)
    torch.nn.init.normal_(norm.bias)
    x, y = values(3, 4, width) * 5 + 20, values(3, 4, width, seed=3)
    expected = norm(x + y)
    with torch.inference_mode():
        torch.testing.assert_close(native.add_norm(x, y, norm), expected, rtol=0, atol=1e-5)
        torch.testing.assert_close(
            add_norm(x, y, norm, Dropout(0.5).eval()), native.add_norm(x, y, norm), rtol=0, atol=0
        )


@pytest.mark.parametrize(("rows", "width", "count"), [(1, 10, 10), (5, 10, 10), (3, 2, 6), (40, 8, 64)])
def test_the_best_continuations_are_those_of_a_stable_sort(rows: int, width: int, count: int) -> None:
    totals = values(3, 2 * rows).mul(4).round()[:, :rows]  # round, so that there are ties
    totals[1, rows // 2 :] = -math.inf
    steps, ids = values(3 * rows, width, seed=3).round(), torch.arange(3 * rows * width).view(-1, width)
    nodes = torch.arange(7, 7 + 3 * rows)
    with torch.inference_mode():
        assert native.can_rank(totals, steps, count)
        assert not native.can_rank(totals.double(), steps, count)
        best, tokens, parents, places = native.best_continuations(totals, steps, ids, nodes, count)
    expected, order = (
        (totals[:, :, None] + steps.view(3, rows, width)).flatten(1).sort(dim=1, descending=True, stable=True)
    )
    order = order[:, :count]
    assert best.equal(expected[:, :count])
    assert tokens.equal(ids.view(3, -1).gather(1, order))
    assert places.equal(order // width)
    assert parents.equal(nodes.view(3, rows).gather(1, order // width))
