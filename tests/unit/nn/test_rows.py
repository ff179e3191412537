"""Rows of tokens, for every architecture: old ones as they were, new ones means, and what is not a row untouched."""

from __future__ import annotations

from functools import cache

import pytest
import torch
from tests.laws.cases import CASES

from regard.contract import Seq2Seq, VocabularySizes
from regard.models import ARCHITECTURES
from regard.nn.rows import copy_with_new_rows

OLD, NEW = 9, 12
PARTS = [[4, 5], [], [7]]


@cache
def built(name: str, *, joint: bool) -> tuple[Seq2Seq, Seq2Seq]:
    case = CASES[name]
    architecture = ARCHITECTURES[name.split("/")[0]]
    config = architecture.config(**{**architecture.presets["small"]().model_dump(), "dropout": 0.0, **case.sizes})
    with torch.random.fork_rng():
        torch.manual_seed(3)
        old, new = (
            architecture.build(config, VocabularySizes(*sizes, joint)).eval().requires_grad_(False)
            for sizes in ((OLD, OLD if joint else OLD + 2), (NEW, NEW if joint else OLD + 3))
        )
        for model in (old, new):
            for parameter in model.parameters():
                parameter.add_(0.3 * torch.randn_like(parameter))
    parts = {"encoder": PARTS, "decoder": PARTS if joint else [[4, 4, 10]]}
    copy_with_new_rows(old, new, parts)
    return old, new


both = pytest.mark.parametrize("joint", [True, False])
every = pytest.mark.parametrize("name", sorted(CASES))
# With copying, the logit of a source token also depends on the sum over the vocabulary, which new tokens change.
without_copying = pytest.mark.parametrize(
    "name", sorted(name for name, case in CASES.items() if not case.sizes.get("copy_attention"))
)


@without_copying
@both
def test_old_tokens_have_the_same_logits_and_a_new_one_of_one_part_is_its_twin(name: str, joint: bool) -> None:
    old, new = built(name, joint=joint)
    source, target = torch.tensor([[4, 7, 5, 2], [8, 2, 0, 0]]), torch.tensor([[1, 4, 7], [1, 5, 6]])
    known = old.decoder.vocabulary_size
    logits, expected = new(source, target), old(source, target)
    assert logits.shape[-1] == known + (3 if joint else 1)
    torch.testing.assert_close(logits[..., :known], expected)
    twin = source.masked_fill(source == 7, OLD + 2)  # read as token 7 is
    torch.testing.assert_close(new(twin, target), logits)
    if joint:
        torch.testing.assert_close(logits[..., known + 2], logits[..., 7])  # written as it is
        torch.testing.assert_close(logits[..., known], logits[..., [4, 5]].mean(-1))  # linear in a row and its bias
        torch.testing.assert_close(logits[..., known + 1], logits[..., 4:known].mean(-1))
    else:
        torch.testing.assert_close(logits[..., known], (2 * logits[..., 4] + logits[..., 10]) / 3)


@every
@both
def test_old_rows_and_all_else_are_bit_for_bit_the_same(name: str, joint: bool) -> None:
    old, new = built(name, joint=joint)
    larger = 0
    for (path, before), after in zip(old.named_parameters(), new.parameters(), strict=True):
        assert torch.equal(after[: len(before)] if before.dim() else after, before), path
        larger += before.shape != after.shape
    assert larger >= 1 if joint else larger >= 2
