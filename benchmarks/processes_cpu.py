"""Training on a CPU: several processes of a thread each beside one process of as many threads, at the same batches.

    python benchmarks/processes_cpu.py [--processes 2] [--kinds ddp fsdp] [--seconds 60] [--rounds 3] [--data FOLDER]

The work is that of train_cpu.py, and so are its rules: each measurement begins anew, the first updates are left out,
rounds go over all in turn, and all are held to as many cores as there are processes. The batches are the same ones:
processes share the rows of each. A target token is a piece of a target sentence or its end; padding is not one.
"""

from __future__ import annotations

import argparse
import ctypes
import signal
import statistics
import sys
import tempfile
from pathlib import Path

from common import count, fail, told
from peers.here import heard, train_regard
from peers.measure import PeerError, Window, measure
from peers.work import System, Work
from train_cpu import DATA, pin, prepared

KINDS = ("ddp", "fsdp")
DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG


def alone(processes: int) -> System:
    """One process of as many threads."""
    return System(f"one process, {processes} threads", lambda python, work, _: _worker(python, work, processes), heard)


def together(processes: int, kind: str) -> System:
    """torchrun's processes, of one thread each."""

    def command(python: Path, work: Work, _: Path) -> list[str]:
        launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
        return [str(python), *launcher, *_worker(python, work, 1, kind)[1:]]

    return System(f"{processes} processes, {kind}", command, heard)


def _worker(python: Path, work: Work, threads: int, kind: str = "ddp") -> list[str]:
    return [str(python), __file__, "--work", str(work.folder), str(threads), kind]


def measure_all(processes: int, kinds: list[str], folder: Path, seconds: float, rounds: int) -> dict[str, list[Window]]:
    """The windows of each, the single process first."""
    systems = [(alone(processes), Work(folder, processes))]
    systems += [(together(processes, kind), Work(folder, 1)) for kind in kinds]
    found: dict[str, list[Window]] = {system.name: [] for system, _ in systems}
    for number in range(1, rounds + 1):
        for system, work in systems:
            window = measure(system, Path(sys.executable), work, seconds)
            found[system.name].append(window)
            print(f"round {number}: {system.name}: {window.speed:,.0f} target tokens/s", file=sys.stderr)
    return found


def report(found: dict[str, list[Window]], seconds: float) -> None:
    """The table, in Markdown."""
    rounds = len(next(iter(found.values())))
    print(f"Windows of {seconds:g} seconds: {rounds} each, medians.\n")
    print("| | target tokens/s | lowest to highest | of one process | target tokens an update |")
    print("| --- | ---: | ---: | ---: | ---: |")
    first = 0.0
    for name, windows in found.items():
        speeds = [window.speed for window in windows]
        speed = statistics.median(speeds)
        first = first or speed
        size = sum(window.tokens for window in windows) / sum(window.updates for window in windows)
        ends = f"{min(speeds):,.0f} to {max(speeds):,.0f}"
        print(f"| {name} | {speed:,.0f} | {ends} | {speed / first:.2f} | {size:,.0f} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--processes", type=count, default=2)
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--seconds", type=count, default=60)
    parser.add_argument("--rounds", type=count, default=3)
    parser.add_argument("--data", type=Path, default=DATA)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        prepared(arguments.data, Path(scratch))
        pin(arguments.processes)
        try:
            found = measure_all(
                arguments.processes, arguments.kinds, Path(scratch), arguments.seconds, arguments.rounds
            )
        except PeerError as error:
            fail(str(error))
    report(found, arguments.seconds)


def work(folder: str, threads: str, kind: str) -> None:
    """What this script does in processes of its own, which end when the one that started them is ended."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(DIE_WITH_PARENT, signal.SIGKILL)
    train_regard(Path(folder), int(threads), kind)


if __name__ == "__main__":
    with told():
        work(*sys.argv[2:]) if sys.argv[1:2] == ["--work"] else main()
