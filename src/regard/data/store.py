"""A corpus of pairs as memory-mapped arrays of token ids, written once and read from the disk.

A store `train` is six files: `train.source.npy` and `train.target.npy` hold the ids of all
sequences end to end, `train.source.offsets.npy` and `train.target.offsets.npy` where each one
begins (one number more than there are pairs), `train.lines.npy` on which line of its corpus each
pair stood (stores of earlier versions lack it), and `train.json` the count and the fingerprint.
The JSON is written last: without it there is no store.
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
from regard.errors import DataError

REBUILD = "delete the store's files and prepare the corpus again"

Lengths = NDArray[np.int32]


class PairStore:
    """Pairs of id sequences, without BOS and EOS, that stay on the disk until they are asked for.

    source_lengths, target_lengths: int32 arrays, a number a pair, held in memory as nothing else of it is.
    fingerprint: a SHA-256 over the contents, the same wherever the same pairs are stored.
    """

    def __init__(self, source: _Side, target: _Side, lines: Ids | None, fingerprint: str) -> None:
        self._source = source
        self._target = target
        self._lines = lines
        self.source_lengths: Lengths = np.diff(source.offsets).astype(np.int32)
        self.target_lengths: Lengths = np.diff(target.offsets).astype(np.int32)
        self.fingerprint = fingerprint

    def __len__(self) -> int:
        return len(self.source_lengths)

    def source(self, index: int) -> Ids:
        """The ids of a source, a view of the file."""
        return self._source[index]

    def target(self, index: int) -> Ids:
        """The ids of a target, a view of the file."""
        return self._target[index]

    @property
    def lines(self) -> Ids:
        """The line of each pair in its corpus, (P,), from 1; where an earlier version stored it, its place."""
        return np.arange(1, len(self) + 1) if self._lines is None else self._lines

    def line(self, index: int) -> int | None:
        """The line of the corpus (from 1) on which a pair stood; None where an earlier version stored it."""
        return None if self._lines is None else int(self._lines[index])

    @classmethod
    def write(cls, folder: Path, name: str, pairs: Iterable[PairIds]) -> Self:
        """Store pairs in `folder`, in bounded memory; a store of that name is replaced.

        A pair is source ids, target ids and its line, which without one is its place among them.
        Raises DataError if the disk does not take it.
        """
        with open_writer(folder, name) as writer:
            for chunk in make_chunks(pairs):
                writer.add(chunk)
            writer.finish()
        return cls.open(folder, name)

    @classmethod
    def open(cls, folder: Path, name: str) -> Self:
        """Map a store that was written before. Raises DataError if it is missing or broken."""
        path = folder / f"{name}.json"
        try:
            header = json.loads(path.read_text(encoding="utf-8"))
            known, pairs, fingerprint = header["format"], int(header["pairs"]), str(header["fingerprint"])
        except FileNotFoundError:
            raise DataError("there is no store of pairs here", where=path, fix="prepare the corpus first") from None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DataError(f"the store's header cannot be read: {error!r}", where=path, fix=REBUILD) from None
        if known != FORMAT:
            raise DataError(f"the store is of format {known}, not {FORMAT}", where=path, fix=REBUILD)
        source, target = _Side.open(folder, f"{name}.source", pairs), _Side.open(folder, f"{name}.target", pairs)
        return cls(source, target, _lines(folder / f"{name}.lines.npy", pairs), fingerprint)


@dataclass(frozen=True)
class _Side:
    tokens: Ids  # (all tokens,)
    offsets: NDArray[np.int64]  # (pairs + 1,)

    def __getitem__(self, index: int) -> Ids:
        index = range(len(self.offsets) - 1)[index]
        return self.tokens[self.offsets[index] : self.offsets[index + 1]]

    @classmethod
    def open(cls, folder: Path, name: str, pairs: int) -> _Side:
        tokens = _map(folder / f"{name}.npy", np.uint16, np.int32)
        path = folder / f"{name}.offsets.npy"
        offsets = _map(path, np.int64)
        ends = (0, len(tokens))
        if len(offsets) != pairs + 1 or (offsets[0], offsets[-1]) != ends or np.any(np.diff(offsets) < 0):
            raise DataError("the offsets do not go with the tokens beside them", where=path, fix=REBUILD)
        return cls(tokens, offsets)


def _lines(path: Path, pairs: int) -> Ids | None:
    if not path.exists():
        return None
    lines = _map(path, np.uint16, np.int32)
    if len(lines) != pairs:
        raise DataError("the lines do not go with the pairs beside them", where=path, fix=REBUILD)
    return lines


def _map(path: Path, *dtypes: type[np.integer[Any]]) -> NDArray[Any]:
    try:
        mapped = np.lib.format.open_memmap(path, mode="r")
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"an array of the store cannot be read: {error}", where=path, fix=REBUILD) from None
    if mapped.ndim != 1 or mapped.dtype not in dtypes:
        raise DataError(f"this is no array of a store: {mapped.dtype} {mapped.shape}", where=path, fix=REBUILD)
    return np.asarray(mapped)


def verify_store(folder: Path, name: str, vocabularies: tuple[int, int]) -> None:
    """Compare all numbers of a store with the digests in its header, and its ids with the vocabularies' sizes.

    Reads the whole store in bounded memory. Raises DataError, with the damaged file where the header has a digest of
    each; stores of earlier versions have only one of all together.
    """
    path = folder / f"{name}.json"
    try:
        header = json.loads(path.read_text(encoding="utf-8"))
        fingerprint, expected = str(header["fingerprint"]), dict(header.get("digests", {}))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"the store's header cannot be read: {error!r}", where=path, fix=REBUILD) from None
    digests: dict[str, str] = {}
    for suffix in SUFFIXES[:-1]:
        if suffix in expected or suffix != "lines.npy":  # stores of earlier versions may lack it
            digests[suffix] = _digest(folder / f"{name}.{suffix}", digest_dtype(suffix))
    wrong = [suffix for suffix, digest in digests.items() if digest != expected.get(suffix, digest)]
    if wrong or combine_digests(digests) != fingerprint:
        raise DataError(
            "the training data is damaged: it is not as it was written",
            where=folder / f"{name}.{wrong[0] if wrong else '*.npy'}",
            fix=REBUILD,
        )
    for side, size in zip(("source", "target"), vocabularies, strict=True):
        file = folder / f"{name}.{side}.npy"
        largest = max((int(block.max()) for block in _blocks(file)), default=-1)
        if largest >= size:
            raise DataError(
                f"there is a token {largest:,} in it, and the vocabulary has {size:,}", where=file, fix=REBUILD
            )


def _blocks(path: Path) -> Iterator[NDArray[Any]]:
    numbers = _map(path, np.uint16, np.int32, np.int64)
    return (numbers[start : start + BLOCK] for start in range(0, len(numbers), BLOCK))


def _digest(path: Path, kind: np.dtype[Any]) -> str:
    digest = hashlib.sha256()
    for block in _blocks(path):
        digest.update(np.ascontiguousarray(block, kind).data)
    return digest.hexdigest()


@contextmanager
def open_writer(folder: Path, name: str, what: str = "") -> Iterator[StoreWriter]:
    """What writes a store `name`; without `what`, which tells of which pairs, it begins anew and leaves nothing behind.

    Raises DataError if the disk does not take it.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        writer = StoreWriter(folder, name, what)
        for left in folder.glob(f".{name}-*"):  # by a process that was killed
            if left != writer.scratch:
                shutil.rmtree(left)
        try:
            yield writer
        finally:
            writer.close()
            if not what:
                shutil.rmtree(writer.scratch, ignore_errors=True)
    except OSError as error:
        raise DataError(
            f"the store of pairs cannot be written: {error.strerror or error}",
            where=folder,
            fix="see that the disk has room and that the folder may be written to",
        ) from None
