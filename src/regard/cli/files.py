"""Text in and out, plain or gzip, files or the standard streams."""

from __future__ import annotations

import gzip
import io
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO, cast

from regard.errors import DataError
from regard.text.formats.plain import lines_of, read_lines


def input_lines(path: Path | None) -> Iterator[str]:
    """The lines of a file, or of standard input. Raises DataError, with the line, for text that is not UTF-8."""
    return lines_of(sys.stdin.buffer, "standard input") if path is None else read_lines(path)


@contextmanager
def output(path: Path | None) -> Iterator[TextIO]:
    """A UTF-8 text stream to a file, or to standard output. Raises DataError where it cannot be written."""
    if path is None:
        stream = io.TextIOWrapper(sys.stdout.buffer, encoding="utf-8", newline="\n", write_through=False)
        try:
            yield stream
        finally:
            stream.flush()
            stream.detach()
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _create(path) as file:
            yield file
    except OSError as error:
        raise DataError(
            f"it cannot be written: {error.strerror or error}", where=path, fix="choose another path"
        ) from None


def _create(path: Path) -> TextIO:
    if path.suffix == ".gz":
        return cast(TextIO, gzip.open(path, "wt", encoding="utf-8", newline="\n"))
    return path.open("w", encoding="utf-8", newline="\n")


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
