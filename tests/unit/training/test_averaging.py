"""The mean over steps; that over checkpoints is in test_trainer.py, and going on with either in test_resuming.py."""

from __future__ import annotations

import pytest
import torch
from tests.unit.training.toy import model, resumed, same, settings, trainer, weights

from regard.config.recipe import override_config, parse_config
from regard.errors import ConfigError, TrainingError
from regard.models import ARCHITECTURES
from regard.training.averaging import ExponentialMovingAverage


def test_it_is_the_weighted_mean_over_all_steps() -> None:
    one = model()
    name, parameter = next(iter(one.named_parameters()))
    mean, expected = ExponentialMovingAverage(one, 0.9), 0.0
    assert not mean.mean()
    for step in range(1, 120):
        with torch.no_grad():
            parameter.copy_(torch.full_like(parameter, float(step % 7)))
        mean.after_step()
        decay = (1 + step) / (10 + step) if step < 80 else 0.9  # which it is from step 80 on
        expected = float(step % 7) if step == 1 else decay * expected + (1 - decay) * (step % 7)
        assert mean.mean()[name].flatten()[0].item() == pytest.approx(expected, rel=1e-5)


def test_it_is_what_is_judged_and_kept_and_training_goes_on_without_it() -> None:
    plain_run, plain = trainer(settings(max_steps=9))
    plain_run.run()
    run, seen = trainer(settings(max_steps=9, average_decay=0.7))
    run.run()
    assert same(weights(run.model), weights(plain_run.model))
    after = [plain.raw(index) for index in range(3)]
    assert same(seen.raw(1), after[1])
    for index, kept in enumerate(seen.kept):
        assert not same(kept, after[index])
        held = seen.saved[index].training
        assert same(kept, {key[7:]: tensor for key, tensor in held.tensors.items() if key.startswith("window/")})
        assert held.values["averaged_steps"] == 3 * index + 3
        total = sum(float(tensor.double().sum()) for tensor in kept.values())
        assert seen.saved[index].scores["loss"] == pytest.approx(total, abs=1e-3)


def test_a_step_that_changed_nothing_is_not_counted() -> None:
    run, _ = trainer(settings(max_steps=2, average_decay=0.7))
    with torch.no_grad():
        next(run.model.parameters())[5] = float("nan")
    with pytest.raises(TrainingError, match="NaN or infinite"):
        run.run()
    assert run.average.tensors({}) == ({}, {"averaged_steps": 0})


def test_going_on_leaves_what_was_saved_as_it_is() -> None:
    config = settings(max_steps=9, average_decay=0.7)
    run, seen = trainer(config)
    run.run()
    before = {name: tensor.clone() for name, tensor in seen.saved[0].training.tensors.items()}
    resumed(config, seen.saved[0])[0].run()
    assert same(seen.saved[0].training.tensors, before)


def test_one_mean_at_a_time() -> None:
    table = {"data": {"corpus": "dates"}, "model": {"architecture": "transformer2017"}}
    config = parse_config(table, ARCHITECTURES, where="test")
    with pytest.raises(ConfigError, match="either `average_checkpoints` or `average_decay`"):
        override_config(config, ["train.average_decay=0.9", "train.average_checkpoints=2"], ARCHITECTURES)
