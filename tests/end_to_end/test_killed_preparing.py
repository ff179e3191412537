"""A preparation that is killed while it encodes goes on where it was, and leaves the store of one that never was."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from tests.end_to_end.helpers import ONE_THREAD, RECIPE, file_bytes, write_lines

PAIRS = 150_000
REGARD = "import regard.data.store_writer as w; w.SAVE_INTERVAL = 0.1; from regard.cli.main import run; run()"


def start(*arguments: str | Path) -> subprocess.Popen[bytes]:
    """`regard train ...`, which notes every tenth of a second how far preparing is."""
    command = [sys.executable, "-c", REGARD, "train", *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=ONE_THREAD)


def finish(*arguments: str | Path) -> None:
    process = start(*arguments)
    _, err = process.communicate()
    assert process.returncode == 0, err


def read_of(run: Path) -> int:
    """How many pairs a store that is being written has taken, as was noted last."""
    path = run / "data" / ".train-parts" / "progress.json"
    return int(json.loads(path.read_text())["read"]) if path.exists() else 0


def kill_when(process: subprocess.Popen[bytes], run: Path, pairs: int) -> int:
    """Kill the process as soon as this many pairs are recorded, and return how many were."""
    while read_of(run) < pairs:
        assert process.poll() is None, process.communicate()
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGKILL)
    _, err = process.communicate()  # returns when its workers have ended too: they have its stderr
    assert b"Traceback" not in err and b"BrokenPipe" not in err
    assert process.returncode == -signal.SIGKILL
    return read_of(run)


@pytest.mark.slow
def test_a_preparation_that_is_killed_goes_on_where_it_was(tmp_path: Path) -> None:
    numbers = [f"{number * 7919 % 1_000_003}" for number in range(PAIRS)]
    for name, lines in (("train", numbers), ("dev", numbers[:50])):
        write_lines(tmp_path / f"{name}.src", [*lines, "9" * 300])  # the last one is left aside
        write_lines(tmp_path / f"{name}.tgt", [*(line[::-1] for line in lines), "9"])
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(RECIPE.replace("max_steps = 240", "max_steps = 1"))
    straight, killed, marked = (tmp_path / name for name in ("straight", "killed", "marked"))
    finish(recipe, "--out", straight)

    first = kill_when(start(recipe, "--out", killed), killed, 60_000)  # more than are encoded without workers
    second = kill_when(start("--resume", killed), killed, first + 20_000)
    assert 60_000 <= first < second < PAIRS
    shutil.copytree(killed, marked, symlinks=True)
    finish("--resume", killed)
    assert file_bytes(killed / "data") == file_bytes(straight / "data")
    assert read_of(killed) == 0

    with (marked / "data" / ".train-parts" / "target.npy.raw").open("r+b") as file:
        file.write(np.int32(4444).tobytes())  # which only stays where what had been written is kept
    finish("--resume", marked)
    targets = [np.load(run / "data" / "train.target.npy") for run in (straight, marked)]
    assert targets[1][0] == 4444
    assert np.array_equal(targets[0][1:], targets[1][1:])
