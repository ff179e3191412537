"""Preparing large corpora: pairs a second, busy cores, memory, bytes a pair, and going on after a kill.

    python benchmarks/prepare_large.py [--source FILE --target FILE] [--pairs 300000 1000000] [--vocabulary 16000]
                                       [--kill SECONDS]

The pairs of the two files (by default Debian's from English to German) are repeated, each time with another number
behind both sides, into plain files in a temporary folder. A process of its own then does what `regard train` does
before its first step: it reads them, learns the vocabulary, encodes and stores the pairs, and lays out an epoch's
batches. It and its workers are watched from here. The last three columns are bytes a pair: what the store takes on the
disk, what training holds in memory to draw batches from it, and what laying out an epoch takes at most. With --kill the
first try is killed (-9) after so many seconds of encoding, and what is measured is the second. Linux only.
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

from common import count, read_pair, told
from stream_memory import family, megabytes

DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "debian-en-de"
LOOK = 0.1  # seconds


class Found(NamedTuple):
    """What one size took: seconds, seconds of all processors, and megabytes of all processes and of the first one.

    disk, held, peak: bytes of the store, and of the loader's memory after and while it has laid out an epoch.
    """

    seconds: float
    busy: float
    most: float
    first: float
    disk: int
    held: int
    peak: int


def generate(source: Path, target: Path, pairs: int, folder: Path) -> None:
    sides = read_pair(source, target)
    for name, lines in zip(("source", "target"), sides, strict=True):
        with (folder / name).open("w", encoding="utf-8") as file:
            for number in range(pairs):
                turn, place = divmod(number, len(lines))
                file.write(f"{lines[place]} {turn}\n" if turn else f"{lines[place]}\n")


def prepare(folder: Path, vocabulary: int) -> None:
    """In a process of its own."""
    from regard.config.recipe import parse_config
    from regard.data.loader import Loader
    from regard.data.store import PairStore
    from regard.models import ARCHITECTURES
    from regard.runs.prepare import prepare

    data = {"source": str(folder / "source"), "target": str(folder / "target")}
    table = {"data": data, "tokenizer": {"vocabulary_size": vocabulary}, "model": {"architecture": "modern"}}
    config = parse_config(table, ARCHITECTURES, where="the benchmark")
    prepared = prepare(config, folder / "data", lambda text: print(text, flush=True))
    del prepared
    tracemalloc.start()  # which knows NumPy's arrays, and of mapped files nothing
    loader = Loader(PairStore.open(folder / "data", "train"), 4096, seed=1)
    next(iter(loader))
    (folder / "memory").write_text(" ".join(map(str, tracemalloc.get_traced_memory())))
    print(f"{loader.batches_per_epoch:,} batches an epoch", flush=True)


def watched(folder: Path, vocabulary: int, kill: float | None) -> Found | None:
    """None where it was killed."""
    began, before = time.monotonic(), os.times()
    process = subprocess.Popen([sys.executable, __file__, "--work", str(folder), str(vocabulary)])
    most = first = 0.0
    encoding: float | None = None
    while process.poll() is None:
        sizes = megabytes(process.pid)
        most, first = max(most, sum(sizes)), max([first, *sizes[:1]])
        if encoding is None and len(family(process.pid)) > 1:
            encoding = time.monotonic()
        if kill is not None and encoding is not None and time.monotonic() - encoding > kill:
            process.send_signal(signal.SIGKILL)
            process.wait()
            return None
        time.sleep(LOOK)
    if process.returncode:
        sys.exit(process.returncode)
    after = os.times()
    busy = after.children_user - before.children_user + after.children_system - before.children_system
    seconds = time.monotonic() - began
    disk = sum(path.stat().st_size for path in (folder / "data").glob("train.*"))
    held, peak = map(int, (folder / "memory").read_text().split())
    return Found(seconds, busy, most, first, disk, held, peak)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", type=Path, default=DATA / "train.en.gz")
    parser.add_argument("--target", type=Path, default=DATA / "train.de.gz")
    parser.add_argument("--pairs", type=count, nargs="+", default=[300_000, 1_000_000])
    parser.add_argument("--vocabulary", type=count, default=16_000)
    parser.add_argument("--kill", type=float)
    arguments = parser.parse_args()
    print("| pairs | seconds | pairs/s | busy cores | peak MB, all | the first one | on disk | held | to lay out |")
    print("| ---: " * 9 + "|")
    for pairs in arguments.pairs:
        with tempfile.TemporaryDirectory() as scratch, told():
            folder = Path(scratch)
            generate(arguments.source, arguments.target, pairs, folder)
            found = watched(folder, arguments.vocabulary, arguments.kill)
            found = found or watched(folder, arguments.vocabulary, None)
            assert found is not None
            print(
                f"| {pairs:,} | {found.seconds:,.0f} | {pairs / found.seconds:,.0f} | {found.busy / found.seconds:.2f} "
                f"| {found.most:,.0f} | {found.first:,.0f} | {found.disk / pairs:.1f} | {found.held / pairs:.1f} "
                f"| {found.peak / pairs:.1f} |",
                flush=True,
            )


if __name__ == "__main__":
    if sys.argv[1:2] == ["--work"]:
        prepare(Path(sys.argv[2]), int(sys.argv[3]))
    else:
        main()
