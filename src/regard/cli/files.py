"""Text in and out, plain or gzip, files or the standard streams."""

from __future__ import annotations

import gzip
import os
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import chain
from pathlib import Path
from typing import BinaryIO, cast

from regard.errors import ConfigError, DataError
from regard.text.formats.plain import lines_of, read_lines

Write = Callable[[str], None]


def input_lines(path: Path | None) -> Iterator[str]:
    """The lines of a file, whose first one is read at once, or of standard input.

    Raises DataError for a file that cannot be read and, with the line, for text that is not UTF-8.
    """
    if path is None:
        if sys.stdin is None:
            raise DataError("it is closed", where="standard input", fix="name a file to read")
        return lines_of(sys.stdin.buffer, "standard input")
    lines = read_lines(path)
    first = next(lines, None)
    return lines if first is None else chain([first], lines)


@contextmanager
def output(path: Path | None) -> Iterator[Write]:
    """What writes UTF-8 text to a file, or to standard output. Raises DataError where it cannot be written."""
    if path is None and sys.stdout is None:
        raise DataError("it is closed", where="standard output", fix="name a file to write")
    with told(path):
        stream = cast(BinaryIO, sys.stdout.buffer) if path is None else _create(path)

    def write(text: str) -> None:
        with told(path):
            stream.write(text.encode())

    try:
        yield write
    finally:
        with told(path):
            if path is None:
                stream.flush()
            else:
                stream.close()


@contextmanager
def told(path: Path | None) -> Iterator[None]:
    """What goes wrong with writing there, as DataError; a pipe that nobody reads any more stays what it is."""
    try:
        yield
    except OSError as error:
        if path is None:
            _discard_standard_output()
        if isinstance(error, BrokenPipeError):
            raise  # whoever read it has gone, which is no error of the output
        where = "standard output" if path is None else path
        raise DataError(
            f"it cannot be written: {error.strerror or error}", where=where, fix="choose another path, or make room"
        ) from None


def _discard_standard_output() -> None:
    """Let what is still in its buffer go nowhere, for Python would try again to write it when it ends."""
    with suppress(OSError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


def _create(path: Path) -> BinaryIO:
    path.parent.mkdir(parents=True, exist_ok=True)
    return cast(BinaryIO, gzip.open(path, "wb")) if path.suffix == ".gz" else path.open("wb")


def refuse_same(reads: Iterable[Path | None], writes: Iterable[Path | None]) -> None:
    """Raises ConfigError where a file is to be written that is read, or written, as well."""
    seen = [path.resolve() for path in reads if path is not None]
    for path in writes:
        if path is None or (path.exists() and not path.is_file()):  # /dev/null and pipes may come twice
            continue
        if path.resolve() in seen:
            raise ConfigError("this file would be overwritten", where=path, fix="give every output a path of its own")
        seen.append(path.resolve())


def try_writing(path: Path) -> None:
    """Raises DataError where a file cannot be written there, before hours of work are done for it."""
    with told(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            raise IsADirectoryError(21, "it is a folder")
        if path.exists():
            path.open("ab").close()
        else:
            tempfile.TemporaryFile(dir=path.parent).close()


def same_length(sources: Iterable[str], targets: Iterable[str], where: str) -> list[tuple[str, str]]:
    """Lines side by side. Raises DataError, with both counts, where one side has more."""
    left, right = list(sources), list(targets)
    if len(left) != len(right):
        raise DataError(
            f"the sides are of unequal length: {len(left):,} and {len(right):,} lines",
            where=where,
            fix="line n of one must belong to line n of the other",
        )
    return list(zip(left, right, strict=True))
