"""Duplicate pairs, and sides that occur with several translations, found by hashes of the texts."""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from regard.corpus_checks.findings import Fault, FaultKind
from regard.corpus_checks.reading import Batch, normalize_words

_MIX = np.uint64(0x9E3779B97F4A7C15)  # makes the hash of (a, b) differ from that of (b, a)


def digest(text: str) -> int:
    """Return a 64-bit hash of a text."""
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")


class DuplicateCheck:
    """Finds repeated pairs, sources and targets. Memory: 28 bytes per pair, and about 40 more during `finish`."""

    def __init__(self) -> None:
        self._source = array("Q")
        self._target = array("Q")
        self._normalized = array("Q")
        self._lines = array("I")
        self._first: dict[FaultKind, NDArray[np.int32]] = {}  # for each pair, the first equal one

    def observe(self, batch: Batch) -> None:
        """Hash both sides, and the pair without case and punctuation and with a 0 for every digit."""
        self._source.extend(map(digest, batch.sources))
        self._target.extend(map(digest, batch.targets))
        words = zip(batch.source_words, batch.target_words, strict=True)
        self._normalized.extend(
            digest(f"{normalize_words(source)}\t{normalize_words(target)}") for source, target in words
        )
        self._lines.extend(batch.lines)

    def finish(self) -> None:
        """Find the first occurrence of each pair and each side."""
        source, target = (np.frombuffer(side, np.uint64) for side in (self._source, self._target))
        pair = source * _MIX ^ target
        self._first = {
            FaultKind.DUPLICATE: _first_occurrence(pair),
            FaultKind.NEAR_DUPLICATE: _first_occurrence(np.frombuffer(self._normalized, np.uint64)),
            FaultKind.MANY_TARGETS: _first_occurrence(source),
            FaultKind.MANY_SOURCES: _first_occurrence(target),
        }

    def find_faults(self, batch: Batch) -> Iterator[Fault]:
        """Yield faults of the four kinds of repetition; a pair that is a DUPLICATE has none of the other kinds."""
        end = batch.start + len(batch)
        own = np.arange(batch.start, end)
        is_duplicate = np.zeros(len(batch), np.bool_)
        for kind, first in self._first.items():
            is_repeated = (first[batch.start : end] != own) & ~is_duplicate
            for index in np.flatnonzero(is_repeated).tolist():
                line = self._lines[first[batch.start + index]]
                is_pair = kind in (FaultKind.DUPLICATE, FaultKind.NEAR_DUPLICATE)
                yield Fault(index, kind, f"same as line {line}" if is_pair else f"also on line {line}")
            if kind == FaultKind.DUPLICATE:
                is_duplicate = is_repeated


def _first_occurrence(hashes: NDArray[np.uint64]) -> NDArray[np.int32]:
    """Return for each index the first index with the same hash: (n,)."""
    order = np.argsort(hashes, kind="stable").astype(np.int32)
    ordered = hashes[order]
    starts = np.concatenate([[True], ordered[1:] != ordered[:-1]]) if len(order) else np.empty(0, np.bool_)
    group = starts.cumsum() - 1
    first = np.empty(len(order), np.int32)
    first[order] = order[starts][group]
    return first
