"""The exponential moving average; see test_trainer.py for CheckpointAverage, and test_resuming.py for resuming."""

from __future__ import annotations

import pytest
import torch
from tests.unit.training.toy import model, resumed, same, settings, trainer, weights

from regard.config.recipe import override_config, parse_config
from regard.errors import ConfigError, TrainingError
from regard.models import ARCHITECTURES
from regard.training.averaging import ExponentialMovingAverage


def test_it_is_the_weighted_mean_over_all_steps() -> None:
    averaged = model()
    name, parameter = next(iter(averaged.named_parameters()))
    mean, expected = ExponentialMovingAverage(averaged, 0.9), 0.0
    assert not mean.mean()
    for step in range(1, 120):
        with torch.no_grad():
            parameter.copy_(torch.full_like(parameter, float(step % 7)))
        mean.after_step()
        decay = (1 + step) / (10 + step) if step < 80 else 0.9  # the maximum, reached at step 80
        expected = float(step % 7) if step == 1 else decay * expected + (1 - decay) * (step % 7)
        assert mean.mean()[name].flatten()[0].item() == pytest.approx(expected, rel=1e-5)


def test_it_is_validated_and_saved_and_does_not_change_training() -> None:
    plain_run, plain = trainer(settings(max_steps=9))
    plain_run.run()
    run, seen = trainer(settings(max_steps=9, average_decay=0.7))
    run.run()
    assert same(weights(run.model), weights(plain_run.model))
    after = [plain.raw(index) for index in range(3)]
    assert same(seen.raw(1), after[1])
    for index, saved in enumerate(seen.saved_weights):
        assert not same(saved, after[index])
        state = seen.saved[index].training
        assert same(saved, {key[7:]: tensor for key, tensor in state.tensors.items() if key.startswith("window/")})
        assert state.values["averaged_steps"] == 3 * index + 3
        total = sum(float(tensor.double().sum()) for tensor in saved.values())
        assert seen.saved[index].scores["loss"] == pytest.approx(total, abs=1e-3)


def test_a_skipped_step_is_not_counted() -> None:
    run, _ = trainer(settings(max_steps=2, average_decay=0.7))
    with torch.no_grad():
        next(run.model.parameters())[5] = float("nan")
    with pytest.raises(TrainingError, match="NaN or infinite"):
        run.run()
    assert run.average.state({}) == ({}, {"averaged_steps": 0})


def test_resuming_does_not_change_the_saved_state() -> None:
    config = settings(max_steps=9, average_decay=0.7)
    run, seen = trainer(config)
    run.run()
    before = {name: tensor.clone() for name, tensor in seen.saved[0].training.tensors.items()}
    resumed(config, seen.saved[0])[0].run()
    assert same(seen.saved[0].training.tensors, before)


def test_only_one_kind_of_average_may_be_set() -> None:
    table = {"data": {"corpus": "dates"}, "model": {"architecture": "transformer2017"}}
    config = parse_config(table, ARCHITECTURES, where="test")
    with pytest.raises(ConfigError, match="either `average_checkpoints` or `average_decay`"):
        override_config(config, ["train.average_decay=0.9", "train.average_checkpoints=2"], ARCHITECTURES)
