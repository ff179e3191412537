"""Published corpora that `regard data get` downloads; `datasets.toml` lists them.

Each corpus is stored in a folder with its name, in `data/` or in the folder that the environment variable REGARD_DATA
names.
"""

from __future__ import annotations

import errno
import gzip
import hashlib
import http.client
import os
import re
import tempfile
import tomllib
import urllib.error
import urllib.request
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from itertools import count
from pathlib import Path
from typing import IO, Any, cast

from regard.corpus.formats.compressed import open_compressed
from regard.corpus.splits import split_linked
from regard.errors import ConfigError, DataError
from regard.files import open_atomic, write_atomic
from regard.version import __version__

TIMEOUT = 60  # seconds without data
CHUNK_BYTES = 1 << 16
MAX_ARCHIVE_BYTES = 1 << 30
MAX_CONVERTED_LINE = 1 << 16  # bytes
MAX_SHRINKAGE = 4  # bytes of a published text per byte of its columns
SUMS = "SHA256SUMS"

Progress = Callable[[int], object]  # called with the number of bytes of each chunk


@dataclass(frozen=True)
class RemoteFile:
    """A file of a corpus.

    Attributes:
        name: Its path in the folder of the corpus. A file whose name ends in `.gz` is stored compressed.
        url: Where it is published. A download whose URL ends in `.gz` is decompressed.
        size: The size of its uncompressed text in bytes.
        sha256: The SHA-256 of its uncompressed text, in hexadecimal.
        columns: A regular expression for the lines of the published text. Its groups are stored as columns with tabs
            between them. The size and the SHA-256 are those of the columns. None stores the text as it is.
    """

    name: str
    url: str
    size: int
    sha256: str
    columns: str | None = None


@dataclass(frozen=True)
class Archive:
    """A zip file with two aligned text files, from which dev and test are held out.

    Attributes:
        url: Where it is published.
        source: The language and the name of the source file.
        target: The language and the name of the target file.
        held_out: The number of pairs in dev, and in test.
    """

    url: str
    source: tuple[str, str]
    target: tuple[str, str]
    held_out: int


@dataclass(frozen=True)
class Dataset:
    """A published corpus.

    Attributes:
        name: Its name for `regard data get`, and the name of its folder.
        title: A one-line description.
        licence: Its terms in one line.
        homepage: Its home page.
        files: Its files; empty if they are made from an archive.
        archive: The archive that its files are made from.
    """

    name: str
    title: str
    licence: str
    homepage: str
    files: tuple[RemoteFile, ...] = field(default=())
    archive: Archive | None = None

    @property
    def size(self) -> int | None:
        """The size of all texts in bytes; None for an archive, whose size is unknown before the download."""
        return None if self.archive else sum(file.size for file in self.files)

    @property
    def names(self) -> list[str]:
        """The paths of all files in the folder of the corpus."""
        return _split_names(self.archive) if self.archive else [file.name for file in self.files]


@cache
def datasets() -> dict[str, Dataset]:
    """Return the corpora that can be downloaded, by name."""
    table = tomllib.loads(Path(__file__).with_name("datasets.toml").read_text(encoding="utf-8"))
    return {name: _dataset(name, entry) for name, entry in table.items()}


def _dataset(name: str, entry: dict[str, Any]) -> Dataset:
    base = entry["base"]
    columns = entry.get("columns")
    files = tuple(
        RemoteFile(path, base + url, size, digest, columns) for path, url, size, digest in entry.get("files", ())
    )
    archive = None
    if "archive" in entry:
        archive = Archive(
            base + entry["archive"], tuple(entry["source"]), tuple(entry["target"]), int(entry["held_out"])
        )
    return Dataset(name, entry["title"], entry["licence"], entry["homepage"], files, archive)


def find_dataset(name: str) -> Dataset:
    """Return a corpus by name. Raise ConfigError that lists the names if it does not exist."""
    if name not in datasets():
        raise ConfigError(f"there is no corpus {name!r}", fix=f"choose one of: {', '.join(datasets())}")
    return datasets()[name]


def is_present(dataset: Dataset, folder: Path) -> bool:
    """Return whether all files of a corpus are in its folder. They are not read: see `is_complete`."""
    return all((folder / name).is_file() for name in dataset.names)


def is_complete(dataset: Dataset, folder: Path) -> bool:
    """Return whether all files of a corpus are in its folder, with the right SHA-256 if it is published."""
    return is_present(dataset, folder) and not _missing_files(dataset, folder)


def download(dataset: Dataset, folder: Path, progress: Progress = lambda size: None) -> None:
    """Download the missing files of a corpus.

    A file gets its name when it is complete and its SHA-256 is correct. Complete files stay after an error.

    Raises:
        DataError: A file cannot be downloaded or written, its SHA-256 is wrong, or a line does not have the columns.
    """
    try:
        if dataset.archive:
            _download_archive(dataset, dataset.archive, folder, progress)
        for file in _missing_files(dataset, folder):
            _write(folder / file.name, _with_progress(_verified(file, _text(file)), progress))
    except OSError as error:
        raise _write_error(error, folder, dataset.names) from error


def _write_error(error: OSError, folder: Path, names: Iterable[str]) -> DataError:
    """Return the error for a corpus that cannot be written, with what to do about the cause."""
    for path in [folder / name for name in names]:
        file = next((parent for parent in path.parents if os.path.lexists(parent) and not parent.is_dir()), None)
        if file is not None:
            return DataError(
                "the corpus cannot be written: this is a file, but must be a folder",
                where=file,
                fix="move or delete the file, or choose another folder for corpora",
            )
        if path.is_dir():
            return DataError(
                "the corpus cannot be written: this is a folder, but must be a file",
                where=path,
                fix="move or delete the folder, or choose another folder for corpora",
            )
    is_full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    return DataError(
        f"the corpus cannot be written: {error.strerror or error}",
        where=folder,
        fix="free disk space, or choose another folder" if is_full else "choose a folder that you can write to",
    )


def _missing_files(dataset: Dataset, folder: Path) -> list[RemoteFile]:
    return [file for file in dataset.files if _digest(folder / file.name) != file.sha256]


def _digest(path: Path) -> str | None:
    """Return the SHA-256 of the text of a file; None if it cannot be read."""
    digest = hashlib.sha256()
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as stream:
            while chunk := cast(IO[bytes], stream).read(CHUNK_BYTES):
                digest.update(chunk)
    except (OSError, EOFError, zlib.error):
        return None
    return digest.hexdigest()


def _write(path: Path, chunks: Iterable[bytes]) -> None:
    """Write a file atomically, compressed by its suffix. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open_atomic(path, lambda raw: open_compressed(raw, path.suffix)) as out:
        for chunk in chunks:
            out.write(chunk)


def _with_progress(chunks: Iterable[bytes], progress: Progress) -> Iterator[bytes]:
    for chunk in chunks:
        progress(len(chunk))
        yield chunk


def _text(file: RemoteFile) -> Iterator[bytes]:
    """Yield the text that a file should have, at most little more than its size. Raises DataError."""
    if file.columns is None:
        return _read(file.url, file.size + 1)
    return _columns(file.url, _read(file.url, MAX_SHRINKAGE * file.size), re.compile(file.columns.encode()))


def _columns(url: str, chunks: Iterable[bytes], pattern: re.Pattern[bytes]) -> Iterator[bytes]:
    """Yield each line of a text as the groups of a pattern, with tabs between them. Raises DataError."""
    numbers, rest = count(1), b""
    for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        for line, number in zip(lines, numbers, strict=False):
            match = pattern.fullmatch(line) if len(line) <= MAX_CONVERTED_LINE else None
            if match is None:
                raise _form_error(url, number, pattern)
            yield b"\t".join(match.groups()) + b"\n"
        if len(rest) > MAX_CONVERTED_LINE:
            raise _form_error(url, next(numbers), pattern)
    if rest:
        raise _download_error(url, f"it ended in line {next(numbers):,}")


def _form_error(url: str, line: int, pattern: re.Pattern[bytes]) -> DataError:
    return DataError(
        f"the line does not have the form {pattern.pattern.decode()}",
        where=f"{url}:{line}",
        fix="the file was changed where it is published, and was not stored; please report it",
    )


def _read(url: str, max_bytes: int) -> Iterator[bytes]:
    """Yield the decompressed content of a URL, at most `max_bytes`. Raises DataError."""
    request = urllib.request.Request(url, headers={"User-Agent": f"regard/{__version__}"})
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT) as response:
            stream = gzip.GzipFile(fileobj=response) if url.endswith(".gz") else response
            while max_bytes > 0 and (chunk := stream.read(min(CHUNK_BYTES, max_bytes))):
                max_bytes -= len(chunk)
                yield chunk
    except urllib.error.HTTPError as error:
        raise _download_error(url, f"the server answers {error.code} {error.reason}") from error
    except urllib.error.URLError as error:
        raise _download_error(url, str(error.reason)) from error
    except (OSError, EOFError, zlib.error, http.client.HTTPException) as error:
        raise _download_error(url, f"the connection ended early ({error})") from error


def _download_error(url: str, reason: str) -> DataError:
    return DataError(
        f"the download failed: {reason}",
        where=url,
        fix="check the network and try again; complete files are kept. If you need a proxy, set https_proxy",
    )


def _verified(file: RemoteFile, chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the chunks. Raise DataError at their end if the size or the SHA-256 is wrong."""
    digest, size = hashlib.sha256(), 0
    for chunk in chunks:
        digest.update(chunk)
        size += len(chunk)
        yield chunk
    if size < file.size:
        raise _download_error(file.url, f"it ended after {size:,} of {file.size:,} bytes")
    if digest.hexdigest() != file.sha256:
        raise _checksum_error(file.url, digest.hexdigest(), file.sha256)


def _checksum_error(url: str, actual: str, expected: str) -> DataError:
    return DataError(
        f"the SHA-256 of the file is {actual}, but should be {expected}",
        where=url,
        fix="the file was changed where it is published or during the download, and was not stored; please report it",
    )


def _split_names(archive: Archive) -> list[str]:
    return [
        f"{split}.{language}.gz"
        for split in ("dev", "test", "train")
        for language, _ in (archive.source, archive.target)
    ]


def _download_archive(dataset: Dataset, archive: Archive, folder: Path, progress: Progress) -> None:
    """Download a zip file, and write its pairs as train, dev and test. Raises DataError and OSError."""
    if is_present(dataset, folder):
        return
    folder.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256()
    with tempfile.TemporaryFile(dir=folder) as file:
        for chunk in _with_progress(_read(archive.url, MAX_ARCHIVE_BYTES), progress):
            digest.update(chunk)
            file.write(chunk)
        _compare_with_first(archive.url, digest.hexdigest(), folder / SUMS)
        pairs = _pairs(archive, file)
    splits = split_linked(pairs, archive.held_out)
    for name in dataset.names:
        split, language, _ = name.split(".")
        side = 0 if language == archive.source[0] else 1
        _write(folder / name, (f"{pair[side]}\n".encode() for pair in splits[split]))


def _compare_with_first(url: str, actual: str, sums: Path) -> None:
    """Store the SHA-256 of the first download. Raise DataError if that of a later download differs."""
    name = url.rpartition("/")[2]
    if sums.exists():
        expected = sums.read_text(encoding="utf-8").split()[0]
        if expected != actual:
            raise _checksum_error(url, actual, expected)
    write_atomic(sums, f"{actual}  {name}\n")


def _pairs(archive: Archive, file: IO[bytes]) -> list[tuple[str, str]]:
    """Return the pairs of lines of the two files in a zip file. Raises DataError."""
    try:
        with zipfile.ZipFile(file) as members:
            sides = [_lines(members, name) for _, name in (archive.source, archive.target)]
    except (zipfile.BadZipFile, KeyError, ValueError, EOFError, zlib.error) as error:
        raise _download_error(archive.url, f"it is not the expected archive ({error})") from error
    if len(sides[0]) != len(sides[1]):
        raise _download_error(archive.url, f"its files have {len(sides[0]):,} and {len(sides[1]):,} lines")
    return list(zip(*sides, strict=True))


def _lines(members: zipfile.ZipFile, name: str) -> list[str]:
    if members.getinfo(name).file_size > MAX_ARCHIVE_BYTES:
        raise ValueError(f"{name} is too large")
    return members.read(name).decode("utf-8").removesuffix("\n").split("\n")
