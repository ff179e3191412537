"""Misaligned regions of a corpus: a line is missing on one side, and one on the other side further down.

Each text is represented by surface features: its length, its end, its digits and its punctuation. Which values occur
together in translations is learned from the corpus as the pointwise mutual information log P(s, t) / (P(s) P(t)). In
every region where the sum over the features is too low, the Viterbi algorithm searches the best sequence of shifts of
the target against the source.
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

MAX_SHIFT = 50  # lines
WINDOW = 24  # lines over which the agreement is averaged
MARGIN = 150  # lines searched on each side of a suspect window
SHIFT_COST = 12.0  # nats, for each change of the shift
MIN_GAIN = 30.0  # nats that a region must gain by its shift
MIN_REGION = 12  # lines
MIN_PAIRS = 200
ROUNDS = 4


@dataclass(frozen=True)
class Region:
    """Source lines `begin` to `end`, whose targets are `shift` lines further down (up if negative)."""

    begin: int
    end: int
    shift: int


class MisalignmentCheck:
    """Finds misaligned regions. Memory: 20 bytes per pair.

    Attributes:
        regions: The regions found, in order.
    """

    def __init__(self) -> None:
        self._lengths = (array("I"), array("I"))
        self._codes = (bytearray(), bytearray())
        self._lines = array("I")
        self._spans: list[tuple[int, int, int]] = []  # begin, end and shift of each region, as indices of pairs
        self.regions: list[Region] = []

    def observe(self, batch: Batch) -> None:
        """Record the length and the surface features of each text."""
        sides = ((batch.sources, batch.source_surface), (batch.targets, batch.target_surface))
        for side, (texts, codes) in enumerate(sides):
            self._lengths[side].extend(map(len, texts))
            self._codes[side].extend(codes.tobytes())
        self._lines.extend(batch.lines)

    def finish(self) -> None:
        """Find the regions; repeat with tables that are learned with the known shifts corrected."""
        count = len(self._lines)
        if count < MIN_PAIRS:
            return
        features = [self._size_features(), *self._surface_features()]
        shifts = np.zeros(count, np.int64)
        for _ in range(ROUNDS):
            self._spans = _find_regions(features, shifts)
            new_shifts = np.zeros(count, np.int64)
            for begin, end, shift in self._spans:
                new_shifts[begin:end] = shift
            if (new_shifts == shifts).all():
                break
            shifts = new_shifts
        self.regions = [Region(self._lines[begin], self._lines[end - 1], shift) for begin, end, shift in self._spans]

    def find_faults(self, batch: Batch) -> Iterator[Fault]:
        """Yield faults of FaultKind.DRIFT."""
        for begin, end, shift in self._spans:
            direction = "down" if shift > 0 else "up"
            note = f"its target seems to be {abs(shift)} line{'s' * (abs(shift) > 1)} further {direction}"
            for index in range(max(begin, batch.start), min(end, batch.start + len(batch))):
                yield Fault(index - batch.start, FaultKind.DRIFT, note)

    def _size_features(self) -> tuple[Codes, Codes]:
        sides = []
        for lengths in self._lengths:
            numbers = np.frombuffer(lengths, np.uint32)
            sides.append(size_codes(numbers, size_bounds(numbers)))
        return sides[0], sides[1]

    def _surface_features(self) -> Iterator[tuple[Codes, Codes]]:
        source, target = (np.frombuffer(bytes(codes), np.uint8).reshape(-1, 3) for codes in self._codes)
        return ((source[:, number], target[:, number]) for number in range(source.shape[1]))


def _find_regions(features: Sequence[tuple[Codes, Codes]], shifts: NDArray[np.int64]) -> list[tuple[int, int, int]]:
    """Return [begin, end) and shift of each misaligned region, with tables learned under `shifts`."""
    count = len(shifts)
    targets = (np.arange(count) + shifts).clip(0, count - 1)
    tables = [association(source, target[targets]) for source, target in features]
    aligned = _agreement(features, tables, slice(0, count), 0)
    # Unrelated pairs: the targets are shifted by half of the corpus, which no misalignment does.
    unrelated = _agreement([(s, np.roll(t, count // 2)) for s, t in features], tables, slice(0, count), 0)
    threshold = (max(float(np.median(aligned)), float(aligned.mean())) + float(unrelated.mean())) / 2
    moving_sum = np.convolve(aligned - threshold, np.ones(WINDOW), mode="same")
    regions = []
    for begin, end in _merge_windows(np.flatnonzero(moving_sum < 0), count):
        regions.extend(_find_shifts(features, tables, begin, end))
    return regions


def _agreement(features: Sequence[tuple[Codes, Codes]], tables: Sequence[Numbers], lines: slice, shift: int) -> Numbers:
    """Return how well the sources of some lines agree with the targets `shift` lines down, in nats: (lines,)."""
    count = len(features[0][0])
    targets = np.arange(lines.start, lines.stop) + shift
    total = np.zeros(len(targets))
    for (source, target), table in zip(features, tables, strict=True):
        total += table[source[lines], target[targets.clip(0, count - 1)]]
    total[(targets < 0) | (targets >= count)] = -CAP
    return total


def _merge_windows(suspect: NDArray[np.int64], count: int) -> Iterator[tuple[int, int]]:
    """Yield [begin, end) of the stretches around suspect lines, each with its margins."""
    if not len(suspect):
        return
    breaks = np.flatnonzero(np.diff(suspect) > 2 * MARGIN)
    begins = suspect[np.append(0, breaks + 1)].tolist()
    ends = suspect[np.append(breaks, len(suspect) - 1)].tolist()
    for begin, end in zip(begins, ends, strict=True):
        yield max(0, begin - MARGIN), min(count, end + 1 + MARGIN)


def _find_shifts(
    features: Sequence[tuple[Codes, Codes]], tables: Sequence[Numbers], begin: int, end: int
) -> list[tuple[int, int, int]]:
    """Find the best path through lines [begin, end) with shifts as states; return the parts that gain MIN_GAIN."""
    shifts = list(range(-MAX_SHIFT, MAX_SHIFT + 1))
    scores = np.stack([_agreement(features, tables, slice(begin, end), shift) for shift in shifts], 1)
    path = _viterbi(scores)
    regions = []
    changes = np.flatnonzero(np.diff(path)) + 1
    for first, last in zip([0, *changes.tolist()], [*changes.tolist(), len(path)], strict=True):
        state = int(path[first])
        gain = float((scores[first:last, state] - scores[first:last, MAX_SHIFT]).sum())
        if state != MAX_SHIFT and last - first >= MIN_REGION and gain >= MIN_GAIN:
            regions.append((begin + first, begin + last, state - MAX_SHIFT))
    return regions


def _viterbi(scores: Numbers) -> NDArray[np.int64]:
    """Return the path with the highest score, where each change of state costs SHIFT_COST.

    Args:
        scores: (lines, states), in nats. The middle state is shift 0, in which the path starts and ends; any other
            state there costs a change.

    Returns:
        The state of each line: (lines,).
    """
    lines, states = scores.shape
    middle = states // 2
    best = np.full(states, -SHIFT_COST)
    best[middle] = 0.0
    previous = np.empty((lines, states), np.uint8)
    for line in range(lines):
        top = int(best.argmax())
        is_changed = best[top] - SHIFT_COST > best
        previous[line] = np.where(is_changed, top, np.arange(states))
        best = np.where(is_changed, best[top] - SHIFT_COST, best) + scores[line]
    best -= SHIFT_COST
    best[middle] += SHIFT_COST
    path = np.empty(lines, np.int64)
    path[-1] = best.argmax()
    for line in range(lines - 1, 0, -1):
        path[line - 1] = previous[line, path[line]]
    return path
