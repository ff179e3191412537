"""Training on a CPU, side by side: regard, and what other toolkits can be made to run, at the same work.

    python benchmarks/train_cpu.py [--threads 1] [--seconds 60] [--rounds 3] [--systems NAME...]
                                   [--data FOLDER] [--environments FOLDER]

The work: Multi30k from English to German, 8,000 SentencePiece pieces for both languages, a Transformer of 256 and 3 + 3
layers (1,024 inside, 4 heads, one embedding matrix for all), batches of about 4,096 target tokens, Adam, dropout
0.1, label smoothing 0.1, float32. The vocabulary is learned and the corpus encoded once, by regard, and all are given
those ids. Sizes and schedules are in peers/work.py. Each system makes its own batches, save Hugging Face's model, which
is trained by a plain PyTorch loop on those of regard.

Each measurement is a process of its own. The first updates are left out; then it is watched for --seconds, to the end
of the update, and killed. Rounds go over all systems in turn, and the table has medians. All are held to as many
cores as threads.

A target token is a piece of a target sentence or its end; padding is not one. regard and the Hugging Face loop say
after each update how many it had, and so do the logs of fairseq, Marian and Eole; JoeyNMT's has target tokens a second
since the update before. peers/ has a file for each. The clock is this script's: a line counts from when it is read.

Peers are installed into environments of their own, kept in --environments, with the version of PyTorch that regard runs
on. One that cannot be installed or does not train is in the table with what it said instead.
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

from common import count, fail, read_pair, told
from peers import eole, fairseq, here, joeynmt, marian
from peers.environments import default_folder, python_of
from peers.measure import PeerError, Window, measure
from peers.work import SOURCE, TARGET, Work, make

DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "multi30k"
SYSTEMS = {
    "regard": here.REGARD,
    "huggingface": here.HUGGINGFACE,
    "fairseq": fairseq.FAIRSEQ,
    "marian": marian.MARIAN,
    "eole": eole.EOLE,
    "joeynmt": joeynmt.JOEYNMT,
}
OURS = "regard"


def prepared(data: Path, folder: Path) -> None:
    """The work's files, by a process of its own, so that this one stays small beside those that it measures."""
    if not data.is_dir():
        fail(f"{data}: there is no such folder; Multi30k is not part of this project")
    for part in ("train", "val"):
        read_pair(data / f"{part}.{SOURCE}.gz", data / f"{part}.{TARGET}.gz")
    command = [sys.executable, __file__, "--work", "make", str(data), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode == 2:
        fail(done.stderr.removeprefix("error: "))
    if done.returncode:
        sys.exit(done.stderr[-2000:])


def pin(threads: int) -> None:
    """Hold this process and those that it starts to so many of its cores."""
    if not hasattr(os, "sched_setaffinity"):
        return
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < threads:
        fail(f"{threads} threads need as many cores, and there are {len(cores)} for this process")
    os.sched_setaffinity(0, cores[:threads])


def measure_all(
    chosen: Sequence[str], work: Work, environments: Path, seconds: float, rounds: int
) -> tuple[dict[str, list[Window]], dict[str, str]]:
    """The windows of each system that trains, and why the others do not."""
    found: dict[str, list[Window]] = {name: [] for name in chosen}
    wrong: dict[str, str] = {}
    pythons: dict[str, Path] = {}
    for name in chosen:
        try:
            pythons[name] = python_of(SYSTEMS[name], environments)
        except PeerError as error:
            wrong[name] = str(error)
    pin(work.threads)
    for number in range(1, rounds + 1):
        for name in chosen:
            if name in wrong:
                continue
            try:
                window = measure(SYSTEMS[name], pythons[name], work, seconds)
            except PeerError as error:
                wrong[name] = str(error)
            else:
                found[name].append(window)
                print(f"round {number}: {name}: {window.speed:,.0f} target tokens/s", file=sys.stderr)
    return {name: windows for name, windows in found.items() if name not in wrong}, wrong


def report(found: dict[str, list[Window]], wrong: dict[str, str], threads: int, seconds: float) -> None:
    """The table, in Markdown, and who is not in it."""
    speeds = {name: statistics.median(window.speed for window in windows) for name, windows in found.items()}
    peers = {name: speed for name, speed in speeds.items() if name != OURS}
    fastest = max(peers, key=lambda name: peers[name], default=None)
    rounds = max(map(len, found.values()), default=0)
    print(f"Threads: {threads}. Windows of {seconds:g} seconds: {rounds} each, medians.\n")
    print("| system | target tokens/s | lowest to highest | of the fastest peer | target tokens an update | peak MB |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    for name in sorted(speeds, key=lambda name: -speeds[name]):
        windows = found[name]
        least, most = (end(window.speed for window in windows) for end in (min, max))
        ratio = f"{speeds[name] / peers[fastest]:.2f}" if fastest else ""
        size = sum(window.tokens for window in windows) / sum(window.updates for window in windows)
        memory = statistics.median(window.megabytes for window in windows)
        print(
            f"| {SYSTEMS[name].name} | {speeds[name]:,.0f} | {least:,.0f} to {most:,.0f} | {ratio} "
            f"| {size:,.0f} | {memory:,.0f} |"
        )
    for name, reason in wrong.items():
        print(f"| {SYSTEMS[name].name} | left out: {' '.join(reason.split()).replace('|', '/')} | | | | |")


def work(name: str, arguments: Sequence[str]) -> None:
    """What this script does in processes of its own."""
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
        prepared(arguments.data, folder)
        task = Work(folder, arguments.threads)
        chosen = list(dict.fromkeys(arguments.systems))
        environments = arguments.environments.resolve()
        found, wrong = measure_all(chosen, task, environments, arguments.seconds, arguments.rounds)
    report(found, wrong, arguments.threads, arguments.seconds)


if __name__ == "__main__":
    with told():
        work(sys.argv[2], sys.argv[3:]) if sys.argv[1:2] == ["--work"] else main()
