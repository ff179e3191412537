"""Measure how long `regard translate` takes for one line, beyond the time of importing PyTorch.

    taskset -c 0 python benchmarks/startup.py RUN [--line TEXT] [--rounds 7]

starts three commands in turn: `import torch` alone, and the translation of a line in float32 and in int8. Printed are
medians over the rounds, of the whole command and of its difference from `import torch` in the same round. Each command
first runs once, which reads its files into memory and compiles Python's bytecode.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from common import count, exit_on_error, fail

from regard.checkpoints.run_folder import resolve_checkpoint

TORCH = "import torch"


class Seconds(NamedTuple):
    """The time of a command: on the clock, and of all its threads on the processor."""

    wall: float
    cpu: float


def measure(command: Sequence[str], line: str) -> Seconds:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    before, start = os.times(), time.perf_counter()
    finished = subprocess.run(command, input=f"{line}\n", capture_output=True, text=True, env=environment, check=False)
    wall, after = time.perf_counter() - start, os.times()
    if finished.returncode:
        fail(finished.stderr)
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return Seconds(wall, cpu)


def main() -> None:
    assert __doc__
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path, metavar="RUN", help="a run or a checkpoint")
    parser.add_argument("--line", default="A dog runs through the snow.", metavar="TEXT", help="the line to translate")
    parser.add_argument("--rounds", type=count, default=7, metavar="N")
    options = parser.parse_args()
    with exit_on_error():
        resolve_checkpoint(options.run)
    translate = [sys.executable, "-m", "regard", "translate", str(options.run), "--device", "cpu", "--precision"]
    commands = {
        TORCH: [sys.executable, "-c", TORCH],
        "regard translate": [*translate, "float32"],
        "regard translate, int8": [*translate, "int8"],
    }
    for command in commands.values():
        measure(command, options.line)
    rounds = [
        {name: measure(command, options.line) for name, command in commands.items()} for _ in range(options.rounds)
    ]
    subprocess.run([sys.executable, "-m", "regard", "version", "--verbose"], check=True)
    print("\n| medians in seconds | wall | CPU | wall beyond PyTorch | CPU beyond PyTorch |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for name in commands:
        cells = [statistics.median(times[name][part] for times in rounds) for part in range(2)]
        cells += [statistics.median(times[name][part] - times[TORCH][part] for times in rounds) for part in range(2)]
        print(f"| `{name}` | {' | '.join(f'{cell:.2f}' for cell in cells)} |")


if __name__ == "__main__":
    main()
