"""What is found in a corpus: faults of single pairs, counted by kind, with lines and examples of each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray


class FaultKind(StrEnum):
    """What may be said of a pair; the value is its name on the command line."""

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
    LEAKAGE = "leakage"
    NEAR_LEAKAGE = "near-leakage"


DESCRIPTIONS = {
    FaultKind.BLANK: "a side has no text",
    FaultKind.ENCODING: "a side has damaged letters: wrongly decoded, or U+FFFD",
    FaultKind.CONTROL: "a side has control characters, line or paragraph separators, or invisible ones",
    FaultKind.COPY: "the target is the source",
    FaultKind.DUPLICATE: "the pair stood before",
    FaultKind.NEAR_DUPLICATE: "the pair stood before, but for case, punctuation, digits or spaces",
    FaultKind.MANY_TARGETS: "the source stood before with another target",
    FaultKind.MANY_SOURCES: "the target stood before with another source",
    FaultKind.RATIO: "one side is far too long for the other",
    FaultKind.SCRIPT: "a side has letters of a script that its side of the corpus does not have",
    FaultKind.LANGUAGE: "a side is in another language than its side of the corpus",
    FaultKind.UNRELATED: "the sides do not translate each other",
    FaultKind.DOUBTFUL: "the sides may not translate each other: unrelated, or a free translation",
    FaultKind.DRIFT: "the sides are out of step: the target of this source stands some lines away",
    FaultKind.LEAKAGE: "a side stands in the dev or test set too",
    FaultKind.NEAR_LEAKAGE: "the pair is nearly one of the dev or test set",
}

REPAIRABLE = (FaultKind.CONTROL,)  # mended without taking the pair out, where that is asked for
REPORT_ONLY = (FaultKind.NEAR_DUPLICATE, FaultKind.MANY_TARGETS, FaultKind.MANY_SOURCES, FaultKind.DOUBTFUL)
"""Not certainly wrong: reported, and removed only where they are named."""

DROPPED_BY_DEFAULT = tuple(kind for kind in FaultKind if kind not in (*REPORT_ONLY, *REPAIRABLE))
"""What `clean` takes out unless it is told otherwise."""


@dataclass(frozen=True, slots=True)
class Fault:
    """Something about the pair at a place of a batch; `note` says more of this one."""

    place: int
    kind: FaultKind
    note: str


@dataclass(frozen=True, slots=True)
class Example:
    """A pair with a fault, its texts cut short, and the line on which it stands."""

    line: int
    note: str
    source: str
    target: str


MOST_LINES = 1000  # of a kind that are kept
MOST_EXAMPLES = 5
LONGEST_EXAMPLE = 160  # characters
POSITION_BINS = 120  # parts of the file, in each of which faults are counted


@dataclass
class Finding:
    """All faults of one kind: how many, the first lines, examples, and how many in each part of the file."""

    kind: FaultKind
    count: int = 0
    lines: list[int] = field(default_factory=list)
    examples: list[Example] = field(default_factory=list)
    counts_by_position: NDArray[np.int64] = field(default_factory=lambda: np.zeros(POSITION_BINS, np.int64))

    def add(self, example: Example, share: float) -> None:
        """One more, which stands after this share of the file (0 to below 1)."""
        self.count += 1
        if len(self.lines) < MOST_LINES:
            self.lines.append(example.line)
        self.counts_by_position[int(share * POSITION_BINS)] += 1
        if len(self.examples) < MOST_EXAMPLES:
            self.examples.append(example)


class Findings:
    """One Finding for each kind that occurs, in the order of Kind."""

    def __init__(self) -> None:
        self._found: dict[FaultKind, Finding] = {}

    def add(self, kind: FaultKind, example: Example, share: float) -> None:
        """One more fault."""
        self._found.setdefault(kind, Finding(kind)).add(example, share)

    def __iter__(self) -> Iterator[Finding]:
        return (self._found[kind] for kind in FaultKind if kind in self._found)

    def count(self, kind: FaultKind) -> int:
        """How many of a kind."""
        return self._found[kind].count if kind in self._found else 0


def shortened(text: str) -> str:
    """At most LONGEST_EXAMPLE characters of it."""
    return text if len(text) <= LONGEST_EXAMPLE else text[: LONGEST_EXAMPLE - 1] + "…"


def format_line_ranges(lines: Iterable[int]) -> str:
    """Lines with runs drawn together: `3, 7-9, 20`. They are in rising order."""
    runs: list[list[int]] = []
    for line in lines:
        if runs and line == runs[-1][1] + 1:
            runs[-1][1] = line
        else:
            runs.append([line, line])
    return ", ".join(f"{a}" if a == b else f"{a}-{b}" for a, b in runs)
