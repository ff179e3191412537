"""Corpora that `regard data get` downloads from where they are published; `datasets.toml` lists them.

A corpus lies in the folder of its name in `data/`, or in the folder that the environment variable REGARD_DATA names.
"""

from __future__ import annotations

import gzip
import hashlib
import http.client
import tempfile
import tomllib
import urllib.error
import urllib.request
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import IO, Any, BinaryIO, cast

from regard.corpus.splits import split_linked
from regard.errors import ConfigError, DataError
from regard.files import open_atomic, write_atomic
from regard.version import __version__

TIMEOUT = 60  # seconds without a byte
CHUNK = 1 << 16  # bytes
MOST_ARCHIVE_BYTES = 1 << 30
SUMS = "SHA256SUMS"

Progress = Callable[[int], object]  # is called with the number of bytes of each chunk


@dataclass(frozen=True)
class RemoteFile:
    """A file of a corpus.

    Attributes:
        name: Its path below the corpus's folder. A name that ends in `.gz` is stored compressed.
        url: Where it is published. A URL that ends in `.gz` is decompressed.
        size: Bytes of its text.
        sha256: The SHA-256 of its text, in hexadecimal; of the uncompressed text, which every compression keeps.
    """

    name: str
    url: str
    size: int
    sha256: str


@dataclass(frozen=True)
class Archive:
    """A zip with two aligned text files, of which dev and test are held out.

    Attributes:
        url: Where it is published.
        source: Language and name in the archive of one file.
        target: The same of the other.
        held_out: Pairs of dev, and of test.
    """

    url: str
    source: tuple[str, str]
    target: tuple[str, str]
    held_out: int


@dataclass(frozen=True)
class Dataset:
    """A published corpus.

    Attributes:
        name: What `regard data get` calls it, and the name of its folder.
        title: What it is, in a line.
        licence: Its terms, in a line.
        homepage: Where to read about it.
        files: Its files, or
        archive: the archive that they are made from.
    """

    name: str
    title: str
    licence: str
    homepage: str
    files: tuple[RemoteFile, ...] = field(default=())
    archive: Archive | None = None

    @property
    def size(self) -> int | None:
        """Bytes of text in all files; None for an archive, whose size is known after the download."""
        return None if self.archive else sum(file.size for file in self.files)


@cache
def datasets() -> dict[str, Dataset]:
    """Return the corpora that can be downloaded, by name."""
    table = tomllib.loads(Path(__file__).with_name("datasets.toml").read_text(encoding="utf-8"))
    return {name: _dataset(name, entry) for name, entry in table.items()}


def _dataset(name: str, entry: dict[str, Any]) -> Dataset:
    base = entry["base"]
    files = tuple(RemoteFile(path, base + url, size, digest) for path, url, size, digest in entry.get("files", ()))
    archive = None
    if "archive" in entry:
        archive = Archive(
            base + entry["archive"], tuple(entry["source"]), tuple(entry["target"]), int(entry["held_out"])
        )
    return Dataset(name, entry["title"], entry["licence"], entry["homepage"], files, archive)


def find_dataset(name: str) -> Dataset:
    """Return the corpus of this name. Raises ConfigError, which lists the names."""
    if name not in datasets():
        raise ConfigError(f"no corpus is called {name!r}", fix=f"choose one of: {', '.join(datasets())}")
    return datasets()[name]


def is_complete(dataset: Dataset, folder: Path) -> bool:
    """Return whether all files of a corpus are in its folder, with the right SHA-256."""
    if dataset.archive:
        return all((folder / name).is_file() for name in _split_names(dataset.archive))
    return not _missing_files(dataset, folder)


def download(dataset: Dataset, folder: Path, progress: Progress = lambda size: None) -> None:
    """Download what the folder of a corpus lacks.

    A file gets its name when it is complete and its SHA-256 is right; what is complete stays after an error.

    Raises:
        DataError: A file cannot be downloaded or written, or it has another SHA-256 than it should have.
    """
    try:
        if dataset.archive:
            _download_archive(dataset.archive, folder, progress)
        for file in _missing_files(dataset, folder):
            chunks = _watched(_verified(file, _read(file.url, file.size + 1)), progress)
            _write(folder / file.name, chunks)
    except OSError as error:
        raise DataError(
            f"the corpus cannot be written: {error.strerror or error}",
            where=folder,
            fix="free space, or name another folder",
        ) from error


def _missing_files(dataset: Dataset, folder: Path) -> list[RemoteFile]:
    return [file for file in dataset.files if _digest(folder / file.name) != file.sha256]


def _digest(path: Path) -> str | None:
    """Return the SHA-256 of the text of a file; None if it cannot be read."""
    digest = hashlib.sha256()
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as stream:
            while chunk := cast(IO[bytes], stream).read(CHUNK):
                digest.update(chunk)
    except (OSError, EOFError, zlib.error):
        return None
    return digest.hexdigest()


def _write(path: Path, chunks: Iterable[bytes]) -> None:
    """Write a file whole or not at all, compressed if its name ends in `.gz`. Raises OSError, and what chunks raise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open_atomic(path, _compressed if path.suffix == ".gz" else lambda raw: raw) as out:
        for chunk in chunks:
            out.write(chunk)


def _compressed(raw: BinaryIO) -> BinaryIO:
    return cast(BinaryIO, gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0))


def _watched(chunks: Iterable[bytes], progress: Progress) -> Iterator[bytes]:
    for chunk in chunks:
        progress(len(chunk))
        yield chunk


def _read(url: str, most: int) -> Iterator[bytes]:
    """Yield the text at a URL, at most `most` bytes of it. Raises DataError."""
    request = urllib.request.Request(url, headers={"User-Agent": f"regard/{__version__}"})
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:
            stream = gzip.GzipFile(fileobj=answer) if url.endswith(".gz") else answer
            while most > 0 and (chunk := stream.read(min(CHUNK, most))):
                most -= len(chunk)
                yield chunk
    except urllib.error.HTTPError as error:
        raise _failed(url, f"the server answers {error.code} {error.reason}") from error
    except urllib.error.URLError as error:
        raise _failed(url, str(error.reason)) from error
    except (OSError, EOFError, zlib.error, http.client.HTTPException) as error:
        raise _failed(url, f"the connection ended early ({error})") from error


def _failed(url: str, reason: str) -> DataError:
    return DataError(
        f"the download failed: {reason}",
        where=url,
        fix="check the network and try again: complete files stay. If you need a proxy, set https_proxy",
    )


def _verified(file: RemoteFile, chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the chunks. Raises DataError at their end if size or SHA-256 differ."""
    digest, size = hashlib.sha256(), 0
    for chunk in chunks:
        digest.update(chunk)
        size += len(chunk)
        yield chunk
    if size < file.size:
        raise _failed(file.url, f"it ended after {size:,} of {file.size:,} bytes")
    if digest.hexdigest() != file.sha256:
        raise _wrong_sum(file.url, digest.hexdigest(), file.sha256)


def _wrong_sum(url: str, actual: str, expected: str) -> DataError:
    return DataError(
        f"the SHA-256 of the file is {actual}, and should be {expected}",
        where=url,
        fix="nothing was stored: the file has changed at its source or on its way. Please report it",
    )


def _split_names(archive: Archive) -> list[str]:
    return [
        f"{split}.{language}.gz"
        for split in ("dev", "test", "train")
        for language, _ in (archive.source, archive.target)
    ]


def _download_archive(archive: Archive, folder: Path, progress: Progress) -> None:
    """Download a zip, and write its pairs as train, dev and test. Raises DataError, OSError."""
    if all((folder / name).is_file() for name in _split_names(archive)):
        return
    folder.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256()
    with tempfile.TemporaryFile(dir=folder) as file:
        for chunk in _watched(_read(archive.url, MOST_ARCHIVE_BYTES), progress):
            digest.update(chunk)
            file.write(chunk)
        _compare_with_first(archive.url, digest.hexdigest(), folder / SUMS)
        pairs = _pairs(archive, file)
    splits = split_linked(pairs, archive.held_out)
    for name in _split_names(archive):
        split, language, _ = name.split(".")
        side = 0 if language == archive.source[0] else 1
        _write(folder / name, (f"{pair[side]}\n".encode() for pair in splits[split]))


def _compare_with_first(url: str, actual: str, sums: Path) -> None:
    """Keep the SHA-256 of a first download. Raises DataError if a later one differs from it."""
    name = url.rpartition("/")[2]
    if sums.exists():
        expected = sums.read_text(encoding="utf-8").split()[0]
        if expected != actual:
            raise _wrong_sum(url, actual, expected)
    write_atomic(sums, f"{actual}  {name}\n")


def _pairs(archive: Archive, file: IO[bytes]) -> list[tuple[str, str]]:
    """Return the pairs of a zip's two files, line by line. Raises DataError."""
    try:
        with zipfile.ZipFile(file) as members:
            sides = [_lines(members, name) for _, name in (archive.source, archive.target)]
    except (zipfile.BadZipFile, KeyError, ValueError, EOFError, zlib.error) as error:
        raise _failed(archive.url, f"it is not the archive that was expected ({error})") from error
    if len(sides[0]) != len(sides[1]):
        raise _failed(archive.url, f"its files have {len(sides[0]):,} and {len(sides[1]):,} lines")
    return list(zip(*sides, strict=True))


def _lines(members: zipfile.ZipFile, name: str) -> list[str]:
    if members.getinfo(name).file_size > MOST_ARCHIVE_BYTES:
        raise ValueError(f"{name} is too large")
    return members.read(name).decode("utf-8").removesuffix("\n").split("\n")
