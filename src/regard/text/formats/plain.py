"""Plain text: one segment a line, UTF-8, gzip where the name ends in `.gz`."""

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

from regard.errors import DataError

BOM = b"\xef\xbb\xbf"


def read_lines(path: Path) -> Iterator[str]:
    r"""The lines of a file, streamed, without their `\n` or `\r\n`.

    Only `\n` ends a line: U+2028, U+0085 and form feeds stay inside one, so that line n here is
    line n for `wc` and for every other reader of parallel text. A byte order mark at the beginning
    is dropped. Raises DataError where the file is missing, unreadable, broken or not UTF-8.
    """
    try:
        with _open(path) as file:
            yield from lines_of(file, str(path))
    except FileNotFoundError:
        raise DataError("there is no such file", where=path, fix="check the path") from None
    except IsADirectoryError:
        raise DataError("this is a folder, not a file", where=path, fix="name the file in it") from None
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"the gzip file is broken ({error})", where=path, fix="fetch or compress it again") from None
    except OSError as error:
        reason = error.strerror or str(error)
        raise DataError(f"the file cannot be read ({reason})", where=path, fix="check its permissions") from None


def lines_of(file: BinaryIO, name: str) -> Iterator[str]:
    """The lines of an open file, as `read_lines` has them; `name` is what errors call it. Raises DataError."""
    for number, raw in enumerate(file, start=1):
        if number == 1 and raw.startswith(BOM):
            raw = raw.removeprefix(BOM)
            if not raw:
                return
        yield _decode(raw, name, number)


def _open(path: Path) -> BinaryIO:
    return cast(BinaryIO, gzip.open(path)) if path.suffix == ".gz" else path.open("rb")


def _decode(raw: bytes, name: str, number: int) -> str:
    try:
        return raw.removesuffix(b"\n").removesuffix(b"\r").decode("utf-8")
    except UnicodeDecodeError as error:
        raise DataError(
            f"the line is not UTF-8 (byte {error.start + 1} is 0x{error.object[error.start]:02X})",
            where=f"{name}:{number}",
            fix="convert the file to UTF-8, for example with iconv",
        ) from None
