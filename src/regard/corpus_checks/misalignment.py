"""Where two sides with as many lines went out of step: a line lost on one side here, and on the other further down.

What is compared of a source and a target is their lengths, how they end, the digits and the punctuation in them.
How each of these goes together in pairs that belong together is learned from the corpus, as the logarithm of
P(both) / (P(one) P(other)); and for every region in which it does not add up to what it should, the targets some lines
up and down are tried by the Viterbi algorithm, with shifts of the target as its states.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from regard.corpus_checks.findings import Fault, FaultKind
from regard.corpus_checks.reading import Batch
from regard.corpus_checks.surface import CAP, Codes, Numbers, association, size_bounds, size_codes

MOST_SHIFT = 50  # lines
WINDOW = 24  # lines, over which a region shows
MARGIN = 150  # lines around a window that are looked at with it
CHANGE = 12.0  # what a change of the shift costs, in nats
CLEAR = 30.0  # nats that a region must win by its shift
FEWEST = 12  # lines of a region
FEWEST_PAIRS = 200
ROUNDS = 4


@dataclass(frozen=True)
class Region:
    """Lines `begin` to `end` of the source, whose targets stand `shift` lines further down (up, where negative)."""

    begin: int
    end: int
    shift: int


class MisalignmentCheck:
    """Finds regions that are out of step; takes 20 bytes a pair."""

    def __init__(self) -> None:
        self._lengths = (array("I"), array("I"))
        self._codes = (bytearray(), bytearray())
        self._lines = array("I")
        self._places: list[tuple[int, int, int]] = []
        self.regions: list[Region] = []

    def observe(self, batch: Batch) -> None:
        """What is compared of each text."""
        sides = ((batch.sources, batch.source_surface), (batch.targets, batch.target_surface))
        for side, (texts, codes) in enumerate(sides):
            self._lengths[side].extend(map(len, texts))
            self._codes[side].extend(codes.tobytes())
        self._lines.extend(batch.lines)

    def finish(self) -> None:
        """Find the regions; the tables are learned anew with those that were found set right."""
        count = len(self._lines)
        if count < FEWEST_PAIRS:
            return
        features = [self._sizes(), *self._others()]
        shifts = np.zeros(count, np.int64)
        for _ in range(ROUNDS):
            found = _regions(features, shifts)
            after = np.zeros(count, np.int64)
            for begin, end, shift in found:
                after[begin:end] = shift
            if (after == shifts).all():
                break
            shifts = after
        self._places = found
        self.regions = [Region(self._lines[begin], self._lines[end - 1], shift) for begin, end, shift in found]

    def find_faults(self, batch: Batch) -> Iterator[Fault]:
        """See Kind.DRIFT."""
        for begin, end, shift in self._places:
            way = "down" if shift > 0 else "up"
            for place in range(max(begin, batch.start), min(end, batch.start + len(batch))):
                note = f"its target seems to stand {abs(shift)} line{'s' * (abs(shift) > 1)} further {way}"
                yield Fault(place - batch.start, FaultKind.DRIFT, note)

    def _sizes(self) -> tuple[Codes, Codes]:
        sides = []
        for lengths in self._lengths:
            numbers = np.frombuffer(lengths, np.uint32)
            sides.append(size_codes(numbers, size_bounds(numbers)))
        return sides[0], sides[1]

    def _others(self) -> Iterator[tuple[Codes, Codes]]:
        source, target = (np.frombuffer(bytes(codes), np.uint8).reshape(-1, 3) for codes in self._codes)
        return ((source[:, number], target[:, number]) for number in range(source.shape[1]))


def _regions(features: Sequence[tuple[Codes, Codes]], shifts: NDArray[np.int64]) -> list[tuple[int, int, int]]:
    """Places [begin, end) that are out of step, by tables of what goes together under `shifts`."""
    count = len(shifts)
    there = (np.arange(count) + shifts).clip(0, count - 1)
    tables = [association(source, target[there]) for source, target in features]
    here = _agreement(features, tables, slice(0, count), 0)
    # Pairs that do not belong together: those of a shift that nobody would make.
    strange = np.roll(_agreement([(s, np.roll(t, count // 2)) for s, t in features], tables, slice(0, count), 0), 0)
    middle = (max(float(np.median(here)), float(here.mean())) + float(strange.mean())) / 2
    moving = np.convolve(here - middle, np.ones(WINDOW), mode="same")
    suspect = np.flatnonzero(moving < 0)
    found = []
    for begin, end in _joined(suspect, count):
        found.extend(_shifted(features, tables, begin, end))
    return found


def _agreement(features: Sequence[tuple[Codes, Codes]], tables: Sequence[Numbers], lines: slice, shift: int) -> Numbers:
    """How well the sources of some lines go with the targets so many further down: (lines,), in nats."""
    count = len(features[0][0])
    inside = np.arange(lines.start, lines.stop) + shift
    total = np.zeros(len(inside))
    for (source, target), table in zip(features, tables, strict=True):
        total += table[source[lines], target[inside.clip(0, count - 1)]]
    total[(inside < 0) | (inside >= count)] = -CAP
    return total


def _joined(suspect: NDArray[np.int64], count: int) -> Iterator[tuple[int, int]]:
    """Stretches of lines around the suspect ones, each with its margin."""
    if not len(suspect):
        return
    breaks = np.flatnonzero(np.diff(suspect) > 2 * MARGIN)
    for begin, end in zip(
        suspect[np.append(0, breaks + 1)].tolist(), suspect[np.append(breaks, len(suspect) - 1)].tolist(), strict=True
    ):
        yield max(0, begin - MARGIN), min(count, end + 1 + MARGIN)


def _shifted(
    features: Sequence[tuple[Codes, Codes]], tables: Sequence[Numbers], begin: int, end: int
) -> list[tuple[int, int, int]]:
    """The best way through some lines with shifts as states, and those of its parts that win CLEAR by their shift."""
    states = list(range(-MOST_SHIFT, MOST_SHIFT + 1))
    scores = np.stack([_agreement(features, tables, slice(begin, end), shift) for shift in states], 1)
    path = _viterbi(scores)
    found = []
    edges = np.flatnonzero(np.diff(path)) + 1
    for first, last in zip([0, *edges.tolist()], [*edges.tolist(), len(path)], strict=True):
        state = int(path[first])
        won = float((scores[first:last, state] - scores[first:last, MOST_SHIFT]).sum())
        if state != MOST_SHIFT and last - first >= FEWEST and won >= CLEAR:
            found.append((begin + first, begin + last, state - MOST_SHIFT))
    return found


def _viterbi(scores: Numbers) -> NDArray[np.int64]:
    """The path of most nats through (lines, states), a change of state costing CHANGE; it begins and ends in step."""
    lines, states = scores.shape
    home = states // 2
    best = np.full(states, -CHANGE)
    best[home] = 0.0
    came = np.empty((lines, states), np.uint8)
    for line in range(lines):
        top = int(best.argmax())
        changed = best[top] - CHANGE > best
        came[line] = np.where(changed, top, np.arange(states))
        best = np.where(changed, best[top] - CHANGE, best) + scores[line]
    best -= CHANGE
    best[home] += CHANGE
    path = np.empty(lines, np.int64)
    path[-1] = best.argmax()
    for line in range(lines - 1, 0, -1):
        path[line - 1] = came[line, path[line]]
    return path
