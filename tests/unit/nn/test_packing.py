"""Packed sequences, and models trained on packed and on padded batches."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from regard.contract import Seq2Seq, VocabularySizes
from regard.data.batch import Batch, make_batch
from regard.models import modern, transformer2017
from regard.nn import packed_linear
from regard.nn.inference import freeze_for_inference
from regard.nn.kernels import native
from regard.nn.packing import Packing, can_pack, should_pack
from regard.special_tokens import PAD
from regard.training.loss import ModelWithLoss

MASK = torch.tensor([[True, True, False], [True, True, True], [False, False, False], [True, False, False]])
VOCABULARY_SIZE = 40


def packs_weights() -> bool:
    """Return whether the kernels of this machine have float32 products."""
    return packed_linear.can_pack(torch.zeros(64, 64))


def test_rows_are_the_real_positions_sequence_by_sequence() -> None:
    packing = Packing.of(MASK)
    x = torch.arange(24.0).view(4, 3, 2)
    assert packing.pack(x).tolist() == [x[MASK].tolist()]
    assert packing.starts.tolist() == [0, 2, 5, 5, 6]
    assert packing.positions.tolist() == [0, 1, 0, 1, 2, 0]
    assert torch.equal(packing.unpack(packing.pack(x)), x * MASK.unsqueeze(2))


def test_a_known_number_of_positions_gives_the_same_packing() -> None:
    for mask in (MASK, MASK[2:3]):
        packing, expected = Packing.of(mask, int(mask.sum())), Packing.of(mask)
        assert torch.equal(packing.indices, expected.indices)
        assert torch.equal(packing.starts, expected.starts)


def test_pack_and_unpack_pass_gradcheck() -> None:
    packing = Packing.of(MASK)
    x, rows = (torch.randn(*shape, dtype=torch.double, requires_grad=True) for shape in ((4, 3, 2), (1, 6, 2)))
    assert torch.autograd.gradcheck(packing.pack, x)
    assert torch.autograd.gradcheck(packing.unpack, rows)


@pytest.mark.skipif(native.library() is None, reason="there is no C compiler")
def test_batches_are_packed_only_for_training_in_float32_with_kernels() -> None:
    x, long_mask = torch.zeros(1), torch.ones(1, native.MAX_COLUMNS + 1, dtype=torch.bool)
    assert should_pack(x, 32, MASK, MASK)
    assert not should_pack(x, 24, MASK)
    assert not should_pack(x.double(), 32, MASK)
    assert not should_pack(x, 32, MASK, long_mask)
    with torch.no_grad():
        assert not should_pack(x, 32, MASK)
        assert can_pack(x, 32, MASK)


@pytest.mark.skipif(not packs_weights(), reason="float32 products are PyTorch's")
@pytest.mark.parametrize("int8", [False, True])
@pytest.mark.parametrize("kind", ["transformer2017", "modern"])
def test_a_source_is_encoded_the_same_bit_for_bit_in_every_batch(kind: str, int8: bool) -> None:
    model = freeze_for_inference(build(kind).eval(), int8=int8)
    lengths = [40, 3, 17, 1, 33]
    tokens = torch.randint(3, VOCABULARY_SIZE, (5, 40), generator=torch.Generator().manual_seed(2))
    tokens[torch.arange(40) >= torch.tensor(lengths)[:, None]] = PAD
    with torch.inference_mode():
        together = model.encode(tokens).values
        for row, length in enumerate(lengths):
            assert model.encode(tokens[row : row + 1, :length]).values[0].equal(together[row, :length])
            assert not together[row, length:].any()


def build(kind: str) -> Seq2Seq:
    torch.manual_seed(1)
    sizes = VocabularySizes(VOCABULARY_SIZE, VOCABULARY_SIZE, joint=True)
    if kind == "transformer2017":
        paper = transformer2017.Config(
            num_heads=4, encoder_layers=2, decoder_layers=2, hidden_size=64, ffn_size=96, dropout=0
        )
        return transformer2017.build(paper, sizes)
    config = modern.Config(num_heads=4, encoder_layers=2, decoder_layers=2, hidden_size=64, ffn_size=96, dropout=0)
    changes: dict[str, dict[str, object]] = {"grouped queries": {"num_kv_heads": 2}, "ssru": {"decoder": "ssru"}}
    return modern.build(config.model_copy(update=changes.get(kind)), sizes)


@pytest.fixture(scope="module")
def batch() -> Batch:
    """Pairs of very unequal lengths."""
    generator = torch.Generator().manual_seed(3)
    lengths = torch.randint(1, 40, (9, 2), generator=generator).tolist()
    pairs = [
        [torch.randint(4, VOCABULARY_SIZE, (length,), generator=generator).tolist() for length in pair]
        for pair in lengths
    ]
    return make_batch([(source, target) for source, target in pairs])


@pytest.mark.skipif(native.library() is None, reason="there is no C compiler")
@pytest.mark.parametrize("kind", ["transformer2017", "modern", "grouped queries", "ssru"])
def test_a_packed_batch_has_the_loss_and_gradients_of_the_padded_batch(
    kind: str, batch: Batch, monkeypatch: pytest.MonkeyPatch
) -> None:
    def loss_and_gradients() -> tuple[Tensor, dict[str, Tensor]]:
        model = build(kind)
        loss = ModelWithLoss(model, 0.1)(batch.source, batch.target_in, batch.target_out)
        loss.backward()
        return loss, {name: weight.grad for name, weight in model.named_parameters() if weight.grad is not None}

    loss, gradients = loss_and_gradients()
    monkeypatch.setattr(native, "library", lambda: None)
    expected_loss, expected = loss_and_gradients()
    assert loss.item() == pytest.approx(expected_loss.item(), rel=1e-6)
    assert gradients.keys() == expected.keys()
    for name, gradient in expected.items():
        tolerance = 1e-5 * gradient.abs().max().item()
        torch.testing.assert_close(gradients[name], gradient, rtol=1e-4, atol=tolerance, msg=name)


@pytest.mark.skipif(native.library() is None, reason="there is no C compiler")
@pytest.mark.parametrize("kind", ["transformer2017", "modern", "grouped queries", "ssru"])
def test_the_features_of_a_pair_do_not_depend_on_its_packed_batch(kind: str, batch: Batch) -> None:
    model = build(kind)
    in_batch = model.features(batch.source, batch.target_in).features
    for number in range(len(batch.source)):
        source, target = batch.source[number : number + 1], batch.target_in[number : number + 1]
        source, target = source[:, : int(source.ne(PAD).sum())], target[:, : int(target.ne(PAD).sum())]
        alone = model.features(source, target).features
        torch.testing.assert_close(alone, in_batch[number : number + 1, : target.size(1)], rtol=1e-4, atol=1e-5)
