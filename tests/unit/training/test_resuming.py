"""A run that was stopped and taken up again is, bit for bit, one that never stopped."""

import os
import signal
import time
from dataclasses import replace
from typing import Any

import pytest
import torch
from tests.unit.training.toy import (
    Seen,
    Signaller,
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
]


def name_of(kind: dict[str, Any]) -> str:
    return f"{kind['optimizer']}, mean over {'steps' if 'average_decay' in kind else kind['average_checkpoints']}"


def config_of(kind: dict[str, Any]) -> TrainConfig:
    return settings(max_steps=14, **kind)


def assert_same_end(whole: Seen, parts: Seen) -> None:
    """The checkpoints from where it was taken up: weights, state and scores."""
    count = len(parts.saved)
    assert count
    for index in range(-count, 0):
        expected, found = whole.saved[index], parts.saved[index]
        assert (found.step, found.scores, found.best) == (expected.step, expected.scores, expected.best)
        assert same(parts.kept[index], whole.kept[index])
        assert same(found.training.tensors, expected.training.tensors)
        without_clock = [
            {key: value for key, value in each.training.values.items() if key != "seconds"}
            for each in (found, expected)
        ]
        assert without_clock[0] == without_clock[1]


@pytest.mark.parametrize("kind", KINDS, ids=name_of)
@pytest.mark.parametrize("checkpoint", range(4))
def test_from_a_checkpoint(kind: dict[str, Any], checkpoint: int) -> None:
    whole_run, whole = trainer(config_of(kind))
    whole_run.run()
    assert [saved.step for saved in whole.saved] == [3, 6, 9, 12, 14]
    again, parts = resumed(config_of(kind), whole.saved[checkpoint])
    assert again.run() == "steps"
    assert [saved.step for saved in parts.saved] == [3, 6, 9, 12, 14][checkpoint + 1 :]
    assert_same_end(whole, parts)
    assert same(weights(again.model), weights(whole_run.model))


@pytest.mark.parametrize("kind", KINDS, ids=name_of)
@pytest.mark.parametrize("stops", [[1], [4], [8], [9], [1, 2, 7, 11, 13]], ids=str)
def test_from_wherever_it_was_interrupted(kind: dict[str, Any], stops: list[int]) -> None:
    whole_run, whole = trainer(config_of(kind))
    whole_run.run()
    run, seen = trainer(config_of(kind), signaller=Signaller(signal.SIGTERM, stops))
    while run.run() == "interrupted":
        run, seen = resumed(config_of(kind), seen.saved[-1], signaller=Signaller(signal.SIGTERM, stops))
    assert_same_end(whole, seen)
    assert same(weights(run.model), weights(whole_run.model))


def test_best_and_patience_are_remembered() -> None:
    config = settings(max_steps=100, patience=2, metric="bleu")
    run, seen = trainer(config, validate=lambda _: {"bleu": 5.0}, signaller=Signaller(signal.SIGTERM, [7]))
    assert run.run() == "interrupted"
    again, parts = resumed(config, seen.saved[-1], validate=lambda _: {"bleu": 4.0})
    assert again.run() == "patience"
    assert [(saved.step, saved.best) for saved in parts.saved] == [(9, False)]


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
    again, parts = resumed(config, seen.saved[-1])
    assert again.run() == "steps"
    assert not parts.saved
    assert same(weights(again.model), weights(run.model))


def test_a_score_that_is_no_number_is_never_the_best() -> None:
    config = settings(max_steps=9, metric="bleu")
    run, seen = trainer(config, validate=scores_in_turn(float("nan"), 1.0, float("nan"), metric="bleu"))
    run.run()
    assert [saved.best for saved in seen.saved] == [False, True, False]


class Interrupted:
    """A validation into which a signal falls the nth time; before it, it draws, and it notes how often it ended."""

    def __init__(self, at: int) -> None:
        self.left, self.ended = at, 0

    def __call__(self, of: Seq2Seq) -> dict[str, float]:
        torch.rand(7)
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(10)  # which a signal ends
        self.ended += 1
        return weight_sum(of)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind["optimizer"])
@pytest.mark.parametrize("at", [1, 3, 5], ids=["the first", "the third", "that of the end"])
def test_a_signal_ends_a_validation_which_is_made_good(kind: dict[str, Any], at: int) -> None:
    whole_run, whole = trainer(config_of(kind))
    whole_run.run()
    run, seen = trainer(config_of(kind), validate=Interrupted(at))
    assert run.run() == "interrupted"
    assert run.validate.ended == at - 1  # type: ignore[attr-defined]
    last = seen.saved[-1]
    assert (last.step, dict(last.scores), last.best) == ([3, 6, 9, 12, 14][at - 1], {}, False)
    assert last.training.values["judged"] < last.step
    assert [step for step, _, _ in seen.checkpoints] == [3, 6, 9, 12, 14][: at - 1]
    again, parts = resumed(config_of(kind), last)
    assert again.run() == "steps"
    assert [step for step, _, _ in parts.checkpoints] == [3, 6, 9, 12, 14][at - 1 :]
    assert_same_end(whole, parts)
    assert same(weights(again.model), weights(whole_run.model))


def test_two_signals_in_a_validation_save_too() -> None:
    def validate(_: Seq2Seq) -> dict[str, float]:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
        finally:
            os.kill(os.getpid(), signal.SIGTERM)
        raise AssertionError

    run, seen = trainer(settings(), validate=validate)
    assert run.run() == "interrupted"
    assert [saved.step for saved in seen.saved] == [3]


def test_a_validation_that_draws_changes_nothing_of_training() -> None:
    def drawing(of: Seq2Seq) -> dict[str, float]:
        torch.rand(3)
        return weight_sum(of)

    plain, _ = trainer(settings())
    plain.run()
    drawn, _ = trainer(settings(), validate=drawing)
    drawn.run()
    assert same(weights(plain.model), weights(drawn.model))


def test_a_validation_that_does_not_fit_in_memory_saves_before_it_tells() -> None:
    def large(_: Seq2Seq) -> dict[str, float]:
        raise MemoryError

    whole_run, whole = trainer(settings())
    whole_run.run()
    run, seen = trainer(settings(), validate=large)
    with pytest.raises(TrainingError, match="validation at step 3"):
        run.run()
    again, parts = resumed(settings(), seen.saved[-1])
    again.run()
    assert_same_end(whole, parts)


def test_states_of_earlier_versions_are_taken_up() -> None:
    run, seen = trainer(settings(max_steps=6))
    run.run()
    values = {key: value for key, value in seen.saved[0].training.values.items() if key not in ("smooth", "lowest")}
    del values["lost_steps"]
    old = replace(seen.saved[0], training=replace(seen.saved[0].training, values=values))
    again, _ = resumed(settings(max_steps=6), old)
    again.run()
    assert same(weights(again.model), weights(run.model))
