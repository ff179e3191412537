"""The choice of a precision, and training in bfloat16."""

from __future__ import annotations

import pytest
import torch
from tests.unit.training.toy import model, pairs, settings, trainer

from regard.data.batch import batch_from_store
from regard.nn.kernels import native
from regard.training import precision as module
from regard.training.precision import choose_precision
from regard.training.step import TrainStep

CPU = torch.device("cpu")


@pytest.mark.parametrize(("ratio", "expected"), [(0.3, "bfloat16"), (0.9, "float32"), (2.0, "float32")])
def test_auto_chooses_the_faster_precision(ratio: float, expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_time_ratio", lambda: ratio)
    chosen, reason = choose_precision("auto", CPU)
    assert chosen == expected
    assert f"{ratio:.1f} times" in reason


def test_the_ratio_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    assert 0 < module._time_ratio() < 100


def test_an_explicit_precision_is_not_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_time_ratio", lambda: pytest.fail("measured"))
    assert choose_precision("float32", CPU)[0] == "float32"
    assert choose_precision("bfloat16", CPU)[0] == "bfloat16"


def test_a_step_in_bfloat16_is_close_to_one_in_float32() -> None:
    batches = [batch_from_store(pairs(), (5, 11, 4, 10, 3))]
    results = {}
    for precision in ("float32", "bfloat16"):
        train_step = TrainStep(model(dropout=0.0), settings(clip_norm=0.0, precision=precision))
        result = train_step.run(batches, 0.0)
        gradients = [weight.grad.flatten() for weight in train_step.model.parameters() if weight.grad is not None]
        assert all(gradient.dtype == torch.float32 for gradient in gradients)
        results[precision] = result.loss, torch.cat(gradients)
    (loss, gradient), (short_loss, short) = results["float32"], results["bfloat16"]
    assert short_loss != loss
    assert short_loss == pytest.approx(loss, rel=1e-2)
    assert torch.cosine_similarity(gradient, short, dim=0).item() > 0.98


def test_kernels_do_not_support_bfloat16() -> None:
    x = torch.ones(4, 32)
    with torch.autocast("cpu", torch.bfloat16):
        assert not native.supports(x)


def test_training_in_bfloat16_is_deterministic() -> None:
    run, seen = trainer(settings(max_steps=9, precision="bfloat16"))
    run.run()
    again, seen_again = trainer(settings(max_steps=9, precision="bfloat16"))
    again.run()
    first, second = seen.raw(2), seen_again.raw(2)
    assert all(torch.equal(first[name], second[name]) for name in first)
