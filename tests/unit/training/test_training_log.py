import errno
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from regard.errors import CheckpointError
from regard.training.tensorboard import TensorBoard
from regard.training.training_log import LOG_EVERY, BestEffort, JsonLines, StepMetrics


def progress(step: int) -> StepMetrics:
    return StepMetrics(
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
    log = JsonLines(path, resumed_at, last_validated_step=resumed_at)
    for step in steps:
        log.on_step(progress(step))
        if step % (2 * LOG_EVERY) == 0:
            log.on_checkpoint(step, {"loss": 1.25, "bleu": 30.0}, best=True)
    log.close()


def test_each_line_is_an_object(tmp_path: Path) -> None:
    write(tmp_path / "log.jsonl", range(1, 2 * LOG_EVERY + 1))
    first, second, checkpoint = entries(tmp_path / "log.jsonl")
    assert (first["kind"], first["step"], first["loss"]) == ("step", LOG_EVERY, 2.5)
    assert (second["kind"], second["step"]) == ("step", 2 * LOG_EVERY)
    assert checkpoint == {"kind": "checkpoint", "step": 2 * LOG_EVERY, "best": True, "loss": 1.25, "bleu": 30.0}


def test_a_log_can_be_read_while_it_is_written(tmp_path: Path) -> None:
    log = JsonLines(tmp_path / "log.jsonl")
    log.on_step(progress(LOG_EVERY))
    assert len(entries(tmp_path / "log.jsonl")) == 1
    log.close()


def test_a_resumed_log_is_that_of_an_uninterrupted_run(tmp_path: Path) -> None:
    write(tmp_path / "complete.jsonl", range(1, 6 * LOG_EVERY + 1))
    write(tmp_path / "killed.jsonl", range(1, 5 * LOG_EVERY + 1))
    with (tmp_path / "killed.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"kind": "step", "st')
    write(tmp_path / "killed.jsonl", range(2 * LOG_EVERY + 1, 6 * LOG_EVERY + 1), resumed_at=2 * LOG_EVERY)
    assert (tmp_path / "killed.jsonl").read_text() == (tmp_path / "complete.jsonl").read_text()


def test_a_repeated_validation_is_logged_once(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    write(path, range(1, 2 * LOG_EVERY + 1))
    JsonLines(path, resumed_at=2 * LOG_EVERY, last_validated_step=LOG_EVERY).close()
    assert [entry["kind"] for entry in entries(path)] == ["step", "step"]


def test_an_incomplete_last_line_is_removed(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    write(path, range(1, LOG_EVERY + 1))
    complete = path.read_text()
    path.write_text(complete + complete[: len(complete) // 2])
    JsonLines(path, resumed_at=LOG_EVERY).close()
    assert path.read_text() == complete


@pytest.mark.parametrize("damage", [b"\xff", b"\0" * 40, b"[1]", b"{}", b'{"kind": "step", "step": 1}', b"[" * 100_000])
def test_a_damaged_line_is_dropped_and_counted(tmp_path: Path, damage: bytes) -> None:
    path = tmp_path / "log.jsonl"
    write(path, range(1, 2 * LOG_EVERY + 1))
    first, second, third = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(first + damage + b"\n" + second + third + damage)  # the last line is cut short, as by a kill
    log = JsonLines(path, 2 * LOG_EVERY, last_validated_step=2 * LOG_EVERY)
    log.close()
    assert log.damaged == [2]
    assert path.read_bytes() == first + second + third


@pytest.mark.parametrize("gone", ["removed", "renamed", "replaced"])
def test_a_log_whose_folder_is_gone_is_an_error(tmp_path: Path, gone: str) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    log = JsonLines(folder / "log.jsonl")
    if gone == "removed":
        shutil.rmtree(folder)
    else:
        folder.rename(tmp_path / "other")
    if gone == "replaced":
        folder.mkdir()
        (folder / "log.jsonl").touch()
    with pytest.raises(CheckpointError, match=f"{folder}: the run's folder was removed, renamed or replaced"):
        log.on_notice(1, "text")
    log.close()
    assert folder.exists() == (gone == "replaced")


class Failing:
    """A reporter whose disk is full or whose terminal is closed."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def __getattr__(self, name: str) -> Callable[..., None]:
        def fail(*_: object) -> None:
            self.calls.append(name)
            raise OSError(errno.EIO, os.strerror(errno.EIO))

        return fail


@pytest.mark.parametrize("first", ["on_step", "on_checkpoint", "on_notice", "close"])
def test_a_reporter_that_fails_is_dropped_with_one_notice(first: str) -> None:
    failing: Any = Failing()
    notices: list[str] = []
    reporter: Any = BestEffort("the terminal", lambda: failing, notices.append)
    calls: dict[str, tuple[Any, ...]] = {
        "on_step": (progress(1),),
        "on_checkpoint": (1, {}, False),
        "on_notice": (1, ""),
        "close": (),
    }
    for name in (first, *calls):
        getattr(reporter, name)(*calls[name])
    assert failing.calls == [first, "close"]
    assert notices == ["the terminal cannot be written any more (Input/output error); training continues"]


def test_a_reporter_that_cannot_be_opened_is_dropped() -> None:
    def fail() -> Any:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    notices: list[str] = []
    reporter = BestEffort("tensorboard", fail, notices.append)
    reporter.on_step(progress(1))
    reporter.close()
    assert len(notices) == 1


def test_tensorboard_reads_what_was_written(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    for resumed_at, steps in (
        (0, range(1, 4 * LOG_EVERY + 1)),
        (2 * LOG_EVERY, range(2 * LOG_EVERY + 1, 3 * LOG_EVERY + 1)),
    ):
        board = TensorBoard(tmp_path / "tensorboard", resumed_at)
        for step in steps:
            board.on_step(progress(step))
        board.on_checkpoint(steps[-1], {"chrf": 41.5}, best=True)
        board.on_notice(steps[-1], "a notice")
        board.close()
    assert len(list((tmp_path / "tensorboard").glob("events.*"))) == 2
    read = EventAccumulator(str(tmp_path / "tensorboard"))
    read.Reload()
    assert [event.step for event in read.Scalars("train/loss")] == [LOG_EVERY, 2 * LOG_EVERY, 3 * LOG_EVERY]
    assert read.Scalars("train/loss")[0].value == 2.5
    assert read.Scalars("dev/chrf")[-1].value == 41.5
    assert read.Tensors("notice/text_summary")[-1].step == 3 * LOG_EVERY
