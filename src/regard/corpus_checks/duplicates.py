"""Pairs that stand there more than once, and sides that stand beside several others: told from hashes of the texts."""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from regard.corpus_checks.findings import Fault, FaultKind
from regard.corpus_checks.reading import Batch, normalize_words

_MIX = np.uint64(0x9E3779B97F4A7C15)  # tells the hash of (a, b) from that of (b, a)


def digest(text: str) -> int:
    """64 bits of a text."""
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")


class DuplicateCheck:
    """Takes 28 bytes a pair, and some 40 more while it settles."""

    def __init__(self) -> None:
        self._source = array("Q")
        self._target = array("Q")
        self._folded = array("Q")
        self._lines = array("I")
        self._first: dict[FaultKind, NDArray[np.int32]] = {}

    def observe(self, batch: Batch) -> None:
        """Hashes of both sides, and of the pair with case, punctuation and digits folded."""
        self._source.extend(map(digest, batch.sources))
        self._target.extend(map(digest, batch.targets))
        folded = zip(batch.source_words, batch.target_words, strict=True)
        self._folded.extend(
            digest(f"{normalize_words(source)}\t{normalize_words(target)}") for source, target in folded
        )
        self._lines.extend(batch.lines)

    def finish(self) -> None:
        """Where each pair, and each side, stood first."""
        source, target = (np.frombuffer(side, np.uint64) for side in (self._source, self._target))
        pair = source * _MIX ^ target
        self._first = {
            FaultKind.DUPLICATE: _first(pair),
            FaultKind.NEAR_DUPLICATE: _first(np.frombuffer(self._folded, np.uint64)),
            FaultKind.MANY_TARGETS: _first(source),
            FaultKind.MANY_SOURCES: _first(target),
        }

    def find_faults(self, batch: Batch) -> Iterator[Fault]:
        """See Kind; a duplicate is nothing else."""
        end = batch.start + len(batch)
        here = np.arange(batch.start, end)
        repeated = np.zeros(len(batch), np.bool_)
        for kind, first in self._first.items():
            again = (first[batch.start : end] != here) & ~repeated
            for place in np.flatnonzero(again).tolist():
                before = self._lines[first[batch.start + place]]
                yield Fault(place, kind, f"as on line {before}" if _same(kind) else f"also on line {before}")
            if kind == FaultKind.DUPLICATE:
                repeated = again


def _same(kind: FaultKind) -> bool:
    return kind in (FaultKind.DUPLICATE, FaultKind.NEAR_DUPLICATE)


def _first(hashes: NDArray[np.uint64]) -> NDArray[np.int32]:
    """For each place the first one that has the same number: (n,)."""
    order = np.argsort(hashes, kind="stable").astype(np.int32)
    ordered = hashes[order]
    begins = np.concatenate([[True], ordered[1:] != ordered[:-1]]) if len(order) else np.empty(0, np.bool_)
    group = begins.cumsum() - 1
    first = np.empty(len(order), np.int32)
    first[order] = order[begins][group]
    return first
