"""How long both sides are, and pairs of which one side is far too long for the other."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from regard.corpus_checks.findings import Fault, FaultKind
from regard.corpus_checks.reading import Batch

Numbers = NDArray[np.float64]

QUANTILES = (0.0, 0.01, 0.25, 0.5, 0.75, 0.99, 1.0)
MOST_SPREADS = 6.0  # standard deviations from the usual ratio, in which a pair's may lie
MOST_UNFINISHED = 4.0  # of a text that is too short and does not end as its other side does
RARELY = 0.05  # of pairs, at most, in which only one side ends with a mark, for that to tell something
LEAST_SPREAD = 0.12  # of a log ratio
FEWEST = 50  # pairs, below which there is no usual ratio
BINS = 20  # of pairs by length, each with a spread of its own
CLEAR = 8  # characters by which a side must be too long: a word more or less is no fault

_ENDS = frozenset(".!?…。！？।")


@dataclass(frozen=True)
class LengthQuantiles:
    """Quantiles, as QUANTILES has them, of one side: characters and words a text."""

    characters: tuple[int, ...]
    words: tuple[int, ...]


class LengthRatioCheck:
    """The log of target characters by source characters, against the median and the spread of pairs as long.

    After Gale and Church (1993), but with a spread that is measured, by lengths: that of short texts is wider. Takes
    8 bytes a pair.
    """

    def __init__(self) -> None:
        self._unfinished = [0, 0]  # pairs of which only the other side ends with a mark
        self._characters = (array("I"), array("I"))
        self._words: tuple[Counter[int], Counter[int]] = (Counter(), Counter())
        self._middle = self._spread = self._bounds = np.empty(0)

    def observe(self, batch: Batch) -> None:
        """Lengths of both sides."""
        for side, texts in enumerate((batch.sources, batch.targets)):
            self._characters[side].extend(map(len, texts))
            self._words[side].update(len(text.split()) for text in texts)
        ends = _ends(batch)
        self._unfinished[0] += int((ends < 0).sum())
        self._unfinished[1] += int((ends > 0).sum())

    def finish(self) -> None:
        """What ratio is usual at each length."""
        source, target = self.characters()
        if len(source) < FEWEST:
            return
        size, ratio = _measures(source, target)
        self._bounds = np.unique(np.quantile(size, np.linspace(0, 1, BINS + 1)[1:-1]))
        of = np.searchsorted(self._bounds, size, side="right")
        whole = np.median(ratio)
        middle, spread = [], []
        for number in range(len(self._bounds) + 1):
            inside = ratio[of == number]
            typical = np.median(inside) if len(inside) >= FEWEST else whole
            middle.append(typical)
            spread.append(1.4826 * np.median(np.abs((inside if len(inside) >= FEWEST else ratio) - typical)))
        self._middle, self._spread = np.array(middle), np.maximum(spread, LEAST_SPREAD)

    def find_faults(self, batch: Batch) -> Iterator[Fault]:
        """See Kind.RATIO."""
        if not len(self._middle):
            return
        source, target = (np.array([len(text) for text in side]) for side in (batch.sources, batch.targets))
        away = self.away(source, target)
        usual = self._usual(source, target)
        expected = source * np.exp(usual)
        clear = np.abs(target - expected) / np.sqrt(np.exp(usual)) >= CLEAR
        rarely = [count <= RARELY * len(self._characters[0]) for count in self._unfinished]
        ends = _ends(batch)
        cut = ((ends < 0) & (away > MOST_UNFINISHED) & rarely[0]) | ((ends > 0) & (away < -MOST_UNFINISHED) & rarely[1])
        for place in np.flatnonzero(((np.abs(away) > MOST_SPREADS) | cut) & clear).tolist():
            note = f"{source[place]} and {target[place]} characters; usual is 1 to {np.exp(usual[place]):.2f}"
            if cut[place]:
                note += f"; the {'source' if ends[place] < 0 else 'target'} has no mark at its end"
            yield Fault(place, FaultKind.RATIO, note)

    def away(self, source: NDArray[np.int64], target: NDArray[np.int64]) -> Numbers:
        """How many spreads the log ratios of some lengths lie from the usual: (n,); zeros where none is known."""
        if not len(self._middle):
            return np.zeros(len(source))
        size, ratio = _measures(source, target)
        of = np.searchsorted(self._bounds, size, side="right")
        away: Numbers = (ratio - self._middle[of]) / self._spread[of]
        return away

    def _usual(self, source: NDArray[np.int64], target: NDArray[np.int64]) -> Numbers:
        usual: Numbers = self._middle[np.searchsorted(self._bounds, _measures(source, target)[0], side="right")]
        return usual

    def characters(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Of both sides, in their order: (pairs,) each."""
        source, target = (np.frombuffer(side, np.uint32).astype(np.int64) for side in self._characters)
        return source, target

    def sides(self) -> tuple[LengthQuantiles, LengthQuantiles]:
        """What is told of source and target."""
        source, target = (
            LengthQuantiles(_quantiles(characters), _quantiles(np.fromiter(words.elements(), np.int64)))
            for characters, words in zip(self.characters(), self._words, strict=True)
        )
        return source, target


def _ends(batch: Batch) -> NDArray[np.int64]:
    """1 where the source ends a sentence and the target with a letter or comma, -1 the other way round: (pairs,)."""
    ended, cut = (
        [np.array([test(text[-1]) for text in side]) for side in (batch.sources, batch.targets)]
        for test in (_ENDS.__contains__, lambda last: last.isalpha() or last in ",;")
    )
    ends: NDArray[np.int64] = (ended[0] & cut[1]).astype(np.int64) - (ended[1] & cut[0])
    return ends


def _measures(source: NDArray[np.int64], target: NDArray[np.int64]) -> tuple[Numbers, Numbers]:
    """Log of the geometric mean of both lengths, and of their ratio."""
    one, other = np.log(source + 1.0), np.log(target + 1.0)
    return (one + other) / 2, other - one


def _quantiles(numbers: NDArray[np.int64]) -> tuple[int, ...]:
    if not len(numbers):
        return (0,) * len(QUANTILES)
    return tuple(int(number) for number in np.quantile(numbers, QUANTILES, method="nearest"))
