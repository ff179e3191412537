import json
from pathlib import Path
from typing import Any

import pytest

from regard.checkpoints.run_folder import Finished, RunFolder
from regard.errors import CheckpointError
from regard.reports.compare.history import read_history


def at(step: int, seconds: float, speed: float) -> dict[str, Any]:
    return {"kind": "step", "step": step, "seconds": seconds, "tokens_per_second": speed}


def judged(step: int, bleu: float, loss: float = 1.0) -> dict[str, Any]:
    return {"kind": "checkpoint", "step": step, "best": True, "bleu": bleu, "chrf": 50.0, "loss": loss}


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return RunFolder(tmp_path)


def write(run: RunFolder, *entries: dict[str, Any]) -> None:
    run.log.write_text("".join(json.dumps(entry) + "\n" for entry in entries))


def test_checkpoints_have_the_minutes_of_the_steps_around_them(run: RunFolder) -> None:
    write(run, judged(10, 1.0), at(20, 60, 100.0), at(40, 180, 300.0), judged(50, 2.0), at(60, 240, 110.0))
    history = read_history(run)
    assert [(point.step, point.minutes, point.bleu) for point in history.curve] == [(10, 0.5, 1.0), (50, 3.5, 2.0)]
    assert (history.steps, history.minutes, history.tokens_per_second) == (60, 4.0, 110.0)


def test_the_end_is_that_of_the_mark(run: RunFolder) -> None:
    write(run, at(20, 60, 100.0), judged(30, 2.0))
    assert read_history(run).minutes == 1.0
    run.mark_finished(Finished("minutes", 30, 120.0))
    history = read_history(run)
    assert (history.steps, history.minutes, history.curve[0].minutes) == (30, 2.0, 2.0)


def test_a_run_shorter_than_a_line_of_log_has_no_speed(run: RunFolder) -> None:
    write(run, judged(5, 2.0))
    history = read_history(run)
    assert (history.steps, history.minutes, history.tokens_per_second) == (5, 0.0, 0.0)


def test_scores_that_are_no_numbers_and_half_lines_are_passed_over(run: RunFolder) -> None:
    write(run, judged(5, 2.0, loss=float("nan")), judged(10, 3.0))
    with run.log.open("a") as log:
        log.write('{"kind": "step", "st')
    assert [point.step for point in read_history(run).curve] == [10]


def test_without_a_log_it_says_so(run: RunFolder) -> None:
    with pytest.raises(CheckpointError, match="no log of training"):
        read_history(run)
