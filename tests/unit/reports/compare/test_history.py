import json
from pathlib import Path
from typing import Any

import pytest

from regard.checkpoints.run_folder import Finished, RunFolder
from regard.errors import CheckpointError
from regard.reports.compare.history import read_training_history


def logged(step: int, seconds: float, speed: float) -> dict[str, Any]:
    return {"kind": "step", "step": step, "seconds": seconds, "tokens_per_second": speed}


def validated(step: int, bleu: float, loss: float = 1.0) -> dict[str, Any]:
    return {"kind": "checkpoint", "step": step, "best": True, "bleu": bleu, "chrf": 50.0, "loss": loss}


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return RunFolder(tmp_path)


def write(run: RunFolder, *entries: dict[str, Any]) -> None:
    run.log.write_text("".join(json.dumps(entry) + "\n" for entry in entries))


def test_the_time_of_a_checkpoint_is_interpolated(run: RunFolder) -> None:
    write(
        run,
        validated(10, 1.0),
        logged(20, 60, 100.0),
        logged(40, 180, 300.0),
        validated(50, 2.0),
        logged(60, 240, 110.0),
    )
    history = read_training_history(run)
    assert [(point.step, point.minutes, point.bleu) for point in history.curve] == [(10, 0.5, 1.0), (50, 3.5, 2.0)]
    assert (history.steps, history.minutes, history.tokens_per_second) == (60, 4.0, 110.0)


def test_a_finished_run_ends_when_it_was_marked(run: RunFolder) -> None:
    write(run, logged(20, 60, 100.0), validated(30, 2.0))
    assert read_training_history(run).minutes == 1.0
    run.mark_finished(Finished("minutes", 30, 120.0))
    history = read_training_history(run)
    assert (history.steps, history.minutes, history.curve[0].minutes) == (30, 2.0, 2.0)


def test_a_run_without_logged_steps_has_no_speed(run: RunFolder) -> None:
    write(run, validated(5, 2.0))
    history = read_training_history(run)
    assert (history.steps, history.minutes, history.tokens_per_second) == (5, 0.0, 0.0)


def test_non_finite_scores_and_incomplete_lines_are_skipped(run: RunFolder) -> None:
    write(run, validated(5, 2.0, loss=float("nan")), validated(10, 3.0))
    with run.log.open("a") as log:
        log.write('{"kind": "step", "st')
    assert [point.step for point in read_training_history(run).curve] == [10]


def test_a_run_without_a_log_is_rejected(run: RunFolder) -> None:
    with pytest.raises(CheckpointError, match="training log cannot be read"):
        read_training_history(run)
