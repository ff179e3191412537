"""Measure a system: run it in a separate process, skip the warm-up, parse its output for a while, and kill it."""

from __future__ import annotations

import math
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

from peers.work import System, Work

WARM_UP = 6  # updates
PATIENCE = 900  # seconds that a system may take in addition to its window
LAST_LINES = 12  # lines of output that are kept to explain a failure
VARIABLES = {"CUDA_VISIBLE_DEVICES": "", "PYTHONUNBUFFERED": "1", "TOKENIZERS_PARALLELISM": "false"}
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


class PeerError(Exception):
    """A system cannot be installed or fails to train; the message is the reason, in one line."""


@dataclass(frozen=True)
class Window:
    """A measurement: target tokens, updates, elapsed seconds, CPU seconds, and the peak memory of the process.

    `cpu_seconds` is NaN where there is no /proc.
    """

    tokens: float
    updates: int
    seconds: float
    cpu_seconds: float
    megabytes: float

    @property
    def speed(self) -> float:
        return self.tokens / self.seconds

    @property
    def tokens_per_cpu_second(self) -> float:
        return self.tokens / self.cpu_seconds


def measure(system: System, python: Path, work: Work, seconds: float) -> Window:
    """Train for `seconds` after the warm-up, to the end of the update.

    The time of an update is the time when its line is read, so every system is measured with the same clock.

    Raises:
        PeerError: If the system ends or is killed before the window is complete.
    """
    last: deque[str] = deque(maxlen=LAST_LINES)
    with tempfile.TemporaryDirectory() as scratch:
        command = system.command(python, work, Path(scratch))
        dropped = ("PYTHONPATH",) if system.installs else ()
        variables = {name: value for name, value in os.environ.items() if name not in dropped}
        variables |= dict.fromkeys(THREADS, str(work.threads))
        with _running(command, Path(scratch), variables, PATIENCE + seconds) as process:
            result = _watch(system, process, seconds, last)
        if result is None:
            raise PeerError(_reason(last, process.returncode))
    return Window(*result, process.megabytes)


def _watch(
    system: System, process: _Process, seconds: float, last: deque[str]
) -> tuple[float, int, float, float] | None:
    """Return tokens, updates, seconds and CPU seconds of the window, or None if the output ends first."""
    tokens, updates, start, cpu_start, previous = 0.0, -WARM_UP, 0.0, 0.0, 0.0
    for line in process.stdout or ():
        current = time.perf_counter()
        entry = system.parse_line(line)
        if entry is None:
            last.append(line.strip())
            continue
        updates += 1
        if updates == 0:
            start, cpu_start = current, process.cpu_seconds()
        elif updates > 0:
            tokens += entry.tokens if entry.tokens is not None else (entry.rate or 0.0) * (current - previous)
            if current - start >= seconds:
                return tokens, updates, current - start, process.cpu_seconds() - cpu_start
        previous = current
    return None


class _Process(subprocess.Popen[str]):
    megabytes = 0.0  # peak memory, set when the process has ended

    def cpu_seconds(self) -> float:
        """Return the CPU time so far of the processes in the group, with those that they waited for."""
        ticks = 0
        if not Path("/proc/self/stat").is_file():
            return math.nan
        for path in Path("/proc").glob("[0-9]*/stat"):
            with suppress(OSError):  # it has ended
                fields = path.read_text(errors="replace").rpartition(")")[2].split()
                if int(fields[2]) == self.pid:  # the group; user, system and those of children are fields 11 to 14
                    ticks += sum(map(int, fields[11:15]))
        return ticks / os.sysconf("SC_CLK_TCK")


@contextmanager
def _running(command: list[str], folder: Path, variables: dict[str, str], timeout: float) -> Iterator[_Process]:
    """Run a process in a process group; kill the group at the end of the context or after the timeout."""
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
    timer = Timer(timeout, os.killpg, (process.pid, signal.SIGKILL))
    timer.start()
    try:
        yield process
    finally:
        timer.cancel()
        with suppress(OSError):
            os.killpg(process.pid, signal.SIGKILL)  # not yet waited for, so the process id is still valid
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        process.megabytes = usage.ru_maxrss / 1024
        assert process.stdout is not None
        process.stdout.close()


def _reason(last: deque[str], status: int) -> str:
    output = [line for line in last if line]
    errors = [line for line in output if "Error" in line or "error" in line]
    message = (errors or output or ["no output"])[-1]
    if status == -signal.SIGKILL:
        return f"it was killed, or did not finish within {PATIENCE} seconds after its window; last output: {message}"
    return f"it ended with status {status}: {message}"
