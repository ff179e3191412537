"""Measure the preparation of large corpora: speed, busy cores, memory, bytes per pair, and recovery after a kill.

    python benchmarks/prepare_large.py [--source FILE --target FILE] [--pairs 300000 1000000] [--vocabulary 16000]
                                       [--kill SECONDS] [--ray ADDRESS]

The pairs of the two files (by default, the English-German Debian corpus) are written repeatedly to plain files in a
temporary folder, with a different number appended to both sides each time. A separate process then does what `regard
train` does before its first step: it reads the files, learns the vocabulary, encodes and stores the pairs, and plans
the batches of an epoch. This script watches the process and its workers. The process prints its messages with the
seconds since it started, and with its CPU time without that of its workers; it encodes between the last two messages.

The last three columns are bytes per pair: the store on disk, the memory that training needs to draw batches from it,
and the peak memory of planning an epoch. With --kill, the first attempt is killed (-9) after this many seconds of
encoding, and the second attempt is measured. With --ray, a Ray cluster encodes; the CPU time of its processes is not
counted, and their memory only with `--ray local`. Linux only.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
import tracemalloc
from pathlib import Path
from typing import NamedTuple

from common import corpus_folder, count, exit_on_error, print_machine, read_pair
from stream_memory import megabytes, process_tree

DATA = corpus_folder("debian-en-de")
POLL_INTERVAL = 0.1  # seconds


class Measurement(NamedTuple):
    """The measurement of one corpus size.

    Attributes:
        seconds: Elapsed time.
        cpu_seconds: CPU time of all processes.
        total_megabytes: Peak memory of all processes together.
        main_megabytes: Peak memory of the main process.
        disk: Bytes of the store.
        loader: Bytes of the loader after it has planned an epoch.
        loader_peak: Peak bytes of the loader while it plans an epoch.
    """

    seconds: float
    cpu_seconds: float
    total_megabytes: float
    main_megabytes: float
    disk: int
    loader: int
    loader_peak: int


def generate(source: Path, target: Path, pairs: int, folder: Path) -> None:
    """Write a corpus of `pairs` numbered pairs to the folder."""
    sides = read_pair(source, target)
    for name, lines in zip(("source", "target"), sides, strict=True):
        with (folder / name).open("w", encoding="utf-8") as file:
            for number in range(pairs):
                repetition, index = divmod(number, len(lines))
                file.write(f"{lines[index]} {repetition}\n" if repetition else f"{lines[index]}\n")


def prepare(folder: Path, vocabulary: int, ray: str) -> None:
    """Prepare the corpus, in a separate process."""
    from regard.config.recipe import parse_config
    from regard.data.loader import BatchSize, Loader
    from regard.data.store import PairStore
    from regard.models import ARCHITECTURES
    from regard.runs.prepare import prepare

    data = {"source": str(folder / "source"), "target": str(folder / "target")}
    table = {"data": data, "tokenizer": {"vocabulary_size": vocabulary}, "model": {"architecture": "modern"}}
    config = parse_config(table, ARCHITECTURES, where="the benchmark")
    start = time.monotonic()

    def say(text: str) -> None:
        print(f"{time.monotonic() - start:.1f} s, CPU time {time.process_time():.1f} s: {text}", flush=True)

    prepared = prepare(config, folder / "data", say, ray=ray)
    del prepared
    tracemalloc.start()  # traces NumPy arrays, but not mapped files
    loader = Loader(PairStore.open(folder / "data", "train"), BatchSize(4096), seed=1)
    next(iter(loader))
    (folder / "memory").write_text(" ".join(map(str, tracemalloc.get_traced_memory())))
    print(f"{loader.batches_per_epoch:,} batches per epoch", flush=True)


def measure(folder: Path, vocabulary: int, kill: float | None, ray: str) -> Measurement | None:
    """Measure the preparation in a separate process. Return None if the process was killed."""
    start, before = time.monotonic(), os.times()
    process = subprocess.Popen([sys.executable, __file__, "--work", str(folder), str(vocabulary), ray])
    total = main_process = 0.0
    encoding: float | None = None
    while process.poll() is None:
        sizes = megabytes(process.pid)
        total, main_process = max(total, sum(sizes)), max([main_process, *sizes[:1]])
        if encoding is None and len(process_tree(process.pid)) > 1:
            encoding = time.monotonic()
        if kill is not None and encoding is not None and time.monotonic() - encoding > kill:
            process.send_signal(signal.SIGKILL)
            process.wait()
            return None
        time.sleep(POLL_INTERVAL)
    if process.returncode:
        sys.exit(process.returncode)
    after = os.times()
    cpu_seconds = after.children_user - before.children_user + after.children_system - before.children_system
    seconds = time.monotonic() - start
    disk = sum(path.stat().st_size for path in (folder / "data").glob("train.*"))
    loader, loader_peak = map(int, (folder / "memory").read_text().split())
    return Measurement(seconds, cpu_seconds, total, main_process, disk, loader, loader_peak)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", type=Path, default=DATA / "train.en.gz")
    parser.add_argument("--target", type=Path, default=DATA / "train.de.gz")
    parser.add_argument("--pairs", type=count, nargs="+", default=[300_000, 1_000_000])
    parser.add_argument("--vocabulary", type=count, default=16_000)
    parser.add_argument("--kill", type=float)
    parser.add_argument("--ray", default="")
    arguments = parser.parse_args()
    print_machine()
    print("| pairs | seconds | pairs/s | busy cores | peak MB, all | main process | on disk | loader | loader, peak |")
    print("| ---: " * 9 + "|")
    for pairs in arguments.pairs:
        with tempfile.TemporaryDirectory() as scratch, exit_on_error():
            folder = Path(scratch)
            generate(arguments.source, arguments.target, pairs, folder)
            result = measure(folder, arguments.vocabulary, arguments.kill, arguments.ray)
            result = result or measure(folder, arguments.vocabulary, None, arguments.ray)
            assert result is not None
            print(
                f"| {pairs:,} | {result.seconds:,.0f} | {pairs / result.seconds:,.0f} "
                f"| {result.cpu_seconds / result.seconds:.2f} "
                f"| {result.total_megabytes:,.0f} | {result.main_megabytes:,.0f} | {result.disk / pairs:.1f} "
                f"| {result.loader / pairs:.1f} | {result.loader_peak / pairs:.1f} |",
                flush=True,
            )


if __name__ == "__main__":
    if sys.argv[1:2] == ["--work"]:
        prepare(Path(sys.argv[2]), int(sys.argv[3]), sys.argv[4])
    else:
        main()
