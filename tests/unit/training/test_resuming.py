"""A run that was stopped and taken up again is, bit for bit, one that never stopped."""

import signal
from typing import Any

import pytest
from tests.unit.training.toy import Seen, Signaller, resumed, same, scores_in_turn, settings, trainer, weights

from regard.config import TrainConfig

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
    assert again.past.step == 3


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
