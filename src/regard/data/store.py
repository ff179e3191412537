"""A store of pairs: memory-mapped arrays of token ids.

A store `train` consists of six files:

    train.source.npy, train.target.npy                  the token ids of all sequences, concatenated
    train.source.offsets.npy, train.target.offsets.npy  where each sequence starts, and the end of the last one
    train.lines.npy                                     the line of the corpus that each pair is from; missing in
                                                        stores of earlier versions
    train.json                                          the number of pairs and the fingerprint; written last, so that
                                                        an incomplete store lacks it
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from regard.corpus.corpus import LineOrigins
from regard.data.store_writer import (
    BLOCK,
    FORMAT,
    SUFFIXES,
    Ids,
    PairIds,
    StoreWriter,
    combine_digests,
    digest_dtype,
    make_chunks,
)
from regard.errors import DataError, raise_on_os_error

REBUILD = "delete the store's files and prepare the corpus again"

Lengths = NDArray[np.int32]


class PairStore:
    """Pairs of token id sequences without BOS and EOS, read from the disk when they are needed.

    Attributes:
        source_lengths: The number of source tokens of each pair (P,), int32, in memory.
        target_lengths: The number of target tokens of each pair (P,), int32, in memory.
        fingerprint: The SHA-256 of the contents; the same pairs always have the same fingerprint.
        origins: The corpora that the lines of the pairs are from.
    """

    def __init__(self, source: _Side, target: _Side, lines: Ids | None, fingerprint: str, origins: LineOrigins) -> None:
        self._source = source
        self._target = target
        self._lines = lines
        self.source_lengths: Lengths = np.diff(source.offsets).astype(np.int32)
        self.target_lengths: Lengths = np.diff(target.offsets).astype(np.int32)
        self.fingerprint = fingerprint
        self.origins = origins

    def __len__(self) -> int:
        return len(self.source_lengths)

    def source(self, index: int) -> Ids:
        """Return the source ids of a pair, a view of the file."""
        return self._source[index]

    def target(self, index: int) -> Ids:
        """Return the target ids of a pair, a view of the file."""
        return self._target[index]

    @property
    def lines(self) -> Ids:
        """The line of the corpus that each pair is from (P,), from 1; in old stores the number of the pair."""
        return np.arange(1, len(self) + 1) if self._lines is None else self._lines

    def line(self, index: int) -> int | None:
        """Return the line of the corpus (from 1) that a pair is from; None in stores of earlier versions."""
        return None if self._lines is None else int(self._lines[index])

    @classmethod
    def write(cls, folder: Path, name: str, pairs: Iterable[PairIds]) -> Self:
        """Write a store in bounded memory; an existing store of that name is replaced.

        Args:
            folder: The folder of the store.
            name: The name of the store.
            pairs: Source ids, target ids and optionally the line of each pair, by default the number of the pair.

        Raises:
            DataError: If the store cannot be written.
        """
        with open_writer(folder, name) as writer:
            for chunk in make_chunks(pairs):
                writer.add(chunk)
            writer.finish()
        return cls.open(folder, name)

    @classmethod
    def open(cls, folder: Path, name: str, origins: LineOrigins = LineOrigins()) -> Self:
        """Open a store. Raises DataError if it is missing or damaged."""
        path = folder / f"{name}.json"
        try:
            header = json.loads(path.read_text(encoding="utf-8"))
            version, pairs, fingerprint = header["format"], int(header["pairs"]), str(header["fingerprint"])
        except FileNotFoundError:
            raise DataError("there is no store of pairs", where=path, fix="prepare the corpus first") from None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DataError(f"the store's header cannot be read: {error!r}", where=path, fix=REBUILD) from None
        if version != FORMAT:
            raise DataError(f"the store has format {version}, not {FORMAT}", where=path, fix=REBUILD)
        source, target = _Side.open(folder, f"{name}.source", pairs), _Side.open(folder, f"{name}.target", pairs)
        return cls(source, target, _open_lines(folder / f"{name}.lines.npy", pairs), fingerprint, origins)


@dataclass(frozen=True)
class _Side:
    tokens: Ids  # (all tokens,)
    offsets: NDArray[np.int64]  # (pairs + 1,)

    def __getitem__(self, index: int) -> Ids:
        index = range(len(self.offsets) - 1)[index]
        return self.tokens[self.offsets[index] : self.offsets[index + 1]]

    @classmethod
    def open(cls, folder: Path, name: str, pairs: int) -> _Side:
        tokens = _open_array(folder / f"{name}.npy", np.uint16, np.int32)
        path = folder / f"{name}.offsets.npy"
        offsets = _open_array(path, np.int64)
        ends = (0, len(tokens))
        if len(offsets) != pairs + 1 or (offsets[0], offsets[-1]) != ends or np.any(np.diff(offsets) < 0):
            raise DataError("the offsets do not match the tokens", where=path, fix=REBUILD)
        return cls(tokens, offsets)


def _open_lines(path: Path, pairs: int) -> Ids | None:
    if not path.exists():
        return None
    lines = _open_array(path, np.uint16, np.int32)
    if len(lines) != pairs:
        raise DataError("the number of lines does not match the number of pairs", where=path, fix=REBUILD)
    return lines


def _open_array(path: Path, *dtypes: type[np.integer[Any]]) -> NDArray[Any]:
    try:
        mapped = np.lib.format.open_memmap(path, mode="r")
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"an array of the store cannot be read: {error}", where=path, fix=REBUILD) from None
    if mapped.ndim != 1 or mapped.dtype not in dtypes:
        raise DataError(f"this is not an array of a store: {mapped.dtype} {mapped.shape}", where=path, fix=REBUILD)
    return np.asarray(mapped)


def verify_store(folder: Path, name: str, vocabularies: tuple[int, int]) -> None:
    """Verify the checksums of a store, and that its ids are within the vocabularies, in bounded memory.

    Args:
        folder: The folder of the store.
        name: The name of the store.
        vocabularies: The sizes of the source and the target vocabulary.

    Raises:
        DataError: If the store is damaged. The error names the damaged file, except in stores of earlier versions,
            which have a single checksum.
    """
    path = folder / f"{name}.json"
    try:
        header = json.loads(path.read_text(encoding="utf-8"))
        fingerprint, expected = str(header["fingerprint"]), dict(header.get("digests", {}))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"the store's header cannot be read: {error!r}", where=path, fix=REBUILD) from None
    digests: dict[str, str] = {}
    for suffix in SUFFIXES[:-1]:
        if suffix in expected or suffix != "lines.npy":  # which stores of earlier versions may lack
            digests[suffix] = _digest(folder / f"{name}.{suffix}", digest_dtype(suffix))
    damaged = [suffix for suffix, digest in digests.items() if digest != expected.get(suffix, digest)]
    if damaged or combine_digests(digests) != fingerprint:
        raise DataError(
            "the training data is damaged: it has changed since it was written",
            where=folder / f"{name}.{damaged[0] if damaged else '*.npy'}",
            fix=REBUILD,
        )
    for side, size in zip(("source", "target"), vocabularies, strict=True):
        file = folder / f"{name}.{side}.npy"
        largest = max((int(block.max()) for block in _blocks(file)), default=-1)
        if largest >= size:
            raise DataError(
                f"it contains the token {largest:,}, but the vocabulary has {size:,} tokens", where=file, fix=REBUILD
            )


def _blocks(path: Path) -> Iterator[NDArray[Any]]:
    numbers = _open_array(path, np.uint16, np.int32, np.int64)
    return (numbers[start : start + BLOCK] for start in range(0, len(numbers), BLOCK))


def _digest(path: Path, dtype: np.dtype[Any]) -> str:
    digest = hashlib.sha256()
    for block in _blocks(path):
        digest.update(np.ascontiguousarray(block, dtype).data)
    return digest.hexdigest()


@contextmanager
def open_writer(folder: Path, name: str, inputs: str = "") -> Iterator[StoreWriter]:
    """Yield a StoreWriter; without `inputs`, it starts from the beginning and deletes an unfinished store.

    Raises:
        DataError: If the store cannot be written.
    """
    problem = "the store of pairs cannot be written"
    fix = "make sure that there is free disk space and that the folder is writable"
    with raise_on_os_error(DataError, problem, where=folder, fix=fix):
        folder.mkdir(parents=True, exist_ok=True)
        writer = StoreWriter(folder, name, inputs)
        for leftover in folder.glob(f".{name}-*"):  # of a process that was killed
            if leftover != writer.scratch:
                shutil.rmtree(leftover)
        try:
            yield writer
        finally:
            writer.close()
            if not inputs:
                shutil.rmtree(writer.scratch, ignore_errors=True)
