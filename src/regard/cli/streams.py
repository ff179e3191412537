"""Text in and out, plain or gzip, files or the standard streams."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from itertools import chain
from pathlib import Path

from rich.console import Console

from regard.corpus.corpus import surrogate_reason
from regard.corpus.formats.compressed import open_compressed
from regard.corpus.formats.plain import decode_lines, read_lines
from regard.errors import ConfigError, DataError
from regard.files import AtomicFile, check_writable, open_atomic

Write = Callable[[str], None]


def input_lines(path: Path | None) -> Iterator[str]:
    """The lines of a file, whose first one is read at once, or of standard input.

    Raises DataError for a file that cannot be read and, with the line, for text that is not UTF-8.
    """
    if path is None:
        if sys.stdin is None:
            raise DataError("it is closed", where="standard input", fix="name a file to read")
        return decode_lines(sys.stdin.buffer, "standard input")
    lines = read_lines(path)
    first = next(lines, None)
    return lines if first is None else chain([first], lines)


@contextmanager
def output(path: Path | None, *, keep_partial: bool = False) -> Iterator[Write]:
    """Yield what writes UTF-8 text to a file, compressed if its name says so, or to standard output.

    The file is replaced when the block ends without an error, and else left as it is. With `keep_partial`, for what
    takes long to compute, the text written up to an error stays in a file beside it, and standard error names it.
    Raises DataError where it cannot be written.
    """
    if path is None:
        with _standard_output() as to_standard_output:
            yield to_standard_output
        return
    with write_errors(path):
        replacement = AtomicFile(path, partial(open_compressed, ending=path.suffix))
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
            _tell_partial(path, part, lines)
        raise


def _tell_partial(path: Path, part: Path, lines: int) -> None:
    console = Console(stderr=True)
    told = (
        f"{path} is not written; the first {lines:,} lines of it are in {part}",
        f"  what to do: mend the rest of the input, run that alone, and put the results together; or delete {part}",
    )
    for line in told:
        console.print(line, highlight=False, markup=False, soft_wrap=True)


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
    """Write a whole file, compressed if its name says so, or to standard output. Raises DataError."""
    if path is None:
        if sys.stdout is None:
            raise DataError("it is closed", where="standard output", fix="name a file to write")
        with write_errors(None):
            sys.stdout.buffer.write(data)
            sys.stdout.buffer.flush()
        return
    with write_errors(path), open_atomic(path, partial(open_compressed, ending=path.suffix)) as file:
        file.write(data)


@contextmanager
def write_errors(path: Path | None) -> Iterator[None]:
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


def refuse_same(reads: Iterable[Path | None], writes: Iterable[Path | None]) -> None:
    """Raises ConfigError where a file is to be written that is read, or written, as well."""
    seen = [os.path.realpath(path) for path in reads if path is not None]
    for path in writes:
        if path is None or (path.exists() and not path.is_file()):  # /dev/null and pipes may come twice
            continue
        if os.path.realpath(path) in seen:
            raise ConfigError("this file would be overwritten", where=path, fix="give every output a path of its own")
        seen.append(os.path.realpath(path))


def refuse_not_utf8(argument: str | None, where: str) -> None:
    """Raises ConfigError for an argument of the command line that is not UTF-8."""
    if argument is not None and surrogate_reason(argument):
        raise ConfigError(
            "it is not UTF-8", where=where, fix="set the terminal to UTF-8, or give text on standard input"
        )


def try_writing(path: Path) -> None:
    """Raises DataError where a file cannot be written there, before hours of work are done for it."""
    with write_errors(path):
        check_writable(path)


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
