"""Read and write files that may be compressed: `.gz`, `.xz` and `.zst`."""

from __future__ import annotations

import gzip
import lzma
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from regard.config.data_folder import find_data_file, how_to_download
from regard.errors import DataError

if sys.version_info >= (3, 14):
    from compression import zstd as zstd
else:
    from backports import zstd as zstd

COMPRESSED_SUFFIXES = (".gz", ".xz", ".zst")

_BROKEN = (EOFError, zlib.error, gzip.BadGzipFile, lzma.LZMAError, zstd.ZstdError)


@contextmanager
def open_decompressed(path: Path) -> Iterator[BinaryIO]:
    """Open a file for reading bytes, decompressed by its suffix.

    Raises DataError if the file is missing, unreadable or corrupt, both on opening and while it is read.
    """
    try:
        with _open(path) as file:
            yield file
    except FileNotFoundError:
        fix = how_to_download(path) or "check the path"
        raise DataError("there is no such file", where=path, fix=fix) from None
    except IsADirectoryError:
        raise DataError("this is a folder, not a file", where=path, fix="give a file in it") from None
    except _BROKEN as error:
        kind = {".gz": "gzip", ".xz": "xz", ".zst": "zstd"}.get(path.suffix, "compressed")
        raise DataError(
            f"the {kind} file is corrupt ({error})", where=path, fix="download or compress it again"
        ) from None
    except OSError as error:
        reason = error.strerror or str(error)
        raise DataError(f"the file cannot be read ({reason})", where=path, fix="check its permissions") from None


def open_compressed(file: BinaryIO, suffix: str) -> BinaryIO:
    """Return a file object that compresses into an open file if `suffix` is one of COMPRESSED_SUFFIXES.

    For other suffixes this is `file` itself. Closing a compressing file object leaves `file` open.
    """
    match suffix:
        case ".gz":
            return cast(BinaryIO, gzip.GzipFile("", "wb", fileobj=file, mtime=0))
        case ".xz":
            return cast(BinaryIO, lzma.open(file, "wb"))
        case ".zst":
            return cast(BinaryIO, zstd.open(file, "wb"))
    return file


def _open(path: Path) -> BinaryIO:
    path = find_data_file(path)
    match path.suffix:
        case ".gz":
            return cast(BinaryIO, gzip.open(path))
        case ".xz":
            return cast(BinaryIO, lzma.open(path))
        case ".zst":
            return cast(BinaryIO, zstd.open(path))
    return path.open("rb")


def format_suffix(path: Path) -> str:
    """Return the suffix of a file name without that of compression, in lower case: `.tmx` for `memory.TMX.gz`."""
    return Path(path.name.removesuffix(path.suffix) if path.suffix in COMPRESSED_SUFFIXES else path.name).suffix.lower()
