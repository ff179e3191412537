"""Features of a text that survive translation: its length, its end, its digits and its punctuation.

How often two values of a feature occur together in the pairs of a corpus, compared with how often they would by chance,
is evidence for or against a pair. No knowledge of the languages is needed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Codes = NDArray[np.uint8]
Numbers = NDArray[np.float64]

SIZES = 24  # length classes
KINDS = 16  # values of every other feature
CAP = 4.0  # nats; the most that one feature contributes
_CODES = 32  # at least SIZES and KINDS

_DIGITS = re.compile(r"\d+")
_PUNCTUATION = re.compile(r"[,;:()\[\]\"“”„«»、，–—/]")
_ENDS = {
    mark: number for number, marks in enumerate((".。", "?？", "!！", ":：", ",;", "\"'”“’»", ")]", "…"), start=1)
    for mark in marks
}  # fmt: skip


def surface_codes(text: str) -> tuple[int, int, int]:
    """Return the codes of a text's last character, its digits and its number of punctuation marks, each below KINDS."""
    digits = sorted(_DIGITS.findall(text))
    marks = len(_PUNCTUATION.findall(text))
    end = _ENDS.get(text[-1], 10 if text[-1].isdecimal() else 9 if text[-1].isalpha() else 11)
    return end, 1 + sum(map(int, "".join(digits)[:18])) % (KINDS - 1) if digits else 0, min(marks, KINDS - 1)


def size_bounds(lengths: NDArray[np.uint32]) -> Numbers:
    """Return the upper bounds of at most SIZES length classes with about equal numbers of texts."""
    bounds: Numbers = np.unique(np.quantile(lengths, np.linspace(0, 1, SIZES + 1)[1:-1]))
    return bounds


def size_codes(lengths: NDArray[np.uint32], bounds: Numbers) -> Codes:
    """Return the length class of each text."""
    return np.searchsorted(bounds, lengths, side="right").astype(np.uint8)


def association(source: Codes, target: Codes) -> Numbers:
    """Return log P(s, t) / (P(s) P(t)) of every two codes, clipped to [-CAP, CAP]: (32, 32)."""
    counts = np.bincount(source.astype(np.int64) * _CODES + target, minlength=_CODES**2)
    counts = counts.reshape(_CODES, _CODES).astype(np.float64)
    expected = counts.sum(1, keepdims=True) * counts.sum(0, keepdims=True) / counts.sum()
    table: Numbers = np.log((counts + 10 * expected / max(counts.sum(), 1) + 0.5) / (expected + 0.5))
    return table.clip(-CAP, CAP)


def agreement(features: Sequence[tuple[Codes, Codes]], tables: Sequence[Numbers]) -> Numbers:
    """Return the sum of the associations of all features of each pair, in nats: (pairs,)."""
    total = np.zeros(len(features[0][0]))
    for (source, target), table in zip(features, tables, strict=True):
        total += table[source, target]
    return total
