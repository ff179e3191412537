import json
from pathlib import Path
from typing import Any

from regard.training.log import EVERY, JsonLines, Progress


def progress(step: int) -> Progress:
    return Progress(
        step=step,
        max_steps=1000,
        epoch=0,
        loss=2.5,
        tokens_per_second=100.0,
        learning_rate=0.1,
        seconds=3.0,
        seconds_left=7.0,
    )


def entries(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def write(path: Path, steps: range, resumed_at: int = 0) -> None:
    log = JsonLines(path, resumed_at, judged=resumed_at)
    for step in steps:
        log.on_step(progress(step))
        if step % (2 * EVERY) == 0:
            log.on_checkpoint(step, {"loss": 1.25, "bleu": 30.0}, best=True)
    log.close()


def test_each_line_is_an_object_of_its_kind(tmp_path: Path) -> None:
    write(tmp_path / "log.jsonl", range(1, 2 * EVERY + 1))
    first, second, checkpoint = entries(tmp_path / "log.jsonl")
    assert (first["kind"], first["step"], first["loss"]) == ("step", EVERY, 2.5)
    assert (second["kind"], second["step"]) == ("step", 2 * EVERY)
    assert checkpoint == {"kind": "checkpoint", "step": 2 * EVERY, "best": True, "loss": 1.25, "bleu": 30.0}


def test_lines_can_be_read_while_it_is_written(tmp_path: Path) -> None:
    log = JsonLines(tmp_path / "log.jsonl")
    log.on_step(progress(EVERY))
    assert len(entries(tmp_path / "log.jsonl")) == 1
    log.close()


def test_a_resumed_log_is_that_of_a_run_that_never_stopped(tmp_path: Path) -> None:
    write(tmp_path / "whole.jsonl", range(1, 6 * EVERY + 1))
    write(tmp_path / "killed.jsonl", range(1, 5 * EVERY + 1))
    with (tmp_path / "killed.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"kind": "step", "st')
    write(tmp_path / "killed.jsonl", range(2 * EVERY + 1, 6 * EVERY + 1), resumed_at=2 * EVERY)
    assert (tmp_path / "killed.jsonl").read_text() == (tmp_path / "whole.jsonl").read_text()


def test_a_judgement_that_is_made_again_is_logged_once(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    write(path, range(1, 2 * EVERY + 1))
    JsonLines(path, resumed_at=2 * EVERY, judged=EVERY).close()
    assert [entry["kind"] for entry in entries(path)] == ["step", "step"]


def test_a_half_written_line_is_taken_back_though_nothing_else_is(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    write(path, range(1, EVERY + 1))
    whole = path.read_text()
    path.write_text(whole + whole[: len(whole) // 2])
    JsonLines(path, resumed_at=EVERY).close()
    assert path.read_text() == whole
