"""A process that trains a run straight, and another one that is killed time and again and resumed until it is done.

Arguments: an empty folder, a recipe, how often to kill, a seed. Prints how often it killed; the last checkpoints of
`straight` and `killed` in the folder are for the caller to compare.
"""

from __future__ import annotations

import os
import random
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
import torch.utils.tensorboard  # imported once, before the forks
from rich.console import Console

import regard
from regard import checkpoint

QUIET = Console(quiet=True)


def work(recipe: Path, folder: Path) -> None:
    """What a user does after a crash: resume, or begin where there is no run yet."""
    if (folder / "recipe.toml").is_file():
        regard.resume(folder, console=QUIET)
    else:
        regard.train(regard.read_recipe(recipe), folder, console=QUIET)


def in_child(act: Callable[[], None]) -> tuple[int, float]:
    """Its status, and the seconds of processor time that it took."""
    child = os.fork()
    if child == 0:
        act()
        os._exit(0)
    _, status, usage = os.wait4(child, 0)
    return status, usage.ru_utime + usage.ru_stime


def killed_after(seconds: float, act: Callable[[], None]) -> None:
    signal.setitimer(
        signal.ITIMER_PROF, seconds
    )  # SIGPROF ends a process as SIGKILL does, between any two instructions
    act()


def killed_while_writing(act: Callable[[], None]) -> None:
    """Killed with half of the first checkpoint's weights on the disk."""
    whole = safetensors.torch.save_file

    def half(tensors: dict[str, torch.Tensor], path: Path) -> None:
        whole(tensors, path)
        os.truncate(path, path.stat().st_size // 2)
        os.kill(os.getpid(), signal.SIGKILL)

    setattr(checkpoint, "save_file", half)  # noqa: B010
    act()


def main(folder: Path, recipe: Path, kills: int, seed: int) -> None:
    dice = random.Random(seed)
    status, seconds = in_child(lambda: work(recipe, folder / "straight"))
    assert status == 0, status
    run: dict[str, Any] = {"recipe": recipe, "folder": folder / "killed"}
    status, _ = in_child(lambda: killed_while_writing(lambda: work(**run)))
    assert os.WTERMSIG(status) == signal.SIGKILL, status
    killed = 1
    while killed < kills:
        after = dice.uniform(0.05, 0.35) * seconds
        status, _ = in_child(lambda after=after: killed_after(after, lambda: work(**run)))  # type: ignore[misc]
        if status == 0:
            break
        assert os.WTERMSIG(status) == signal.SIGPROF, status
        killed += 1
    status, _ = in_child(lambda: work(**run))
    assert status == 0, status
    print(killed)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
