"""Measure the memory of `regard translate` over many lines. It should not grow with the number of lines.

    python benchmarks/stream_memory.py RUN --source FILE [--lines 1000000] [--words 3] [-- OPTIONS OF TRANSLATE]

feeds the first words of the lines of the file repeatedly to the standard input of the command. After each tenth, it
prints the number of translated lines and the memory of the command and of its workers. Linux only.
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

from common import count, exit_on_error, read

from regard.checkpoints.run_folder import resolve_checkpoint


def process_tree(process: int) -> list[int]:
    """Return the ids of a process and its descendants."""
    path = Path(f"/proc/{process}/task/{process}/children")
    try:
        children = [int(child) for child in path.read_text().split()]
    except OSError:
        return [process]
    return [process, *itertools.chain.from_iterable(map(process_tree, children))]


def megabytes(process: int) -> list[float]:
    """Return the resident memory of each process in the tree; those that have ended are skipped."""
    sizes: list[float] = []
    for number in process_tree(process):
        try:
            status = Path(f"/proc/{number}/status").read_text()
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
    with exit_on_error():
        resolve_checkpoint(arguments.run)
        texts = [" ".join(line.split()[: arguments.words]) + "\n" for line in read(arguments.source)]
    command = [sys.executable, "-m", "regard", "translate", str(arguments.run), *options]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8")
    assert process.stdin is not None and process.stdout is not None
    stdin = process.stdin

    def feed() -> None:
        with suppress(BrokenPipeError), stdin:  # the command itself reports why it ended
            stdin.writelines(itertools.islice(itertools.cycle(texts), arguments.lines))

    threading.Thread(target=feed, daemon=True).start()
    print("| lines | seconds | MB: command, workers |\n| ---: | ---: | --- |", flush=True)
    start, tenth, number = time.monotonic(), max(1, arguments.lines // 10), 0
    for number, _ in enumerate(process.stdout, start=1):
        if number % tenth == 0:
            sizes = ", ".join(f"{size:.0f}" for size in megabytes(process.pid))
            print(f"| {number:,} | {time.monotonic() - start:.0f} | {sizes} |", flush=True)
    sys.exit(process.wait() or number != arguments.lines)


if __name__ == "__main__":
    main()
