"""Compare training on a CPU in several processes of one thread each with one process of as many threads.

    python benchmarks/processes_cpu.py [--processes 2] [--kinds ddp fsdp] [--seconds 60] [--rounds 3] [--data FOLDER]

The task and the rules are those of train_cpu.py: each measurement starts a new training, the first updates are not
counted, each round measures every variant once, and every variant may use as many cores as there are processes. All
variants train on the same batches: processes share the rows of each batch. The target tokens that are counted include
the end of each sentence and exclude padding.
"""

from __future__ import annotations

import argparse
import ctypes
import signal
import statistics
import sys
import tempfile
from pathlib import Path

from common import count, exit_on_error, fail, print_machine
from peers.here import parse_line, train_regard
from peers.measure import PeerError, Window, measure
from peers.work import System, Work
from train_cpu import DATA, pin_to_cores, prepare_work

KINDS = ("ddp", "fsdp")
DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG


def single_process(threads: int) -> System:
    """Return the variant with one process."""
    name = f"one process, {threads} threads"
    return System(name, lambda python, work, _: _worker_command(python, work, threads), parse_line)


def multiple_processes(processes: int, kind: str) -> System:
    """Return the variant with several processes of one thread each, started by torchrun."""

    def command(python: Path, work: Work, _: Path) -> list[str]:
        launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
        return [str(python), *launcher, *_worker_command(python, work, 1, kind)[1:]]

    return System(f"{processes} processes, {kind}", command, parse_line)


def _worker_command(python: Path, work: Work, threads: int, kind: str = "ddp") -> list[str]:
    return [str(python), __file__, "--work", str(work.folder), str(threads), kind]


def measure_all(processes: int, kinds: list[str], folder: Path, seconds: float, rounds: int) -> dict[str, list[Window]]:
    """Return the windows of each variant, the single process first."""
    systems = [(single_process(processes), Work(folder, processes))]
    systems += [(multiple_processes(processes, kind), Work(folder, 1)) for kind in kinds]
    results: dict[str, list[Window]] = {system.name: [] for system, _ in systems}
    for number in range(1, rounds + 1):
        for system, work in systems:
            window = measure(system, Path(sys.executable), work, seconds)
            results[system.name].append(window)
            print(f"round {number}: {system.name}: {window.speed:,.0f} target tokens/s", file=sys.stderr)
    return results


def report(results: dict[str, list[Window]], seconds: float) -> None:
    """Print the table, in Markdown."""
    rounds = len(next(iter(results.values())))
    print_machine()
    print(f"Windows of {seconds:g} seconds: {rounds} each, medians.\n")
    print("| | target tokens/s | lowest to highest | speed / one process | target tokens per update |")
    print("| --- | ---: | ---: | ---: | ---: |")
    first = 0.0
    for name, windows in results.items():
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
        prepare_work(arguments.data, Path(scratch))
        pin_to_cores(arguments.processes)
        try:
            results = measure_all(
                arguments.processes, arguments.kinds, Path(scratch), arguments.seconds, arguments.rounds
            )
        except PeerError as error:
            fail(str(error))
    report(results, arguments.seconds)


def run_worker(folder: str, threads: str, kind: str) -> None:
    """Train in a worker process, which ends when its parent ends."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(DIE_WITH_PARENT, signal.SIGKILL)
    train_regard(Path(folder), int(threads), kind)


if __name__ == "__main__":
    with exit_on_error():
        run_worker(*sys.argv[2:]) if sys.argv[1:2] == ["--work"] else main()
