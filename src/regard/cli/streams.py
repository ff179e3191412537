"""Text from files or standard input, to files or standard output, plain or compressed."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from itertools import chain
from pathlib import Path

from regard.config.data_folder import find_data_file
from regard.console import say
from regard.corpus.corpus import surrogate_reason
from regard.corpus.formats.compressed import open_compressed
from regard.corpus.formats.parquet import read_parquet_column
from regard.corpus.formats.plain import decode_lines, read_lines
from regard.errors import ConfigError, DataError
from regard.files import AtomicFile, check_writable, open_atomic

Write = Callable[[str], None]


def input_lines(path: Path | None, column: str | None = None) -> Iterator[str]:
    """Return the lines of a file, whose first line is read at once, or of standard input if `path` is None.

    Args:
        path: The file.
        column: If not None, the file is Parquet, and the lines are the values of this column; empty: its only one.

    Raises:
        DataError: The file cannot be read, or a line is not UTF-8.
    """
    if path is None:
        if sys.stdin is None:
            raise DataError("it is closed", where="standard input", fix="name a file to read")
        return decode_lines(sys.stdin.buffer, "standard input")
    lines = read_lines(path) if column is None else read_parquet_column(path, column)
    first = next(lines, None)
    return lines if first is None else chain([first], lines)


@contextmanager
def output(path: Path | None, *, keep_partial: bool = False) -> Iterator[Write]:
    """Yield a function that writes text to a file, compressed if its name says so, or to standard output.

    The file replaces an existing one only if the block ends without an error.

    Args:
        path: The file; standard output if None.
        keep_partial: After an error, keep the text written so far in a file next to `path`, and print its name. Use
            it for results that take long to compute.

    Raises:
        DataError: The file cannot be written.
    """
    if path is None:
        with _standard_output() as write_to_stdout:
            yield write_to_stdout
        return
    with write_errors(path):
        replacement = AtomicFile(path, partial(open_compressed, suffix=path.suffix))
    lines = 0

    def write(text: str) -> None:
        nonlocal lines
        with write_errors(path):
            replacement.file.write(text.encode())
        lines += text.count("\n")

    try:
        yield write
        with write_errors(path):
            replacement.commit()
    except BaseException:
        if part := replacement.abandon(keep=keep_partial):
            say(
                f"{path} is not written; its first {lines:,} lines are in {part}\n"
                f"  what to do: fix the rest of the input, run it separately, and join the results; or delete {part}"
            )
        raise


@contextmanager
def _standard_output() -> Iterator[Write]:
    if sys.stdout is None:
        raise DataError("it is closed", where="standard output", fix="name a file to write")

    def write(text: str) -> None:
        with write_errors(None):
            sys.stdout.buffer.write(text.encode())

    try:
        yield write
    finally:
        with write_errors(None):
            sys.stdout.buffer.flush()


def write_bytes(path: Path | None, data: bytes) -> None:
    """Write a whole file, compressed if its name says so, or to standard output if `path` is None.

    Raises:
        DataError: The file cannot be written.
    """
    if path is None:
        if sys.stdout is None:
            raise DataError("it is closed", where="standard output", fix="name a file to write")
        with write_errors(None):
            sys.stdout.buffer.write(data)
            sys.stdout.buffer.flush()
        return
    with write_errors(path), open_atomic(path, partial(open_compressed, suffix=path.suffix)) as file:
        file.write(data)


@contextmanager
def write_errors(path: Path | None) -> Iterator[None]:
    """Raise DataError for an OSError in the block, except for a broken pipe, whose reader has simply closed it."""
    try:
        yield
    except OSError as error:
        if path is None:
            _discard_standard_output()
        if isinstance(error, BrokenPipeError):
            raise
        where = "standard output" if path is None else path
        raise DataError(
            f"it cannot be written: {error.strerror or error}",
            where=where,
            fix="choose another path, or free some disk space",
        ) from None


def _discard_standard_output() -> None:
    """Discard what standard output still buffers. Python would otherwise try to write it again at exit."""
    with suppress(OSError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
        os.close(null)


def refuse_same(reads: Iterable[Path | None], writes: Iterable[Path | None]) -> None:
    """Raise ConfigError if an output is also an input, or another output.

    An input `data/...` is compared both as it is named and where it is read, in the folder that REGARD_DATA names.
    """
    places = (place for path in reads if path is not None for place in (path, find_data_file(path)))
    seen = {os.path.realpath(place) for place in places}
    for path in writes:
        if path is None or (path.exists() and not path.is_file()):  # /dev/null and pipes may be used twice
            continue
        if os.path.realpath(path) in seen:
            raise ConfigError("this file would be overwritten", where=path, fix="give every output its own path")
        seen.add(os.path.realpath(path))


def refuse_not_utf8(argument: str | None, where: str) -> None:
    """Raise ConfigError if an argument of the command line is not UTF-8."""
    if argument is not None and surrogate_reason(argument):
        raise ConfigError(
            "it is not UTF-8", where=where, fix="set the terminal to UTF-8, or give the text on standard input"
        )


def try_writing(path: Path) -> None:
    """Raise DataError if a file cannot be written at `path`. Call it before hours of work."""
    with write_errors(path):
        check_writable(path)


def pair_lines(sources: Iterable[str], targets: Iterable[str], where: str) -> list[tuple[str, str]]:
    """Return the lines of both sides in pairs.

    Raises:
        DataError: One side has more lines than the other.
    """
    source_lines, target_lines = list(sources), list(targets)
    if len(source_lines) != len(target_lines):
        raise DataError(
            f"the sides have different lengths: {len(source_lines):,} and {len(target_lines):,} lines",
            where=where,
            fix="line n of one must be the translation of line n of the other",
        )
    return list(zip(source_lines, target_lines, strict=True))
