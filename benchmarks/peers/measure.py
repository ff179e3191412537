"""One measurement: a system in a process of its own, warmed up, watched for a while by what it says, and ended."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Timer
from typing import IO

from peers.work import System, Work

WARM_UP = 6  # updates
PATIENCE = 900  # seconds that a system may take beyond its window
TOLD = 12  # lines of what it said last, where it fails
VARIABLES = {"CUDA_VISIBLE_DEVICES": "", "PYTHONUNBUFFERED": "1", "TOKENIZERS_PARALLELISM": "false"}
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


class PeerError(Exception):
    """A system that cannot be installed or does not train, with the reason in a line."""


@dataclass(frozen=True)
class Window:
    """What was measured: the target tokens of so many updates, the seconds they took, and the process's peak memory."""

    tokens: float
    updates: int
    seconds: float
    megabytes: float

    @property
    def speed(self) -> float:
        return self.tokens / self.seconds


def measure(system: System, python: Path, work: Work, seconds: float) -> Window:
    """Train for so many seconds after the warm-up, to the end of the update. Raises PeerError.

    A line that tells of an update counts from when it comes here, so the clock is the same for every system.
    """
    last: deque[str] = deque(maxlen=TOLD)
    with tempfile.TemporaryDirectory() as scratch:
        command = system.command(python, work, Path(scratch))
        dropped = ("PYTHONPATH",) if system.installs else ()
        variables = {name: value for name, value in os.environ.items() if name not in dropped}
        variables |= dict.fromkeys(THREADS, str(work.threads))
        with _running(command, Path(scratch), variables, PATIENCE + seconds) as process:
            assert process.stdout is not None
            found = _watch(system, process.stdout, seconds, last)
        if found is None:
            raise PeerError(_reason(last, process.returncode))
    tokens, updates, took = found
    return Window(tokens, updates, took, process.megabytes)


def _watch(system: System, lines: IO[str], seconds: float, last: deque[str]) -> tuple[float, int, float] | None:
    """Tokens, updates and seconds of the window; None where the lines end before it does."""
    tokens, updates, began, before = 0.0, -WARM_UP, 0.0, 0.0
    for line in lines:
        now = time.perf_counter()
        heard = system.heard(line)
        if heard is None:
            last.append(line.strip())
            continue
        updates += 1
        if updates == 0:
            began = now
        elif updates > 0:
            tokens += heard.tokens if heard.tokens is not None else (heard.rate or 0.0) * (now - before)
            if now - began >= seconds:
                return tokens, updates, now - began
        before = now
    return None


class _Process(subprocess.Popen[str]):
    megabytes = 0.0  # the peak, once it is over


@contextmanager
def _running(command: list[str], folder: Path, variables: dict[str, str], most: float) -> Iterator[_Process]:
    """A process whose output can be read, with all that it starts; killed at the end, or after so many seconds."""
    process = _Process(
        command,
        cwd=folder,
        env={**variables, **VARIABLES},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    timer = Timer(most, os.killpg, (process.pid, signal.SIGKILL))
    timer.start()
    try:
        yield process
    finally:
        timer.cancel()
        with suppress(OSError):
            os.killpg(process.pid, signal.SIGKILL)  # not waited for yet, so the number is still its own
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        process.megabytes = usage.ru_maxrss / 1024
        assert process.stdout is not None
        process.stdout.close()


def _reason(last: deque[str], status: int) -> str:
    said = [line for line in last if line]
    errors = [line for line in said if "Error" in line or "error" in line]
    told = (errors or said or ["nothing"])[-1]
    if status == -signal.SIGKILL:
        return f"it was killed, or was not through {PATIENCE} seconds after its window; it said last: {told}"
    return f"it ended with status {status}: {told}"
