import math

import pytest
import torch
import torch.nn.functional as F
from tests.doubles import as_batch, start_with_bos, tiny_model
from torch import Tensor

from regard.contract import Seq2Seq, VocabularySizes
from regard.models import transformer2017
from regard.nn.kernels import native
from regard.nn.kernels.autograd import cross_entropy
from regard.special_tokens import PAD
from regard.training import loss as module
from regard.training.loss import ModelWithLoss, chunked_cross_entropy, negative_log_likelihood, smoothed_cross_entropy

SOURCE = as_batch([[4, 5, 2], [8, 7, 3, 3, 6, 2], [2], [6, 4, 4, 5, 2]])
TARGET_IN, TARGET_OUT = start_with_bos([[4, 5, 3, 7, 4], [3], [7, 4], [6, 6, 3]])
REAL = TARGET_OUT.ne(PAD)
SMOOTHINGS = [0.0, 0.1, 0.5, 0.9]


def draw(rows: int, vocabulary: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    logits = 3 * torch.randn(rows, vocabulary, generator=generator, dtype=torch.float64)
    return logits, torch.randint(vocabulary, (rows,), generator=generator)


def tied_model() -> Seq2Seq:
    torch.manual_seed(1)
    config = transformer2017.Config(
        hidden_size=8, ffn_size=12, num_heads=2, encoder_layers=1, decoder_layers=1, dropout=0.0
    )
    return transformer2017.build(config, VocabularySizes(9, 9, joint=True)).double()


def in_chunks(model: Seq2Seq, features: Tensor, goal: Tensor, smoothing: float) -> Tensor:
    return chunked_cross_entropy(model.decoder.readout, model.decoder.parameters(), features, goal, smoothing=smoothing)


@pytest.mark.parametrize("smoothing", SMOOTHINGS)
def test_loss_and_gradient_are_those_of_pytorch(smoothing: float) -> None:
    logits, targets = draw(11, 7)
    leaf, theirs = logits.clone().requires_grad_(), logits.clone().requires_grad_()
    loss, nll = smoothed_cross_entropy(leaf * 1.0, targets, smoothing)
    expected = F.cross_entropy(theirs, targets, reduction="sum", label_smoothing=smoothing)
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(nll, F.cross_entropy(logits, targets, reduction="none"))
    (3 * loss).backward()
    (3 * expected).backward()
    torch.testing.assert_close(leaf.grad, theirs.grad)


def test_large_logits_do_not_overflow() -> None:
    logits = torch.tensor([[1000.0, 0.0], [0.0, -1000.0]], requires_grad=True)
    loss, _ = smoothed_cross_entropy(logits * 1.0, torch.tensor([1, 0]), 0.0)
    loss.backward()
    assert loss.item() == 1000
    torch.testing.assert_close(logits.grad, torch.tensor([[1.0, -1.0], [0.0, 0.0]]))


@pytest.mark.parametrize("model", [tied_model(), tiny_model()], ids=["tied output", "separate output"])
@pytest.mark.parametrize("smoothing", SMOOTHINGS)
@pytest.mark.parametrize("rows", [1, 4, 100])
def test_every_parameter_has_the_gradient_of_the_full_batch(
    model: Seq2Seq, smoothing: float, rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CHUNK_ROWS", rows)
    goal, scale = TARGET_OUT[REAL], 1 / 7
    assert 4 < len(goal) < 100
    assert len(goal) % 4
    model.zero_grad()
    full = F.cross_entropy(model(SOURCE, TARGET_IN)[REAL], goal, reduction="sum", label_smoothing=smoothing)
    (full * scale).backward()
    expected = {name: parameter.grad for name, parameter in model.named_parameters()}

    model.zero_grad()
    features = model.features(SOURCE, TARGET_IN).features[REAL]
    total = in_chunks(model, features, goal, smoothing)
    assert total.item() == pytest.approx(full.item())
    (total * scale).backward()
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(parameter.grad, expected[name])


def test_the_loss_of_a_model_in_float64_is_computed_in_float64() -> None:
    model, targets = tiny_model(), torch.tensor([3, 1, 6, 2])
    generator = torch.Generator().manual_seed(1)
    features, direction = torch.randn(2, 4, 12, generator=generator, dtype=torch.float64)

    def loss(distance: float) -> float:
        return in_chunks(model, features + distance * direction, targets, 0.1).item()

    features.requires_grad_()
    in_chunks(model, features, targets, 0.1).backward()
    assert features.grad is not None
    slope = (features.grad * direction).sum().item()
    assert (loss(1e-5) - loss(-1e-5)) / 2e-5 == pytest.approx(slope, rel=1e-8)


def test_logits_are_computed_in_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CHUNK_ROWS", 4)
    model, seen = tied_model(), []

    def readout(features: Tensor) -> Tensor:
        seen.append(len(features))
        return model.decoder.readout(features)

    features = model.features(SOURCE, TARGET_IN).features[REAL]
    chunked_cross_entropy(readout, model.parameters(), features, TARGET_OUT[REAL], smoothing=0.1).backward()
    negative_log_likelihood(readout, features, TARGET_OUT[REAL])
    assert seen == 2 * [4, 4, 4, 3]


@pytest.mark.parametrize("rows", [1, 4, 100])
def test_the_negative_log_likelihood_has_no_smoothing(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CHUNK_ROWS", rows)
    logits, targets = draw(11, 7)
    expected = -logits.log_softmax(-1)[torch.arange(11), targets].sum().item()
    assert negative_log_likelihood(lambda features: features, logits, targets) == pytest.approx(expected)


@pytest.mark.skipif(native.library() is None, reason="there is no C compiler")
@pytest.mark.parametrize("vocabulary", [5, 16, 100, 1003])
@pytest.mark.parametrize("smoothing", SMOOTHINGS)
def test_loss_and_gradient_of_the_kernel(vocabulary: int, smoothing: float) -> None:
    exact, targets = draw(9, vocabulary)
    exact[0, 1], exact[1, 0] = 90, -90
    leaf = exact.clone().requires_grad_()
    expected = F.cross_entropy(leaf, targets, reduction="sum", label_smoothing=smoothing)
    expected.backward()
    logits = exact.float()
    assert cross_entropy(logits, targets, smoothing) == pytest.approx(expected.item(), rel=1e-6)
    torch.testing.assert_close(logits.double(), leaf.grad, rtol=1e-5, atol=1e-7)


def test_gradients_with_and_without_kernels_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    model, goal = tied_model().float(), TARGET_OUT[REAL]
    monkeypatch.setattr(module, "CHUNK_ROWS", 4)
    results = []
    for kernels in (native.library(), None):
        monkeypatch.setattr(native, "library", lambda kernels=kernels: kernels)
        model.zero_grad()
        features = model.features(SOURCE, TARGET_IN).features[REAL]
        total = in_chunks(model, features, goal, 0.1)
        (total * 0.5).backward()
        results.append(
            (total.item(), [parameter.grad.clone() for parameter in model.parameters() if parameter.grad is not None])
        )
    (first, with_kernels), (second, without) = results
    assert first == pytest.approx(second, rel=1e-6)
    for gradient, expected in zip(with_kernels, without, strict=True):
        torch.testing.assert_close(gradient, expected, rtol=1e-4, atol=1e-6)


def test_a_non_finite_loss_is_returned() -> None:
    features = torch.full((3, 8), float("nan"), requires_grad=True)
    readout = torch.nn.Linear(8, 20)
    loss = chunked_cross_entropy(readout, readout.parameters(), features, torch.tensor([3, 4, 5]), smoothing=0.1)
    assert math.isnan(loss.item())


@pytest.mark.parametrize("kernels", [True, False])
def test_a_batch_of_padding_has_a_gradient_of_zeros(kernels: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not kernels:
        monkeypatch.setattr(native, "library", lambda: None)
    model = tied_model().float()
    loss = ModelWithLoss(model, 0.1)(SOURCE, TARGET_IN, torch.full_like(TARGET_OUT, PAD))
    assert loss.item() == 0
    loss.backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert not parameter.grad.any(), name


def test_the_number_of_target_tokens_does_not_change_the_loss() -> None:
    model = tied_model()
    loss = ModelWithLoss(model, 0.1)(SOURCE, TARGET_IN, TARGET_OUT, int(REAL.sum()))
    assert loss.item() == ModelWithLoss(model, 0.1)(SOURCE, TARGET_IN, TARGET_OUT).item()


def test_frozen_parameters_have_no_gradient() -> None:
    model = tied_model()
    model.decoder.requires_grad_(False)
    ModelWithLoss(model, 0.1)(SOURCE, TARGET_IN, TARGET_OUT).backward()
    learning = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert learning == {name for name, parameter in model.named_parameters() if parameter.grad is not None}
    assert learning
