"""A run that was stopped and resumed is, bit for bit, the same as one that was not."""

import signal
import time
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
import torch
from tests.unit.training.toy import (
    Seen,
    Signaller,
    Weights,
    resumed,
    same,
    scores_in_turn,
    settings,
    trainer,
    weight_sum,
    weights,
)

from regard.config.schema import TrainConfig
from regard.contract import Seq2Seq
from regard.errors import TrainingError

KINDS: list[dict[str, Any]] = [
    {"average_checkpoints": 1, "optimizer": "adam"},
    {"average_checkpoints": 3, "optimizer": "muon", "schedule": "cosine"},
    {"average_checkpoints": 3, "optimizer": "adadelta", "accumulate": 2},
    {"average_decay": 0.8, "optimizer": "muon", "learning_rate": 0.02},
    {
        "optimizer": "sgd", "momentum": 0.9, "nesterov": True, "schedule": "plateau", "plateau_factor": 0.5,
        "pairs_per_batch": 14, "loss_per": "pair", "checkpoint_each_epoch": True, "checkpoint_every": 1000,
    },
    {
        "optimizer": "adam", "schedule": "constant",
        "second_stage": {
            "after_steps": 7, "optimizer": "sgd", "momentum": 0.5, "learning_rate": 0.1, "schedule": "halving",
            "halving_unit": "steps", "halving_start": 9, "halving_interval": 2,
        },
    },
]  # fmt: skip


def name_of(kind: dict[str, Any]) -> str:
    averaged = "steps" if "average_decay" in kind else kind.get("average_checkpoints", 1)
    return f"{kind['optimizer']}{' then sgd' if 'second_stage' in kind else ''}, mean over {averaged}"


def config_of(kind: dict[str, Any]) -> TrainConfig:
    return settings(max_steps=14, **kind)


@cache
def uninterrupted(name: str) -> tuple[Seen, Weights]:
    """Return what a run of one of KINDS has saved, and its weights at the end."""
    run, seen = trainer(config_of(next(kind for kind in KINDS if name_of(kind) == name)))
    run.run()
    return seen, weights(run.model)


def assert_same_end(full: Seen, rest: Seen) -> None:
    """Compare the checkpoints after the resume: weights, state and scores."""
    count = len(rest.saved)
    assert count
    for index in range(-count, 0):
        expected, actual = full.saved[index], rest.saved[index]
        assert (actual.step, actual.scores, actual.best) == (expected.step, expected.scores, expected.best)
        assert same(rest.saved_weights[index], full.saved_weights[index])
        assert same(actual.training.tensors, expected.training.tensors)
        without_clock = [
            {key: value for key, value in event.training.values.items() if key != "seconds"}
            for event in (actual, expected)
        ]
        assert without_clock[0] == without_clock[1]


@pytest.mark.parametrize("kind", KINDS, ids=name_of)
@pytest.mark.parametrize("checkpoint", range(4))
def test_resume_from_a_checkpoint(kind: dict[str, Any], checkpoint: int) -> None:
    full, end = uninterrupted(name_of(kind))
    assert [saved.step for saved in full.saved] == [3, 6, 9, 12, 14]
    again, rest = resumed(config_of(kind), full.saved[checkpoint])
    assert again.run() == "steps"
    assert [saved.step for saved in rest.saved] == [3, 6, 9, 12, 14][checkpoint + 1 :]
    assert_same_end(full, rest)
    assert same(weights(again.model), end)


@pytest.mark.parametrize("kind", KINDS, ids=name_of)
@pytest.mark.parametrize("stops", [[1], [4], [8], [9], [1, 2, 7, 11, 13]], ids=str)
def test_resume_from_any_interruption(kind: dict[str, Any], stops: list[int]) -> None:
    full, end = uninterrupted(name_of(kind))
    run, seen = trainer(config_of(kind), signaller=Signaller(signal.SIGTERM, stops))
    while run.run() == "interrupted":
        run, seen = resumed(config_of(kind), seen.saved[-1], signaller=Signaller(signal.SIGTERM, stops))
    assert_same_end(full, seen)
    assert same(weights(run.model), end)


def test_best_score_and_patience_are_saved() -> None:
    config = settings(max_steps=100, patience=2, metric="bleu")
    run, seen = trainer(config, validate=lambda _: {"bleu": 5.0}, signaller=Signaller(signal.SIGTERM, [7]))
    assert run.run() == "interrupted"
    again, rest = resumed(config, seen.saved[-1], validate=lambda _: {"bleu": 4.0})
    assert again.run() == "patience"
    assert [(saved.step, saved.best) for saved in rest.saved] == [(9, False)]


def test_time_spent_is_remembered() -> None:
    run, seen = trainer(settings(max_steps=3))
    run.run()
    values = seen.saved[-1].training.values
    values["seconds"] = 3600.0
    again, _ = resumed(settings(max_steps=100, max_minutes=60.0), seen.saved[-1])
    assert again.run() == "minutes"
    assert again.progress.step == 3


def test_a_finished_run_has_nothing_left_to_do() -> None:
    config = settings(max_steps=14, average_checkpoints=3)
    run, seen = trainer(config)
    run.run()
    again, rest = resumed(config, seen.saved[-1])
    assert again.run() == "steps"
    assert not rest.saved
    assert same(weights(again.model), weights(run.model))


def test_a_nan_score_is_never_the_best() -> None:
    config = settings(max_steps=9, metric="bleu")
    run, seen = trainer(config, validate=scores_in_turn(float("nan"), 1.0, float("nan"), metric="bleu"))
    run.run()
    assert [saved.best for saved in seen.saved] == [False, True, False]


class Interrupted:
    """A validation that draws random numbers and is interrupted by a signal in its nth call; counts completed calls."""

    def __init__(self, at: int) -> None:
        self.remaining, self.completed = at, 0

    def __call__(self, of: Seq2Seq) -> dict[str, float]:
        torch.rand(7)
        self.remaining -= 1
        if self.remaining == 0:
            signal.raise_signal(signal.SIGTERM)
            time.sleep(10)  # until the signal arrives
        self.completed += 1
        return weight_sum(of)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind["optimizer"])
@pytest.mark.parametrize("at", [1, 3, 5], ids=["the first", "the third", "that of the end"])
def test_an_interrupted_validation_is_repeated_after_resuming(kind: dict[str, Any], at: int) -> None:
    full, end = uninterrupted(name_of(kind))
    run, seen = trainer(config_of(kind), validate=Interrupted(at))
    assert run.run() == "interrupted"
    assert run.validate.completed == at - 1  # type: ignore[attr-defined]
    last = seen.saved[-1]
    assert (last.step, dict(last.scores), last.best) == ([3, 6, 9, 12, 14][at - 1], {}, False)
    assert last.training.values["judged"] < last.step
    assert [step for step, _, _ in seen.checkpoints] == [3, 6, 9, 12, 14][: at - 1]
    again, rest = resumed(config_of(kind), last)
    assert again.run() == "steps"
    assert [step for step, _, _ in rest.checkpoints] == [3, 6, 9, 12, 14][at - 1 :]
    assert_same_end(full, rest)
    assert same(weights(again.model), end)


def test_two_signals_during_a_validation_save_a_checkpoint() -> None:
    def validate(_: Seq2Seq) -> dict[str, float]:
        try:
            signal.raise_signal(signal.SIGTERM)
        finally:
            signal.raise_signal(signal.SIGTERM)
        raise AssertionError

    run, seen = trainer(settings(), validate=validate)
    assert run.run() == "interrupted"
    assert [saved.step for saved in seen.saved] == [3]


def test_a_validation_that_draws_random_numbers_does_not_change_training() -> None:
    def drawing(of: Seq2Seq) -> dict[str, float]:
        torch.rand(3)
        return weight_sum(of)

    plain, _ = trainer(settings())
    plain.run()
    drawn, _ = trainer(settings(), validate=drawing)
    drawn.run()
    assert same(weights(plain.model), weights(drawn.model))


def test_a_validation_that_runs_out_of_memory_saves_a_checkpoint() -> None:
    def large(_: Seq2Seq) -> dict[str, float]:
        raise MemoryError

    full_run, full = trainer(settings())
    full_run.run()
    run, seen = trainer(settings(), validate=large)
    with pytest.raises(TrainingError, match="validation at step 3"):
        run.run()
    again, rest = resumed(settings(), seen.saved[-1])
    again.run()
    assert_same_end(full, rest)


def test_states_of_earlier_versions_can_be_resumed() -> None:
    run, seen = trainer(settings(max_steps=6))
    run.run()
    values = {key: value for key, value in seen.saved[0].training.values.items() if key not in ("smooth", "lowest")}
    del values["lost_steps"]
    old = replace(seen.saved[0], training=replace(seen.saved[0].training, values=values))
    again, _ = resumed(settings(max_steps=6), old)
    again.run()
    assert same(weights(again.model), weights(run.model))
