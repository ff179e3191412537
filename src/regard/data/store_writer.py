"""Write a store of pairs in chunks and in bounded memory; a writer that was killed can be continued."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from array import array
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from regard.files import write_atomic

FORMAT = 1
SUFFIXES = (  # the last one is written last
    *("source.npy", "source.offsets.npy", "target.npy", "target.offsets.npy"),
    *("lines.npy", "json"),
)
CHUNK_PAIRS = 10_000
BLOCK = 1 << 22  # bytes read at a time
SAVE_INTERVAL = 5.0  # seconds between two saves of the progress

Ids = NDArray[np.integer[Any]]
PairIds = tuple[Sequence[int], Sequence[int]] | tuple[Sequence[int], Sequence[int], int]


@dataclass(frozen=True)
class Chunk:
    """P pairs of token ids.

    Attributes:
        source: The source ids of all pairs, concatenated.
        source_lengths: The number of source ids of each pair (P,).
        target: The target ids of all pairs, concatenated.
        target_lengths: The number of target ids of each pair (P,).
        lines: The line of the corpus that each pair is from (P,).
    """

    source: Ids
    source_lengths: Ids
    target: Ids
    target_lengths: Ids
    lines: Ids

    def __len__(self) -> int:
        return len(self.lines)

    @classmethod
    def of(cls, source: Sequence[Sequence[int]], target: Sequence[Sequence[int]], lines: Sequence[int]) -> Self:
        """Return a chunk of P sources, P targets and P lines."""
        return cls(*_concatenate(source), *_concatenate(target), np.array(lines, np.int32))

    def where(self, mask: NDArray[np.bool_]) -> Chunk:
        """Return the pairs for which the mask (P,) is true."""
        if mask.all():
            return self
        source, target = (np.repeat(mask, lengths) for lengths in (self.source_lengths, self.target_lengths))
        return Chunk(
            *(self.source[source], self.source_lengths[mask], self.target[target], self.target_lengths[mask]),
            self.lines[mask],
        )


def _concatenate(rows: Sequence[Sequence[int]]) -> tuple[Ids, Ids]:
    lengths = np.fromiter(map(len, rows), np.int32, len(rows))
    return np.frombuffer(array("i", chain.from_iterable(rows)), np.int32), lengths


def make_chunks(pairs: Iterable[PairIds]) -> Iterable[Chunk]:
    """Yield chunks of pairs of source ids, target ids and optionally a line, by default the number of the pair."""
    numbered = ((*pair, number)[:3] for number, pair in enumerate(pairs, start=1))
    while rows := list(islice(numbered, CHUNK_PAIRS)):
        yield Chunk.of(*zip(*rows, strict=True))


@dataclass
class WriteProgress:
    """The progress of writing a store.

    Attributes:
        read: The number of pairs that have been read.
        notes: JSON values that the caller wants to keep.
    """

    read: int = 0
    notes: dict[str, Any] = field(default_factory=dict)


def digest_dtype(suffix: str) -> np.dtype[Any]:
    """Return the dtype in which an array is hashed, whatever dtype it is stored in."""
    return np.dtype(np.int64 if "offsets" in suffix else np.int32)


def combine_digests(digests: Mapping[str, str]) -> str:
    """Return the fingerprint of a store: the SHA-256 of the digests of tokens and offsets of both sides."""
    return hashlib.sha256("".join(digests[suffix] for suffix in SUFFIXES[:4]).encode()).hexdigest()


class StoreWriter:
    """Writes a store; what has been written stays on the disk if the process is killed.

    Args:
        folder: The folder of the store.
        name: The name of the store.
        inputs: Identifies the pairs of the store. A writer continues an unfinished store of the same inputs after
            `progress`; if this is empty, it always starts from the beginning.

    Attributes:
        scratch: The folder of the unfinished store.
        progress: What was read so far.

    Raises:
        OSError: If the store cannot be written.
    """

    def __init__(self, folder: Path, name: str, inputs: str) -> None:
        self.folder, self.name, self.inputs = folder, name, inputs
        self.scratch = folder / f".{name}-parts"
        self.progress = WriteProgress()
        self._progress_file = self.scratch / "progress.json"
        sizes = self._load_progress()
        if sizes is None:
            shutil.rmtree(self.scratch, ignore_errors=True)
            self.scratch.mkdir(parents=True)
            sizes = dict.fromkeys(SUFFIXES[:-1], 0)
        self._streams = {
            suffix: _ArrayStream(self.scratch / suffix, digest_dtype(suffix), sizes[suffix]) for suffix in SUFFIXES[:-1]
        }
        for side in ("source", "target"):
            if not self._streams[f"{side}.offsets.npy"].count:
                self._streams[f"{side}.offsets.npy"].append(np.zeros(1, np.int64))
        self._last_save = time.monotonic()

    def add(self, chunk: Chunk) -> None:
        """Append pairs."""
        for side, ids, lengths in (
            ("source", chunk.source, chunk.source_lengths),
            ("target", chunk.target, chunk.target_lengths),
        ):
            tokens, offsets = self._streams[f"{side}.npy"], self._streams[f"{side}.offsets.npy"]
            offsets.append(tokens.count + np.cumsum(lengths, dtype=np.int64))
            tokens.append(ids)
        self._streams["lines.npy"].append(chunk.lines)

    def update_progress(self, *, read: int, **notes: Any) -> None:
        """Record that `read` pairs have been read and added; every SAVE_INTERVAL seconds, save everything."""
        self.progress = WriteProgress(read, notes)
        if time.monotonic() - self._last_save < SAVE_INTERVAL:
            return
        sizes = {suffix: stream.sync() for suffix, stream in self._streams.items()}
        table = {"what": self.inputs, "read": read, "notes": notes, "sizes": sizes}
        write_atomic(self._progress_file, json.dumps(table))
        self._last_save = time.monotonic()

    def finish(self) -> None:
        """Complete the store and move it into its folder."""
        digests = {suffix: stream.finish() for suffix, stream in self._streams.items()}
        header = {
            "format": FORMAT,
            "pairs": self._streams["lines.npy"].count,
            "fingerprint": combine_digests(digests),
            "digests": digests,  # not written by earlier versions, which ignore it
        }
        (self.scratch / "json").write_text(json.dumps(header), encoding="utf-8")
        (self.folder / f"{self.name}.json").unlink(missing_ok=True)
        for suffix in SUFFIXES:
            (self.scratch / suffix).replace(self.folder / f"{self.name}.{suffix}")
        shutil.rmtree(self.scratch)

    def close(self) -> None:
        """Close the files of the unfinished store."""
        for stream in self._streams.values():
            stream.file.close()

    def _load_progress(self) -> dict[str, int] | None:
        """Return the valid size of each file in bytes if there is an unfinished store of the same inputs."""
        with suppress(OSError, ValueError, KeyError, TypeError):
            table = json.loads(self._progress_file.read_text(encoding="utf-8"))
            sizes = {suffix: int(table["sizes"][suffix]) for suffix in SUFFIXES[:-1]}
            exists = all((self.scratch / f"{suffix}.raw").stat().st_size >= size for suffix, size in sizes.items())
            if self.inputs and table["what"] == self.inputs and exists:
                self.progress = WriteProgress(int(table["read"]), dict(table["notes"]))
                return sizes
        return None


class _ArrayStream:
    """Appends numbers to a raw file, which becomes an `.npy` file when their count is known."""

    def __init__(self, path: Path, dtype: np.dtype[Any], size: int) -> None:
        """Open the raw file; `size` is the number of valid bytes in it."""
        self.path, self.dtype = path, dtype
        self.raw = path.with_name(f"{path.name}.raw")
        self.count = self.largest = 0
        self.digest = hashlib.sha256()
        self.file = self.raw.open("r+b" if size else "w+b")
        self.file.truncate(size)
        while block := self.file.read(BLOCK):
            self._update(np.frombuffer(block, dtype))

    def append(self, numbers: Ids) -> None:
        numbers = np.ascontiguousarray(numbers, self.dtype)
        self.file.write(numbers.tobytes())
        self._update(numbers)

    def _update(self, numbers: Ids) -> None:
        if len(numbers):
            self.largest = max(self.largest, int(numbers.max()))
            self.count += len(numbers)
            self.digest.update(numbers.tobytes())

    def sync(self) -> int:
        """Sync the file to the disk and return its size in bytes."""
        self.file.flush()
        os.fsync(self.file.fileno())
        return self.count * self.dtype.itemsize

    def finish(self) -> str:
        """Write the `.npy` file, as uint16 if all numbers fit, and return the digest of the numbers."""
        self.file.close()
        dtype = np.dtype(np.uint16) if self.dtype == np.int32 and self.largest < 1 << 16 else self.dtype
        with self.raw.open("rb") as raw, self.path.open("wb") as out:
            header = {"descr": dtype.str, "fortran_order": False, "shape": (self.count,)}
            np.lib.format.write_array_header_1_0(out, header)
            while block := raw.read(BLOCK):
                out.write(np.frombuffer(block, self.dtype).astype(dtype).tobytes())
        self.raw.unlink()
        return self.digest.hexdigest()
