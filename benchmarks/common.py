"""What the benchmarks share: text read, counts checked, and what is wrong with what they were given told in a line."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import NoReturn

from regard.corpus.formats.plain import read_lines
from regard.errors import DataError, RegardError


def read(path: Path, lines: int | None = None) -> list[str]:
    """The lines of a text, .gz too, or so many of its first. Raises DataError where there are none to be read."""
    found = list(islice(read_lines(path), lines))
    if not found:
        raise DataError("there is no line in it", where=path, fix="give a text with lines")
    return found


def read_pair(source: Path, reference: Path, lines: int | None = None) -> tuple[list[str], list[str]]:
    """Both sides of a test set. Raises DataError where they are not equally long."""
    sides = read(source, lines), read(reference, lines)
    if len(sides[0]) != len(sides[1]):
        raise DataError(
            f"it has {len(sides[1])} lines, and the source {len(sides[0])}", where=reference, fix="give its reference"
        )
    return sides


def count(text: str) -> int:
    """An argument that is a positive number."""
    if (number := int(text)) < 1:
        raise argparse.ArgumentTypeError(f"{number} is not positive")
    return number


@contextmanager
def told() -> Iterator[None]:
    """What is wrong with a path goes to stderr in one line, and ends this process with status 2."""
    try:
        yield
    except RegardError as error:
        fail(f"{error.where}: {error.message}" if error.where else error.message)
    except OSError as error:
        fail(f"{error.filename or 'a file'}: {error.strerror or error}")


def fail(what: str) -> NoReturn:
    """End this process with status 2 and a line on stderr."""
    print(f"error: {' '.join(what.split())}", file=sys.stderr)
    sys.exit(2)
