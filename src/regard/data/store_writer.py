"""A store of pairs while it is written: in chunks, in bounded memory, so that a process that was killed can go on."""

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

FORMAT = 1
SUFFIXES = (  # the last one counts
    *("source.npy", "source.offsets.npy", "target.npy", "target.offsets.npy"),
    *("lines.npy", "json"),
)
CHUNK_PAIRS = 10_000  # pairs of a chunk
BLOCK = 1 << 22  # bytes read at a time from what has been written
EVERY = 5.0  # seconds between two notes of how far it is

Ids = NDArray[np.integer[Any]]
PairIds = tuple[Sequence[int], Sequence[int]] | tuple[Sequence[int], Sequence[int], int]


@dataclass(frozen=True)
class Chunk:
    """P pairs of ids: those of either side end to end, how many each pair has there (P,), and their lines (P,)."""

    source: Ids
    source_lengths: Ids
    target: Ids
    target_lengths: Ids
    lines: Ids

    def __len__(self) -> int:
        return len(self.lines)

    @classmethod
    def of(cls, source: Sequence[Sequence[int]], target: Sequence[Sequence[int]], lines: Sequence[int]) -> Self:
        """Of sequences side by side."""
        return cls(*_end_to_end(source), *_end_to_end(target), np.array(lines, np.int32))

    def where(self, kept: NDArray[np.bool_]) -> Chunk:
        """The pairs that are kept, (P,)."""
        if kept.all():
            return self
        source, target = (np.repeat(kept, lengths) for lengths in (self.source_lengths, self.target_lengths))
        return Chunk(
            *(self.source[source], self.source_lengths[kept], self.target[target], self.target_lengths[kept]),
            self.lines[kept],
        )


def _end_to_end(rows: Sequence[Sequence[int]]) -> tuple[Ids, Ids]:
    lengths = np.fromiter(map(len, rows), np.int32, len(rows))
    return np.frombuffer(array("i", chain.from_iterable(rows)), np.int32), lengths


def make_chunks(pairs: Iterable[PairIds]) -> Iterable[Chunk]:
    """Pairs of source ids, target ids and a line, which without one is a pair's place among them, from 1."""
    numbered = ((*pair, number)[:3] for number, pair in enumerate(pairs, start=1))
    while some := list(islice(numbered, CHUNK_PAIRS)):
        yield Chunk.of(*zip(*some, strict=True))


@dataclass
class Done:
    """How far the writing of a store is: pairs that were read for it, and what else whoever writes it wants to keep."""

    read: int = 0
    notes: dict[str, Any] = field(default_factory=dict)


def digest_dtype(suffix: str) -> np.dtype[Any]:
    """Return the dtype of which an array's digest is, however it is stored."""
    return np.dtype(np.int64 if "offsets" in suffix else np.int32)


def combine_digests(digests: Mapping[str, str]) -> str:
    """Return the SHA-256 of the digests of both sides' tokens and offsets."""
    return hashlib.sha256("".join(digests[suffix] for suffix in SUFFIXES[:4]).encode()).hexdigest()


class StoreWriter:
    """Writes a store `name` in `folder`; what it has written stays there when its process is killed.

    what: tells of which pairs the store is; one that was begun of the same goes on behind `done`. Raises OSError.
    """

    def __init__(self, folder: Path, name: str, what: str) -> None:
        self.folder, self.name, self.what = folder, name, what
        self.scratch = folder / f".{name}-parts"
        self._progress = self.scratch / "progress.json"
        self.done = Done()
        sizes = self._read_progress()
        if sizes is None:
            shutil.rmtree(self.scratch, ignore_errors=True)
            self.scratch.mkdir(parents=True)
            sizes = dict.fromkeys(SUFFIXES[:-1], 0)
        self._streams = {
            suffix: _Stream(self.scratch / suffix, digest_dtype(suffix), sizes[suffix]) for suffix in SUFFIXES[:-1]
        }
        for side in ("source", "target"):
            if not self._streams[f"{side}.offsets.npy"].count:
                self._streams[f"{side}.offsets.npy"].append(np.zeros(1, np.int64))
        self._noted = time.monotonic()

    def add(self, chunk: Chunk) -> None:
        """Pairs behind those before, in bounded memory."""
        for side, ids, lengths in (
            ("source", chunk.source, chunk.source_lengths),
            ("target", chunk.target, chunk.target_lengths),
        ):
            tokens, offsets = self._streams[f"{side}.npy"], self._streams[f"{side}.offsets.npy"]
            offsets.append(tokens.count + np.cumsum(lengths, dtype=np.int64))
            tokens.append(ids)
        self._streams["lines.npy"].append(chunk.lines)

    def note(self, *, read: int, **notes: Any) -> None:
        """So many pairs have been read, what came of them is added; every few seconds that is put on the disk."""
        self.done = Done(read, notes)
        if time.monotonic() - self._noted < EVERY:
            return
        sizes = {suffix: stream.flush() for suffix, stream in self._streams.items()}
        table = {"what": self.what, "read": read, "notes": notes, "sizes": sizes}
        temporary = self._progress.with_suffix(".tmp")
        temporary.write_text(json.dumps(table), encoding="utf-8")
        temporary.replace(self._progress)
        self._noted = time.monotonic()

    def finish(self) -> None:
        """Put the store in its place."""
        digests = {suffix: stream.finish() for suffix, stream in self._streams.items()}
        header = {
            "format": FORMAT,
            "pairs": self._streams["lines.npy"].count,
            "fingerprint": combine_digests(digests),
            "digests": digests,  # which earlier versions did not write, and do not read
        }
        (self.scratch / "json").write_text(json.dumps(header), encoding="utf-8")
        (self.folder / f"{self.name}.json").unlink(missing_ok=True)
        for suffix in SUFFIXES:
            (self.scratch / suffix).replace(self.folder / f"{self.name}.{suffix}")
        shutil.rmtree(self.scratch)

    def close(self) -> None:
        """Let go of its files, which stay."""
        for stream in self._streams.values():
            stream.file.close()

    def _read_progress(self) -> dict[str, int] | None:
        """The bytes that count of each file, where there is a beginning of this very store."""
        with suppress(OSError, ValueError, KeyError, TypeError):
            table = json.loads(self._progress.read_text(encoding="utf-8"))
            sizes = {suffix: int(table["sizes"][suffix]) for suffix in SUFFIXES[:-1]}
            there = all((self.scratch / f"{suffix}.raw").stat().st_size >= size for suffix, size in sizes.items())
            if self.what and table["what"] == self.what and there:
                self.done = Done(int(table["read"]), dict(table["notes"]))
                return sizes
        return None


class _Stream:
    """Numbers appended to a raw file, from which an `.npy` is made when their count is known."""

    def __init__(self, path: Path, kind: np.dtype[Any], size: int) -> None:
        """`size`: how many bytes count of what is there already."""
        self.path, self.kind = path, kind
        self.raw = path.with_name(f"{path.name}.raw")
        self.count = self.largest = 0
        self.digest = hashlib.sha256()
        self.file = self.raw.open("r+b" if size else "w+b")
        self.file.truncate(size)
        while block := self.file.read(BLOCK):
            self._take(np.frombuffer(block, kind))

    def append(self, numbers: Ids) -> None:
        numbers = np.ascontiguousarray(numbers, self.kind)
        self.file.write(numbers.tobytes())
        self._take(numbers)

    def _take(self, numbers: Ids) -> None:
        if len(numbers):
            self.largest = max(self.largest, int(numbers.max()))
            self.count += len(numbers)
            self.digest.update(numbers.tobytes())

    def flush(self) -> int:
        """Put everything on the disk: so many bytes."""
        self.file.flush()
        os.fsync(self.file.fileno())
        return self.count * self.kind.itemsize

    def finish(self) -> str:
        """Write the `.npy`, of uint16 where all numbers fit, and give the digest of the numbers."""
        self.file.close()
        kept = np.dtype(np.uint16) if self.kind == np.int32 and self.largest < 1 << 16 else self.kind
        with self.raw.open("rb") as raw, self.path.open("wb") as out:
            header = {"descr": kept.str, "fortran_order": False, "shape": (self.count,)}
            np.lib.format.write_array_header_1_0(out, header)
            while block := raw.read(BLOCK):
                out.write(np.frombuffer(block, self.kind).astype(kept).tobytes())
        self.raw.unlink()
        return self.digest.hexdigest()
