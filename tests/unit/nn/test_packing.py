"""Sequences without their padding, and models that train on them beside the same ones with padding."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from regard.contract import Seq2Seq, VocabularySizes
from regard.data.batch import Batch, make_batch
from regard.models import modern, transformer2017
from regard.nn.kernels import native
from regard.nn.packing import Packing, packings
from regard.special_tokens import PAD
from regard.training.loss import ModelWithLoss

MASK = torch.tensor([[True, True, False], [True, True, True], [False, False, False], [True, False, False]])
VOCABULARY = 40


def test_rows_are_those_of_the_mask_one_sequence_behind_another() -> None:
    packing = Packing.of(MASK)
    x = torch.arange(24.0).view(4, 3, 2)
    assert packing.pack(x).tolist() == [x[MASK].tolist()]
    assert packing.starts.tolist() == [0, 2, 5, 5, 6]
    assert packing.positions.tolist() == [0, 1, 0, 1, 2, 0]
    assert torch.equal(packing.unpack(packing.pack(x)), x * MASK.unsqueeze(2))


def test_packing_and_unpacking_have_the_gradients_of_each_other() -> None:
    packing = Packing.of(MASK)
    x, rows = (torch.randn(*shape, dtype=torch.double, requires_grad=True) for shape in ((4, 3, 2), (1, 6, 2)))
    assert torch.autograd.gradcheck(packing.pack, x)
    assert torch.autograd.gradcheck(packing.unpack, rows)


@pytest.mark.skipif(native.library() is None, reason="there is no C compiler")
def test_only_training_in_float32_by_kernels_goes_without_padding() -> None:
    x, long = torch.zeros(1), torch.ones(1, native.MOST_COLUMNS + 1, dtype=torch.bool)
    assert packings(x, 32, MASK, MASK) is not None
    assert packings(x, 24, MASK) is None
    assert packings(x.double(), 32, MASK) is None
    assert packings(x, 32, MASK, long) is None
    with torch.no_grad():
        assert packings(x, 32, MASK) is None


def model_of(kind: str) -> Seq2Seq:
    torch.manual_seed(1)
    vocabularies = VocabularySizes(VOCABULARY, VOCABULARY, joint=True)
    if kind == "transformer2017":
        paper = transformer2017.Config(heads=4, encoder_layers=2, decoder_layers=2, d_model=64, ff=96, dropout=0)
        return transformer2017.build(paper, vocabularies)
    ours = modern.Config(heads=4, encoder_layers=2, decoder_layers=2, d_model=64, ff=96, dropout=0)
    changes: dict[str, dict[str, object]] = {"shared keys": {"kv_heads": 2}, "ssru": {"decoder": "ssru"}}
    return modern.build(ours.model_copy(update=changes.get(kind)), vocabularies)


@pytest.fixture(scope="module")
def batch() -> Batch:
    """Pairs of very unequal lengths."""
    draw = torch.Generator().manual_seed(3)
    sizes = torch.randint(1, 40, (9, 2), generator=draw).tolist()
    ids = [[torch.randint(4, VOCABULARY, (size,), generator=draw).tolist() for size in both] for both in sizes]
    return make_batch([(source, target) for source, target in ids])


@pytest.mark.skipif(native.library() is None, reason="there is no C compiler")
@pytest.mark.parametrize("kind", ["transformer2017", "modern", "shared keys", "ssru"])
def test_loss_and_gradients_are_those_of_the_padded_batch(
    kind: str, batch: Batch, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gradients() -> tuple[Tensor, dict[str, Tensor]]:
        model = model_of(kind)
        loss = ModelWithLoss(model, 0.1)(batch.source, batch.target_in, batch.target_out)
        loss.backward()
        return loss, {name: weight.grad for name, weight in model.named_parameters() if weight.grad is not None}

    loss, found = gradients()
    monkeypatch.setattr(native, "library", lambda: None)
    expected_loss, expected = gradients()
    assert loss.item() == pytest.approx(expected_loss.item(), rel=1e-6)
    assert found.keys() == expected.keys()
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient, rtol=1e-4, atol=1e-5 * gradient.abs().max().item(), msg=name)


@pytest.mark.skipif(native.library() is None, reason="there is no C compiler")
@pytest.mark.parametrize("kind", ["transformer2017", "modern", "shared keys", "ssru"])
def test_a_sentence_in_training_does_not_depend_on_its_batch(kind: str, batch: Batch) -> None:
    model = model_of(kind)
    together = model.features(batch.source, batch.target_in).features
    for number in range(len(batch.source)):
        source, target = batch.source[number : number + 1], batch.target_in[number : number + 1]
        source, target = source[:, : int(source.ne(PAD).sum())], target[:, : int(target.ne(PAD).sum())]
        alone = model.features(source, target).features
        torch.testing.assert_close(alone, together[number : number + 1, : target.size(1)], rtol=1e-4, atol=1e-5)
