"""Compare training on a CPU: regard and other toolkits, on the same task.

    python benchmarks/train_cpu.py [--threads 1] [--seconds 60] [--rounds 3] [--systems NAME...]
                                   [--data FOLDER] [--environments FOLDER]

The task: Multi30k from English to German, a joint vocabulary of 8,000 SentencePiece pieces, a Transformer of hidden
size 256 with 3 + 3 layers (FFN size 1,024, 4 heads, one shared embedding matrix), batches of about 4,096 target tokens,
Adam, dropout 0.1, label smoothing 0.1, float32. regard learns the vocabulary and encodes the corpus once, and every
system trains on these token ids. peers/task.py defines sizes and schedules. Each system makes its own batches, except
the Hugging Face model, which a plain PyTorch loop trains on the batches of regard.

Each measurement is a separate process. The first updates are not counted. Then the process is measured for --seconds,
to the end of the update, and killed. Each round measures every system once, and the table shows medians. Every system
may use as many cores as threads.

The target tokens that are counted include the end of each sentence and exclude padding. regard, the Hugging Face loop,
fairseq, Marian and Eole log the number of target tokens of each update; JoeyNMT logs target tokens per second since the
previous update. peers/ has one file for each system. This script measures time: a line counts from when it is read.

Peers are installed into separate environments, cached in --environments, with the PyTorch version that regard uses. For
a system that cannot be installed or fails to train, the table shows the reason.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from common import corpus_folder, count, exit_on_error, fail, print_machine, read_pair
from peers import eole, fairseq, here, joeynmt, marian
from peers.environments import default_folder, python_of
from peers.measure import PeerError, Window, measure
from peers.task import SOURCE, TARGET
from peers.work import Work, make

DATA = corpus_folder("multi30k")
SYSTEMS = {
    "regard": here.REGARD,
    "huggingface": here.HUGGINGFACE,
    "fairseq": fairseq.FAIRSEQ,
    "marian": marian.MARIAN,
    "eole": eole.EOLE,
    "joeynmt": joeynmt.JOEYNMT,
}
OURS = "regard"


def prepare_work(data: Path, folder: Path) -> None:
    """Create the files of the task in a separate process, so that this process stays small."""
    if not data.is_dir():
        fail(f"{data}: there is no such folder; Multi30k is not part of this project")
    for part in ("train", "val"):
        read_pair(data / f"{part}.{SOURCE}.gz", data / f"{part}.{TARGET}.gz")
    command = [sys.executable, __file__, "--work", "make", str(data), str(folder)]
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode == 2:
        fail(result.stderr.removeprefix("error: "))
    if result.returncode:
        sys.exit(result.stderr[-2000:])


def pin_to_cores(threads: int) -> None:
    """Restrict this process and its children to as many of its cores as threads."""
    if not hasattr(os, "sched_setaffinity"):
        return
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < threads:
        fail(f"{threads} threads need {threads} cores, but this process has {len(cores)}")
    os.sched_setaffinity(0, cores[:threads])


def measure_all(
    chosen: Sequence[str], work: Work, environments: Path, seconds: float, rounds: int
) -> tuple[dict[str, list[Window]], dict[str, str]]:
    """Return the windows of each system that trains, and the errors of the systems that fail."""
    results: dict[str, list[Window]] = {name: [] for name in chosen}
    errors: dict[str, str] = {}
    pythons: dict[str, Path] = {}
    for name in chosen:
        try:
            pythons[name] = python_of(SYSTEMS[name], environments)
        except PeerError as error:
            errors[name] = str(error)
    pin_to_cores(work.threads)
    for number in range(1, rounds + 1):
        for name in chosen:
            if name in errors:
                continue
            try:
                window = measure(SYSTEMS[name], pythons[name], work, seconds)
            except PeerError as error:
                errors[name] = str(error)
            else:
                results[name].append(window)
                print(f"round {number}: {name}: {window.speed:,.0f} target tokens/s", file=sys.stderr)
    return {name: windows for name, windows in results.items() if name not in errors}, errors


def report(results: dict[str, list[Window]], errors: dict[str, str], threads: int, seconds: float) -> None:
    """Print the table, in Markdown, with the systems that failed."""
    speeds = {name: statistics.median(window.speed for window in windows) for name, windows in results.items()}
    peers = {name: speed for name, speed in speeds.items() if name != OURS}
    fastest = max(peers, key=lambda name: peers[name], default=None)
    rounds = max(map(len, results.values()), default=0)
    print(f"Threads: {threads}. Windows of {seconds:g} seconds: {rounds} each, medians.\n")
    print(
        "| system | target tokens/s | lowest to highest | speed / fastest peer | target tokens per CPU second "
        "| per CPU second / that peer | target tokens per update | peak MB |"
    )
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    cpu = {
        name: statistics.median(window.tokens_per_cpu_second for window in windows) for name, windows in results.items()
    }
    for name in sorted(speeds, key=lambda name: -speeds[name]):
        windows = results[name]
        lowest, highest = (bound(window.speed for window in windows) for bound in (min, max))
        ratio, cpu_ratio = (f"{by[name] / by[fastest]:.2f}" if fastest else "" for by in (speeds, cpu))
        size = sum(window.tokens for window in windows) / sum(window.updates for window in windows)
        memory = statistics.median(window.megabytes for window in windows)
        print(
            f"| {SYSTEMS[name].name} | {speeds[name]:,.0f} | {lowest:,.0f} to {highest:,.0f} | {ratio} "
            f"| {cpu[name]:,.0f} | {cpu_ratio} | {size:,.0f} | {memory:,.0f} |"
        )
    for name, reason in errors.items():
        print(f"| {SYSTEMS[name].name} | failed: {' '.join(reason.split()).replace('|', '/')} | | | | | | |")


def run_worker(name: str, arguments: Sequence[str]) -> None:
    """Prepare the task or train a system, in a separate process."""
    if name == "make":
        make(Path(arguments[0]), Path(arguments[1]))
        return
    train = {"regard": here.train_regard, "huggingface": here.train_huggingface}[name]
    train(Path(arguments[0]), int(arguments[1]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=count, default=1)
    parser.add_argument("--seconds", type=count, default=60)
    parser.add_argument("--rounds", type=count, default=3)
    parser.add_argument("--systems", nargs="+", choices=list(SYSTEMS), default=list(SYSTEMS))
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--environments", type=Path, default=default_folder())
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        prepare_work(arguments.data, folder)
        task = Work(folder, arguments.threads)
        chosen = list(dict.fromkeys(arguments.systems))
        environments = arguments.environments.resolve()
        results, errors = measure_all(chosen, task, environments, arguments.seconds, arguments.rounds)
    print_machine()
    report(results, errors, arguments.threads, arguments.seconds)


if __name__ == "__main__":
    with exit_on_error():
        run_worker(sys.argv[2], sys.argv[3:]) if sys.argv[1:2] == ["--work"] else main()
