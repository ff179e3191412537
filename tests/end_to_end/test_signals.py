"""What signals and lost terminals end, and what is left then: a run that goes on, and no process."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.end_to_end.helpers import ONE_THREAD, Files, call, recipe, signalled_in_step, slow, start
from tests.end_to_end.test_resume import assert_same_end

import regard
from regard.checkpoints.checkpoint import load_checkpoint
from regard.checkpoints.run_folder import RunFolder

PATIENCE = 300  # seconds; only what never happens takes so long
ENDLESS = ("--set", "train.max_steps=1000000", "--set", "train.checkpoint_every=1000000")
CONTROLLED = """
import fcntl, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)  # the controlling terminal: losing it sends SIGHUP
from regard.cli.main import run
run()
"""


def wait_until(happened: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + PATIENCE
    while not happened():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.01)


def has_content(path: Path) -> Callable[[], bool]:
    return lambda: path.exists() and path.stat().st_size > 0


@pytest.mark.parametrize("number", [signal.SIGHUP, *slow(signal.SIGINT, signal.SIGTERM)])
def test_a_signal_saves_and_the_run_goes_on_as_if_there_had_been_none(
    files: Files, tmp_path: Path, number: signal.Signals
) -> None:
    uninterrupted = regard.train(recipe(files, max_steps=45, checkpoint_every=20), tmp_path / "whole").folder
    folder = tmp_path / "with space" / "run"
    steps = ("--set", "train.max_steps=45", "--set", "train.checkpoint_every=20")
    stopped = signalled_in_step(30, number, "train", files / "tiny.toml", "--out", folder, *steps)
    assert stopped.returncode == 130, stopped.stderr
    assert b"Traceback" not in stopped.stderr
    assert f"regard train --resume '{folder}'".encode() in b" ".join(stopped.stderr.split())
    assert stopped.stdout == b""
    last = RunFolder(folder).last
    assert last is not None
    assert load_checkpoint(last).step == 30
    finished = call("train", "--resume", folder)
    assert finished.code == 0, finished.err
    assert_same_end(uninterrupted, folder)


@pytest.mark.parametrize("number", [signal.SIGINT, *slow(signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)])
def test_a_signal_before_training_stops_at_once_and_says_how_to_go_on(
    files: Files, tmp_path: Path, number: signal.Signals
) -> None:
    recipe(files)
    for name in ("train.tgt", "dev.src", "dev.tgt", "tiny.toml"):
        shutil.copy(files / name, tmp_path / name)
    os.mkfifo(tmp_path / "train.src")
    process = start("train", tmp_path / "tiny.toml", "--out", tmp_path / "run")
    held: list[int] = []

    def reader_waits() -> bool:
        """Return whether the process has opened the FIFO, which no process writes to."""
        try:
            held.append(os.open(tmp_path / "train.src", os.O_WRONLY | os.O_NONBLOCK))
        except OSError:
            return False
        return True

    wait_until(reader_waits, process)
    process.send_signal(number)
    _, err = process.communicate()
    os.close(held[0])
    assert process.returncode == 130, err
    assert b"Traceback" not in err
    assert b"stopped before training began" in err
    assert number == signal.SIGINT or f"stopped by {number.name}".encode() in err
    assert f"regard train --resume {tmp_path / 'run'}".encode() in err


def test_a_run_whose_terminal_is_lost_is_saved(files: Files, tmp_path: Path) -> None:
    recipe(files)
    folder = tmp_path / "run"
    terminal, own = os.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", CONTROLLED, "train", files / "tiny.toml", "--out", folder, *ENDLESS],
        stdin=own,
        stdout=own,
        stderr=own,
        env={**ONE_THREAD, "TERM": "xterm"},
        start_new_session=True,
    )
    os.close(own)
    os.set_blocking(terminal, False)

    def has_steps() -> bool:
        try:
            while os.read(terminal, 1 << 16):
                pass
        except BlockingIOError:
            pass
        return has_content(folder / "log.jsonl")()

    wait_until(has_steps, process)
    os.close(terminal)
    process.wait(PATIENCE)
    last = RunFolder(folder).last
    assert last is not None
    assert load_checkpoint(last).step >= 20
    finished = call("train", "--resume", folder, "--set", f"train.max_steps={load_checkpoint(last).step + 1}")
    assert finished.code == 0, finished.err


@pytest.mark.parametrize("number", [signal.SIGTERM, *slow(signal.SIGHUP, signal.SIGQUIT)])
def test_a_signal_ends_a_translation_with_a_word(run: Path, number: signal.Signals) -> None:
    process = start("translate", run, "--workers", "1", stdin=subprocess.PIPE)
    assert process.stdin is not None and process.stdout is not None
    process.stdin.write(b"12\n" * 4500)
    process.stdin.flush()
    assert process.stdout.readline()  # it is at work, and waits for more
    process.send_signal(number)
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    assert err.decode().strip() == f"stopped by {number.name}"


def test_workers_end_with_a_parent_that_is_killed(run: Path, tmp_path: Path) -> None:
    (tmp_path / "many").write_bytes(b"12345\n" * 200_000)
    process = start("translate", run, "--input", tmp_path / "many", "--workers", "2")
    assert process.stdout is not None
    assert process.stdout.readline()  # the workers are at work
    process.kill()
    process.communicate(timeout=PATIENCE)  # returns when every process that it started has ended
    assert process.returncode == -signal.SIGKILL
