"""Memory of `regard translate` while it goes through many lines: it should not grow with them.

    python benchmarks/stream_memory.py RUN --source FILE [--lines 1000000] [--words 3] [-- TRANSLATE'S OPTIONS]

feeds the first words of the file's lines again and again to the command's standard input, and tells at each
tenth how many lines came back and how much memory the command and its workers had at that time. Linux only.
"""

from __future__ import annotations

import argparse
import itertools
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

from common import count, read, told

from regard.checkpoints.run_folder import resolve_checkpoint


def family(process: int) -> list[int]:
    """A process and its descendants."""
    children = Path(f"/proc/{process}/task/{process}/children")
    try:
        found = [int(child) for child in children.read_text().split()]
    except OSError:
        return [process]
    return [process, *itertools.chain.from_iterable(map(family, found))]


def megabytes(process: int) -> list[float]:
    """Resident memory of each of the family that has some."""
    sizes: list[float] = []
    for one in family(process):
        try:
            status = Path(f"/proc/{one}/status").read_text()
        except OSError:
            continue
        sizes.extend(int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmRSS"))
    return sizes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--source", type=Path, required=True)
    parser.add_argument("--lines", type=count, default=1_000_000)
    parser.add_argument("--words", type=count, default=3)
    end = sys.argv.index("--") if "--" in sys.argv else len(sys.argv)
    arguments, options = parser.parse_args(sys.argv[1:end]), sys.argv[end + 1 :]
    with told():
        resolve_checkpoint(arguments.run)
        texts = [" ".join(line.split()[: arguments.words]) + "\n" for line in read(arguments.source)]
    command = [sys.executable, "-m", "regard", "translate", str(arguments.run), *options]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8")
    assert process.stdin is not None and process.stdout is not None
    stdin = process.stdin

    def feed() -> None:
        with suppress(BrokenPipeError), stdin:  # the command tells itself why it has ended
            stdin.writelines(itertools.islice(itertools.cycle(texts), arguments.lines))

    threading.Thread(target=feed, daemon=True).start()
    print("| lines | seconds | MB: command, workers |\n| ---: | ---: | --- |", flush=True)
    began, tenth, number = time.monotonic(), max(1, arguments.lines // 10), 0
    for number, _ in enumerate(process.stdout, start=1):
        if number % tenth == 0:
            sizes = ", ".join(f"{size:.0f}" for size in megabytes(process.pid))
            print(f"| {number:,} | {time.monotonic() - began:.0f} | {sizes} |", flush=True)
    sys.exit(process.wait() or number != arguments.lines)


if __name__ == "__main__":
    main()
