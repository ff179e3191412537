"""torchrun on two machines trains one run; one machine is lost and replaced, and the result is that of an intact job.

The machines are network namespaces with separate addresses, joined by a virtual cable. They share the file system.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tests.end_to_end.helpers import ONE_THREAD, Files, file_bytes, recipe

from regard.checkpoints.run_folder import RunFolder

PATIENCE = 300  # seconds; reached only if processes hang
PORT = 29400
STEPS = 600
TRAINING = {"max_steps": STEPS, "checkpoint_every": 50, "metric": "loss", "warmup_steps": 10}


def ip(*arguments: str) -> str:
    return subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True).stdout


@dataclass
class Machine:
    """A network namespace, and the output of the torchrun that it runs."""

    name: str
    address: str
    is_host: bool
    outputs: list[Path] = field(default_factory=list)

    @property
    def device(self) -> str:
        return f"{self.name}e"  # the end of the cable

    @property
    def text(self) -> str:
        """The output of the last start."""
        return " ".join(self.outputs[-1].read_text().split())

    def torchrun(self, host: str, folder: Path, *arguments: str | Path) -> subprocess.Popen[bytes]:
        """Start one process of a job of two."""
        launcher = [
            *("--nnodes=2", "--nproc-per-node=1", "--max-restarts=3", f"--rdzv-id={folder.name}"),
            *("--rdzv-backend=c10d", f"--rdzv-endpoint={host}:{PORT}", f"--local-addr={self.address}"),
            f"--rdzv-conf=is_host={str(self.is_host).lower()}",  # one host name here, so torchrun cannot know
        ]
        command = [sys.executable, "-m", "torch.distributed.run", *launcher, "-m", "regard", *map(str, arguments)]
        environment = {
            **ONE_THREAD,
            "GLOO_SOCKET_IFNAME": self.device,
            "TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1",
        }
        self.outputs.append(folder / f"{self.name}-{len(self.outputs)}")
        with self.outputs[-1].open("wb") as file:
            return subprocess.Popen(
                ["ip", "netns", "exec", self.name, *command], stdout=file, stderr=file, env=environment
            )

    def lose(self) -> None:
        """Kill all processes of this machine."""
        for process in ip("netns", "pids", self.name).split():
            with suppress(ProcessLookupError):
                os.kill(int(process), signal.SIGKILL)


@pytest.fixture
def machines() -> Iterator[tuple[Machine, Machine]]:
    if shutil.which("ip") is None or os.geteuid() != 0:
        pytest.skip("network namespaces need root and the command `ip`")
    first, second = (
        Machine(f"rg{os.getpid()}{letter}", f"10.213.7.{number}", is_host=number == 1)
        for number, letter in enumerate("ab", start=1)
    )
    with ExitStack() as stack:
        for machine in (first, second):
            try:
                ip("netns", "add", machine.name)
            except subprocess.CalledProcessError as error:
                pytest.skip(f"network namespaces cannot be created here: {error.stderr.strip()}")
            stack.callback(ip, "netns", "delete", machine.name)
            stack.callback(machine.lose)
        cable = ("link", "add", first.device, "netns", first.name, "type", "veth")
        ip(*cable, "peer", "name", second.device, "netns", second.name)
        for machine in (first, second):
            ip("-n", machine.name, "address", "add", f"{machine.address}/24", "dev", machine.device)
            for device in ("lo", machine.device):
                ip("-n", machine.name, "link", "set", device, "up")
        yield first, second


def until(happened: Callable[[], bool], *jobs: subprocess.Popen[bytes], show: Callable[[], str]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not happened():
        assert all(job.poll() is None for job in jobs), show()
        assert time.monotonic() < deadline, show()
        time.sleep(0.05)


def step_of(run: Path) -> int:
    last = RunFolder(run).last
    return 0 if last is None else int(last.name.removeprefix("step-"))


def train(machines: tuple[Machine, Machine], folder: Path, config: Path, *, loss: str) -> Path:
    """Train a run on two machines, and return it. `loss` is empty, or says how the second machine is replaced."""
    folder.mkdir()
    run = folder / "run"
    first, second = machines
    overrides = [word for key, value in TRAINING.items() for word in ("--set", f"train.{key}={value}")]
    command: tuple[str | Path, ...] = ("train", config, "--out", run, *overrides)

    def show() -> str:
        return "\n\n".join(f"{machine.name}: {machine.text}" for machine in machines)

    jobs = [machine.torchrun(first.address, folder, *command) for machine in machines]
    if loss:
        until(lambda: step_of(run) >= 50, *jobs, show=show)
        second.lose()
        jobs[1].wait(PATIENCE)
        until(lambda: "the connection to another process of this job was lost" in first.text, jobs[0], show=show)
        assert step_of(run) < STEPS
        if loss == "both":
            first.lose()
            jobs[0].wait(PATIENCE)
            jobs = [machine.torchrun(first.address, folder, "train", "--resume", run) for machine in machines]
        else:
            jobs[1] = second.torchrun(first.address, folder, *command)
    until(lambda: all(job.poll() is not None for job in jobs), show=show)
    assert [job.returncode for job in jobs] == [0, 0], show()
    assert "in 2 processes (ddp)" in show()
    assert bool(re.search(r"resuming at step \d+", show())) == bool(loss)
    assert step_of(run) == STEPS
    return run


@pytest.mark.slow
def test_a_machine_is_lost_and_replaced(machines: tuple[Machine, Machine], files: Files, tmp_path: Path) -> None:
    """The weights are those of an intact job, bit for bit, whether torchrun continues or both machines start again."""
    recipe(files)
    intact, replaced, restarted = (
        train(machines, tmp_path / name, files / "tiny.toml", loss=loss)
        for name, loss in (("intact", ""), ("replaced", "second"), ("restarted", "both"))
    )
    weights = file_bytes(intact / "last")["model.safetensors"]
    assert file_bytes(replaced / "last")["model.safetensors"] == weights
    assert file_bytes(restarted / "last")["model.safetensors"] == weights
