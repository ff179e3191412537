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
import tempfile
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from regard.errors import DataError

FORMAT = 1
SUFFIXES = (  # the last one counts
    *("source.npy", "source.offsets.npy", "target.npy", "target.offsets.npy"),
    *("lines.npy", "json"),
)
CHUNK = 1 << 20  # numbers held in memory while writing
REBUILD = "delete the store's files and prepare the corpus again"

Ids = NDArray[np.integer[Any]]
Lengths = NDArray[np.int64]
Stored = tuple[Sequence[int], Sequence[int]] | tuple[Sequence[int], Sequence[int], int]


class PairStore:
    """Pairs of id sequences, without BOS and EOS, that stay on the disk until they are asked for.

    source_lengths, target_lengths: int64 arrays, a number a pair.
    fingerprint: a SHA-256 over the contents, the same wherever the same pairs are stored.
    """

    def __init__(self, source: _Side, target: _Side, lines: Ids | None, fingerprint: str) -> None:
        self._source = source
        self._target = target
        self._lines = lines
        self.source_lengths: Lengths = np.diff(source.offsets)
        self.target_lengths: Lengths = np.diff(target.offsets)
        self.fingerprint = fingerprint

    def __len__(self) -> int:
        return len(self.source_lengths)

    def source(self, index: int) -> Ids:
        """The ids of a source, a view of the file."""
        return self._source[index]

    def target(self, index: int) -> Ids:
        """The ids of a target, a view of the file."""
        return self._target[index]

    def line(self, index: int) -> int | None:
        """The line of the corpus (from 1) on which a pair stood; None where an earlier version stored it."""
        return None if self._lines is None else int(self._lines[index])

    @classmethod
    def write(cls, folder: Path, name: str, pairs: Iterable[Stored]) -> Self:
        """Store pairs in `folder`, in bounded memory; a store of that name is replaced.

        A pair is source ids, target ids and its line, which without one is its place among them.
        Raises DataError if the disk does not take it.
        """
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for left in folder.glob(f".{name}-*"):  # by a process that was killed
                shutil.rmtree(left)
            with tempfile.TemporaryDirectory(prefix=f".{name}-", dir=folder) as scratch:
                _write(pairs, Path(scratch))
                (folder / f"{name}.json").unlink(missing_ok=True)
                for suffix in SUFFIXES:
                    (Path(scratch) / suffix).replace(folder / f"{name}.{suffix}")
        except OSError as error:
            raise DataError(
                f"the store of pairs cannot be written: {error.strerror or error}",
                where=folder,
                fix="see that the disk has room and that the folder may be written to",
            ) from None
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
    offsets: Lengths  # (pairs + 1,)

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


def _write(pairs: Iterable[Stored], folder: Path) -> None:
    count = 0
    lines = _Stream(folder / "lines.npy", "i")
    with lines.file, _SideWriter(folder, "source") as source, _SideWriter(folder, "target") as target:
        for count, (source_ids, target_ids, *line) in enumerate(pairs, start=1):
            source.add(source_ids)
            target.add(target_ids)
            lines.extend(line or [count])
        lines.finish()
        digests = [stream.finish() for side in (source, target) for stream in (side.tokens, side.offsets)]
    fingerprint = hashlib.sha256("".join(digests).encode()).hexdigest()
    header = {"format": FORMAT, "pairs": count, "fingerprint": fingerprint}
    (folder / "json").write_text(json.dumps(header), encoding="utf-8")


class _SideWriter:
    def __init__(self, folder: Path, side: str) -> None:
        self.tokens = _Stream(folder / f"{side}.npy", "i")
        self.offsets = _Stream(folder / f"{side}.offsets.npy", "q")
        self.end = 0
        self.offsets.extend([0])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.tokens.file.close()
        self.offsets.file.close()

    def add(self, ids: Sequence[int]) -> None:
        self.end += len(ids)
        self.tokens.extend(ids)
        self.offsets.extend([self.end])


class _Stream:
    """Numbers appended to a raw file, from which an `.npy` is made when their count is known."""

    def __init__(self, path: Path, typecode: str) -> None:
        self.path = path
        self.raw = path.with_suffix(".raw")
        self.file = self.raw.open("wb")
        self.buffer = array(typecode)
        self.count = 0
        self.largest = 0
        self.digest = hashlib.sha256()

    def extend(self, numbers: Iterable[int]) -> None:
        self.buffer.extend(numbers)
        if len(self.buffer) >= CHUNK:
            self._flush()

    def _flush(self) -> None:
        if self.buffer:
            self.largest = max(self.largest, int(np.frombuffer(self.buffer, self.buffer.typecode).max()))
        self.count += len(self.buffer)
        self.digest.update(self.buffer)
        self.file.write(self.buffer)
        del self.buffer[:]

    def finish(self) -> str:
        """Write the `.npy`, of uint16 where all numbers fit, and give the digest of the numbers."""
        self._flush()
        self.file.close()
        given = np.dtype(self.buffer.typecode)
        kept = np.dtype(np.uint16) if given == np.int32 and self.largest < 1 << 16 else given
        with self.raw.open("rb") as raw, self.path.open("wb") as out:
            header = {"descr": kept.str, "fortran_order": False, "shape": (self.count,)}
            np.lib.format.write_array_header_1_0(out, header)
            while chunk := raw.read(CHUNK * given.itemsize):
                out.write(np.frombuffer(chunk, given).astype(kept).tobytes())
        self.raw.unlink()
        return self.digest.hexdigest()
