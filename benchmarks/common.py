"""Helpers shared by the benchmarks: describing the machine, reading text, parsing counts, reporting errors."""

from __future__ import annotations

import argparse
import gzip
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import date
from itertools import islice
from pathlib import Path
from typing import NoReturn

from regard.config.data_folder import find_data_file
from regard.corpus.formats.plain import read_lines
from regard.errors import DataError, RegardError

ROOT = Path(__file__).resolve().parents[1]


def corpus_folder(name: str) -> Path:
    """Return the folder of a corpus: data/NAME as recipes find it, or else ../shared/data/NAME."""
    fetched = find_data_file(Path("data", name), ROOT)
    return fetched if fetched.is_dir() else ROOT.parent / "shared" / "data" / name


def print_machine() -> None:
    """Print the date, versions, processor and kernels, with how busy the machine is, as a paragraph of Markdown.

    `regard version` runs in a separate process: memory that this process used would count as the peak memory of
    the processes that it starts later.
    """
    command = [sys.executable, "-m", "regard", "version", "--verbose"]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    lines = [line for line in result.stdout.splitlines() if not line.startswith("GPU")]
    busy = f"load average {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "load unknown"
    print("; ".join([f"{date.today():%-d %B %Y}", *lines, busy]) + ".\n", flush=True)


def read(path: Path, lines: int | None = None) -> list[str]:
    """Return the lines of a plain or compressed text, or only the first `lines`.

    Raises:
        DataError: If the file cannot be read or is empty.
    """
    text = list(islice(read_lines(path), lines))
    if not text:
        raise DataError("the file has no lines", where=path, fix="give a text with at least one line")
    return text


def read_pair(source: Path, reference: Path, lines: int | None = None) -> tuple[list[str], list[str]]:
    """Return both sides of a test set.

    Raises:
        DataError: If a file cannot be read or is empty, or if the sides differ in length.
    """
    sides = read(source, lines), read(reference, lines)
    if len(sides[0]) != len(sides[1]):
        raise DataError(
            f"the file has {len(sides[1])} lines, but the source has {len(sides[0])}",
            where=reference,
            fix="give the reference of this source",
        )
    return sides


def write_gzip(path: Path, lines: Iterable[str]) -> None:
    """Write lines to a compressed file, of which the same lines always give the same bytes."""
    path.write_bytes(gzip.compress("".join(f"{line}\n" for line in lines).encode(), mtime=0))


def check_folder(path: Path) -> Path:
    """Return a folder. Raise DataError if there is none."""
    if not path.is_dir():
        raise DataError("there is no such folder", where=path)
    return path


def count(text: str) -> int:
    """Parse a command-line argument that must be a positive integer."""
    if (number := int(text)) < 1:
        raise argparse.ArgumentTypeError(f"{number} is not positive")
    return number


@contextmanager
def exit_on_error() -> Iterator[None]:
    """On an error about a path or a missing package, print one line on stderr and exit with status 2."""
    try:
        yield
    except RegardError as error:
        fail(f"{error.where}: {error.message}" if error.where else error.message)
    except ModuleNotFoundError as error:
        fail(f"{error.name} is not installed; run: python -m pip install {error.name}")
    except OSError as error:
        fail(f"{error.filename or 'a file'}: {error.strerror or error}")


def fail(message: str) -> NoReturn:
    """Print a message on stderr, in one line, and exit with status 2."""
    print(f"error: {' '.join(message.split())}", file=sys.stderr)
    sys.exit(2)
