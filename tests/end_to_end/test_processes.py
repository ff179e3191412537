"""Two processes of torchrun train one run: they start or resume it, are killed, restarted and stopped."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.end_to_end.helpers import ONE_THREAD, Files, call, recipe

import regard
from regard.checkpoints.run_folder import RunFolder
from regard.errors import CheckpointError

PATIENCE = 900  # seconds; reached only if the processes hang, and less than the timeout of torch.distributed
ENDLESS = "train.max_steps=1000000"


class Job:
    """torchrun with two processes of `regard`, and their output."""

    def __init__(self, folder: Path, *arguments: str | Path, restarts: int = 0) -> None:
        self.output = folder / "output"
        launcher = ["torch.distributed.run", "--standalone", "--nproc-per-node=2", f"--max-restarts={restarts}"]
        command = [sys.executable, "-m", *launcher, "-m", "regard", *map(str, arguments)]
        with self.output.open("wb") as file:
            self.process = subprocess.Popen(command, stdout=file, stderr=file, env=ONE_THREAD)

    @property
    def text(self) -> str:
        return " ".join(self.output.read_text().split())

    def until(self, happened: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE
        while not happened():
            assert self.process.poll() is None, self.text
            assert time.monotonic() < deadline, self.text
            time.sleep(0.05)

    def kill(self, rank: int) -> None:
        """Kill the process of a rank."""
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
                if parent == self.process.pid and f"\0RANK={rank}\0" in f"\0{(folder / 'environ').read_text()}":
                    os.kill(int(folder.name), signal.SIGKILL)
                    return
            except OSError:
                continue
        raise AssertionError(f"there is no process {rank}")


@contextmanager
def job(folder: Path, *arguments: str | Path, restarts: int = 0) -> Iterator[Job]:
    started = Job(folder, *arguments, restarts=restarts)
    try:
        yield started
    finally:
        started.process.terminate()  # it ends its workers
        started.process.wait(PATIENCE)


def step_of(run: Path) -> int:
    last = RunFolder(run).last
    return 0 if last is None else int(last.name.removeprefix("step-"))


def end_alone(run: Path) -> None:
    """Train a few more steps, to the end, with a single process."""
    path, end = run / "recipe.toml", step_of(run) + 7
    path.write_text(re.sub(r"max_steps = \d+", f"max_steps = {end}", path.read_text()))
    finished = call("train", "--resume", run)
    assert finished.code == 0, finished.err
    assert step_of(run) == end
    logged = [json.loads(line)["step"] for line in (run / "log.jsonl").read_text().splitlines()]
    assert logged == sorted(logged)


@pytest.mark.slow
def test_a_job_restarts_after_a_kill_and_ends_after_the_next(files: Files, tmp_path: Path) -> None:
    recipe(files)
    run = tmp_path / "run"
    settings = [ENDLESS, "train.checkpoint_every=5", "train.metric=loss"]
    overrides = [word for setting in settings for word in ("--set", setting)]
    with job(tmp_path, "train", files / "tiny.toml", "--out", run, *overrides, restarts=1) as started:
        started.until(lambda: step_of(run) >= 5)
        assert "in 2 processes (ddp)" in started.text
        started.kill(1)
        started.until(lambda: "resuming at step" in started.text)
        before = step_of(run)
        started.until(lambda: step_of(run) > before)
        started.kill(0)
        assert started.process.wait(PATIENCE) == 1
        assert "the connection to another process of this job was lost" in started.text
        assert "(SIGKILL)" in started.text
    end_alone(run)


def test_two_processes_resume_a_run_of_one_and_stop_on_a_signal(files: Files, tmp_path: Path) -> None:
    run = tmp_path / "run"
    small = {"max_steps": 10, "checkpoint_every": 5, "metric": "'loss'"}
    regard.train(recipe(files, **small), run)
    path = run / "recipe.toml"
    path.write_text(path.read_text().replace("max_steps = 10", "max_steps = 100000").replace('"ddp"', '"fsdp"'))
    with job(tmp_path, "train", "--resume", run) as started:
        started.until(lambda: step_of(run) > 10)
        assert "in 2 processes (fsdp)" in started.text
        assert "resuming at step 10" in started.text
        started.process.terminate()
        started.process.wait(PATIENCE)
        assert (
            started.text.count("stopped, and saved a checkpoint")
            == started.text.count(f"regard train --resume {run}")
            == 1
        )
    assert json.loads((run / "last/training/state.json").read_text())["processes"] == 2
    end_alone(run)


@pytest.mark.slow
def test_an_error_is_reported_once(files: Files, tmp_path: Path) -> None:
    with job(tmp_path, "train", tmp_path / "nowhere.toml") as started:
        assert started.process.wait(PATIENCE) == 1
        assert started.text.count("there is no such recipe") == 1


def test_a_restarted_job_resumes_only_its_own_run(
    files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torchrun = {"RANK": "0", "WORLD_SIZE": "1", "LOCAL_RANK": "0", "MASTER_ADDR": "localhost"}
    config = recipe(files, max_steps=4, checkpoint_every=2, metric="'loss'")

    def start(job: str, restarts: int) -> int:
        variables = {**torchrun, "TORCHELASTIC_RUN_ID": job, "TORCHELASTIC_RESTART_COUNT": str(restarts)}
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        return regard.train(config, tmp_path / "run").step

    assert start("ours", 0) == 4
    for job_and_restarts in (("ours", 0), ("another", 1)):
        with pytest.raises(CheckpointError, match="already contains a run"):
            start(*job_and_restarts)
    assert start("ours", 1) == 4
