"""Kinds of fault, and the faults of a corpus: how many of each kind, on which lines, with examples."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray


class FaultKind(StrEnum):
    """A kind of fault. The value is its name on the command line."""

    BLANK = "blank"
    ENCODING = "encoding"
    CONTROL = "control"
    COPY = "copies"
    DUPLICATE = "duplicates"
    NEAR_DUPLICATE = "near-duplicates"
    MANY_TARGETS = "many-targets"
    MANY_SOURCES = "many-sources"
    RATIO = "ratio"
    SCRIPT = "script"
    LANGUAGE = "language"
    UNRELATED = "unrelated"
    DOUBTFUL = "perhaps-unrelated"
    DRIFT = "drift"
    NUMBERS = "numbers"
    LEAKAGE = "leakage"
    NEAR_LEAKAGE = "near-leakage"


DESCRIPTIONS = {
    FaultKind.BLANK: "one side has no text",
    FaultKind.ENCODING: "the text was decoded with the wrong encoding, or contains U+FFFD",
    FaultKind.CONTROL: "the text contains control characters, line separators or invisible characters",
    FaultKind.COPY: "the target is a copy of the source",
    FaultKind.DUPLICATE: "the pair occurs earlier in the corpus",
    FaultKind.NEAR_DUPLICATE: "the pair occurs earlier, except for case, punctuation, digits or spaces",
    FaultKind.MANY_TARGETS: "the source occurs earlier with another target",
    FaultKind.MANY_SOURCES: "the target occurs earlier with another source",
    FaultKind.RATIO: "one side is much too long for the other",
    FaultKind.SCRIPT: "one side is written in a script that this side of the corpus does not use",
    FaultKind.LANGUAGE: "one side is not in the language of this side of the corpus",
    FaultKind.UNRELATED: "the sides are not translations of each other",
    FaultKind.DOUBTFUL: "the sides may not be translations of each other, or the translation is free",
    FaultKind.DRIFT: "the sides are misaligned: the target of this source is some lines away",
    FaultKind.NUMBERS: "a number, URL, e-mail address, currency or unit is not the same on both sides",
    FaultKind.LEAKAGE: "one side also occurs in the dev or test set",
    FaultKind.NEAR_LEAKAGE: "the pair is nearly the same as one of the dev or test set",
}

REPAIRABLE = (FaultKind.CONTROL,)
"""Kinds that can be repaired without removing the pair."""

REPORT_ONLY = (
    FaultKind.NEAR_DUPLICATE,
    FaultKind.MANY_TARGETS,
    FaultKind.MANY_SOURCES,
    FaultKind.DOUBTFUL,
    FaultKind.NUMBERS,
)
"""Kinds that are not certainly wrong. Their pairs are removed only if the kind is requested by name."""

DROPPED_BY_DEFAULT = tuple(kind for kind in FaultKind if kind not in (*REPORT_ONLY, *REPAIRABLE))
"""Kinds whose pairs `regard clean` removes by default."""


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault of the pair at `index` of a batch; `note` describes this instance."""

    index: int
    kind: FaultKind
    note: str


@dataclass(frozen=True, slots=True)
class Example:
    """A pair with a fault, its line number, and its texts, shortened."""

    line: int
    note: str
    source: str
    target: str


MAX_LINES = 1000  # line numbers kept per kind
MAX_EXAMPLES = 5
MAX_EXAMPLE_LENGTH = 160  # characters
POSITION_BINS = 120  # equal parts of the file in which faults are counted


@dataclass
class Finding:
    """All faults of one kind.

    Attributes:
        kind: The kind of fault.
        count: The number of pairs with this fault.
        lines: Up to MAX_LINES of their line numbers.
        examples: Up to MAX_EXAMPLES of the pairs.
        counts_by_position: The number of faults in each part of the file: (POSITION_BINS,).
    """

    kind: FaultKind
    count: int = 0
    lines: list[int] = field(default_factory=list)
    examples: list[Example] = field(default_factory=list)
    counts_by_position: NDArray[np.int64] = field(default_factory=lambda: np.zeros(POSITION_BINS, np.int64))

    def add(self, example: Example, position: float) -> None:
        """Add a fault at a relative position in the file, from 0 to below 1."""
        self.count += 1
        if len(self.lines) < MAX_LINES:
            self.lines.append(example.line)
        self.counts_by_position[int(position * POSITION_BINS)] += 1
        if len(self.examples) < MAX_EXAMPLES:
            self.examples.append(example)


class Findings:
    """One Finding for each kind that occurs, iterated in the order of FaultKind."""

    def __init__(self) -> None:
        self._by_kind: dict[FaultKind, Finding] = {}

    def add(self, kind: FaultKind, example: Example, position: float) -> None:
        """Add a fault at a relative position in the file, from 0 to below 1."""
        self._by_kind.setdefault(kind, Finding(kind)).add(example, position)

    def __iter__(self) -> Iterator[Finding]:
        return (self._by_kind[kind] for kind in FaultKind if kind in self._by_kind)

    def count(self, kind: FaultKind) -> int:
        """Return the number of faults of a kind."""
        return self._by_kind[kind].count if kind in self._by_kind else 0


def shorten(text: str) -> str:
    """Return at most MAX_EXAMPLE_LENGTH characters of a text, with an ellipsis if it was longer."""
    return text if len(text) <= MAX_EXAMPLE_LENGTH else text[: MAX_EXAMPLE_LENGTH - 1] + "…"


def format_line_ranges(lines: Iterable[int]) -> str:
    """Return ascending line numbers with consecutive ones joined: `3, 7-9, 20`."""
    runs: list[list[int]] = []
    for line in lines:
        if runs and line == runs[-1][1] + 1:
            runs[-1][1] = line
        else:
            runs.append([line, line])
    return ", ".join(f"{a}" if a == b else f"{a}-{b}" for a, b in runs)
