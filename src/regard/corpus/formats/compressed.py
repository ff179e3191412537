"""Files that may be compressed, by the end of their names: `.gz`, `.xz` and `.zst`."""

from __future__ import annotations

import gzip
import lzma
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from regard.errors import DataError

if sys.version_info >= (3, 14):
    from compression import zstd as zstd
else:
    from backports import zstd as zstd

COMPRESSED_SUFFIXES = (".gz", ".xz", ".zst")

_BROKEN = (EOFError, zlib.error, gzip.BadGzipFile, lzma.LZMAError, zstd.ZstdError)


@contextmanager
def open_decompressed(path: Path) -> Iterator[BinaryIO]:
    """The bytes of a file, unpacked on the way.

    Raises DataError where it is missing, unreadable or broken, when it is opened or while it is read.
    """
    try:
        with _open(path) as file:
            yield file
    except FileNotFoundError:
        raise DataError("there is no such file", where=path, fix="check the path") from None
    except IsADirectoryError:
        raise DataError("this is a folder, not a file", where=path, fix="name the file in it") from None
    except _BROKEN as error:
        kind = {".gz": "gzip", ".xz": "xz", ".zst": "zstd"}.get(path.suffix, "compressed")
        raise DataError(f"the {kind} file is broken ({error})", where=path, fix="fetch or compress it again") from None
    except OSError as error:
        reason = error.strerror or str(error)
        raise DataError(f"the file cannot be read ({reason})", where=path, fix="check its permissions") from None


def open_compressed(file: BinaryIO, ending: str) -> BinaryIO:
    """Return what writes to an open file what it is given, compressed if `ending` is one of ENDINGS.

    Closing it leaves `file` open, unless they are the same.
    """
    match ending:
        case ".gz":
            return cast(BinaryIO, gzip.GzipFile("", "wb", fileobj=file, mtime=0))
        case ".xz":
            return cast(BinaryIO, lzma.open(file, "wb"))
        case ".zst":
            return cast(BinaryIO, zstd.open(file, "wb"))
    return file


def _open(path: Path) -> BinaryIO:
    match path.suffix:
        case ".gz":
            return cast(BinaryIO, gzip.open(path))
        case ".xz":
            return cast(BinaryIO, lzma.open(path))
        case ".zst":
            return cast(BinaryIO, zstd.open(path))
    return path.open("rb")


def format_suffix(path: Path) -> str:
    """What a file's name ends in when it is unpacked, in small letters: `.tmx` of `memory.TMX.gz`."""
    return Path(path.name.removesuffix(path.suffix) if path.suffix in COMPRESSED_SUFFIXES else path.name).suffix.lower()
