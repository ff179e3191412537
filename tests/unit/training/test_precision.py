"""The precision of products: chosen by what is faster, and near enough where it is short."""

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


@pytest.mark.parametrize(("share", "expected"), [(0.3, "bfloat16"), (0.9, "float32"), (2.0, "float32")])
def test_auto_takes_what_is_faster_here(share: float, expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_time_ratio", lambda: share)
    chosen, why = choose_precision("auto", CPU)
    assert chosen == expected
    assert f"{share:.1f} times" in why


def test_the_try_gives_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    assert 0 < module._time_ratio() < 100


def test_a_name_is_taken_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_time_ratio", lambda: pytest.fail("nothing is to be tried"))
    assert choose_precision("float32", CPU)[0] == "float32"
    assert choose_precision("bfloat16", CPU)[0] == "bfloat16"


def test_a_step_in_bfloat16_is_near_one_in_float32() -> None:
    taken = [batch_from_store(pairs(), (5, 11, 4, 10, 3))]
    found = {}
    for precision in ("float32", "bfloat16"):
        train_step = TrainStep(model(dropout=0.0), settings(clip_norm=0.0, precision=precision))
        done = train_step.run(taken, 0.0)
        gradients = [weight.grad.flatten() for weight in train_step.model.parameters() if weight.grad is not None]
        assert all(gradient.dtype == torch.float32 for gradient in gradients)
        found[precision] = done.loss, torch.cat(gradients)
    (loss, gradient), (short_loss, short) = found["float32"], found["bfloat16"]
    assert short_loss != loss
    assert short_loss == pytest.approx(loss, rel=1e-2)
    assert torch.cosine_similarity(gradient, short, dim=0).item() > 0.98


def test_kernels_for_float32_keep_away_from_bfloat16() -> None:
    x = torch.ones(4, 32)
    with torch.autocast("cpu", torch.bfloat16):
        assert not native.supports(x)


def test_it_learns_in_bfloat16_and_goes_on_the_same() -> None:
    run, seen = trainer(settings(max_steps=9, precision="bfloat16"))
    run.run()
    again, seen_again = trainer(settings(max_steps=9, precision="bfloat16"))
    again.run()
    first, second = seen.raw(2), seen_again.raw(2)
    assert all(torch.equal(first[name], second[name]) for name in first)
