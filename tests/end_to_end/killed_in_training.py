"""Train a run without interruption, and another one that is killed again and again and resumed until it is done.

The second run is killed, in turn: at a random time, at a random line of the code that writes checkpoints and log, and
halfway through the weights of a checkpoint; or it gets a SIGTERM at a random time. Arguments: an empty folder, a
recipe, the number of kills, and a seed. Prints the number of kills; the caller compares the last checkpoints of
`straight` and `killed` in the folder.
"""

from __future__ import annotations

import os
import random
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import safetensors.torch
import torch
import torch._dynamo  # imported once, before the forks: it takes two seconds
import torch.utils.tensorboard
from rich.console import Console

import regard
import regard.runs.stream
from regard.checkpoints import checkpoint
from regard.data import streaming

QUIET = Console(quiet=True)
WRITERS = (
    "regard/checkpoints/checkpoint.py",
    "regard/files.py",
    "regard/checkpoints/run_folder.py",
    "regard/training/training_log.py",
)
MAX_LINES = 1200  # of WRITERS that run for a few checkpoints
INTERRUPTED = 3  # an exit code


def work(recipe: Path, folder: Path) -> None:
    """Do what a user does after a crash: resume the run, or start it if it does not exist."""
    if (folder / "recipe.toml").is_file():
        result = regard.resume(folder, console=QUIET)
    else:
        result = regard.train(regard.read_recipe(recipe), folder, console=QUIET)
    os._exit(INTERRUPTED if result.end == "interrupted" else 0)


def in_child(act: Callable[[], None]) -> tuple[int, float]:
    """Return the exit code, negative for a signal, and the CPU time in seconds."""
    child = os.fork()
    if child == 0:
        act()
        os._exit(0)
    _, status, usage = os.wait4(child, 0)
    return os.waitstatus_to_exitcode(status), usage.ru_utime + usage.ru_stime


def killed_after(seconds: float, act: Callable[[], None]) -> None:
    signal.setitimer(
        signal.ITIMER_PROF, seconds
    )  # SIGPROF ends a process as SIGKILL does, between any two instructions
    act()


def terminated_after(seconds: float, act: Callable[[], None]) -> None:
    signal.signal(signal.SIGPROF, lambda *_: signal.raise_signal(signal.SIGTERM))
    signal.setitimer(signal.ITIMER_PROF, seconds)
    act()


def killed_at_line(number: int, act: Callable[[], None]) -> None:
    remaining = number

    def trace(frame: FrameType, event: str, _: Any) -> Callable[..., Any] | None:
        nonlocal remaining
        if not frame.f_code.co_filename.endswith(WRITERS):
            return None
        if event == "line":
            remaining -= 1
            if remaining == 0:
                os.kill(os.getpid(), signal.SIGKILL)
        return trace

    sys.settrace(trace)
    act()


def killed_while_writing(act: Callable[[], None]) -> None:
    """Kill it when half of the weights of the first checkpoint are on the disk."""
    save_file = safetensors.torch.save_file

    def half(tensors: dict[str, torch.Tensor], path: Path) -> None:
        save_file(tensors, path)
        os.truncate(path, path.stat().st_size // 2)
        os.kill(os.getpid(), signal.SIGKILL)

    setattr(checkpoint, "save_file", half)  # noqa: B010
    act()


def main(folder: Path, recipe: Path, kills: int, seed: int) -> None:
    dice = random.Random(seed)
    status, seconds = in_child(lambda: work(recipe, folder / "straight"))
    assert status == 0, status

    def resume() -> None:
        work(recipe, folder / "killed")

    ways: list[tuple[Callable[[], None], set[int]]] = [
        (lambda: killed_while_writing(resume), {-signal.SIGKILL}),
        (lambda: killed_after(after, resume), {-signal.SIGPROF}),
        (lambda: killed_at_line(line, resume), {-signal.SIGKILL}),
        (lambda: terminated_after(after, resume), {INTERRUPTED, -signal.SIGTERM}),  # the latter before training
    ]
    killed = 0
    while killed < kills:
        after, line = dice.uniform(0.02, 0.3) * seconds, dice.randint(1, MAX_LINES)
        way, expected = ways[killed % len(ways)]
        status, _ = in_child(way)
        if status == 0:
            break
        assert status in expected, (killed, status)
        killed += 1
    if status != 0:
        status, _ = in_child(resume)
    assert status == 0, status
    print(killed)


if __name__ == "__main__":
    torch.set_num_threads(1)
    for module in (streaming, regard.runs.stream):
        setattr(module, "CHUNK_PAIRS", 50)  # noqa: B010 - so that a streamed corpus has several pools
    setattr(streaming, "POOL", 250)  # noqa: B010
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
