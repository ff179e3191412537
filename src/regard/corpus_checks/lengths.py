"""Length statistics of both sides, and pairs of which one side is much too long for the other."""

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
MAX_DEVIATION = 6.0  # standard deviations from the usual log ratio
MAX_DEVIATION_TRUNCATED = 4.0  # for a text that is too short and lacks the final punctuation mark of the other side
MAX_UNFINISHED_SHARE = 0.05  # share of pairs in which only one side ends with a mark, up to which that is evidence
MIN_STANDARD_DEVIATION = 0.12  # of a log ratio
MIN_PAIRS = 50  # without which no ratio is usual
LENGTH_BINS = 20  # of pairs by length, each with its own mean and standard deviation
MIN_EXCESS = 8  # characters by which a side must be too long

_SENTENCE_ENDS = frozenset(".!?…。！？।")


@dataclass(frozen=True)
class LengthQuantiles:
    """The QUANTILES of one side: characters per text, and words per text."""

    characters: tuple[int, ...]
    words: tuple[int, ...]


class LengthRatioCheck:
    """Compares the log ratio of target to source characters with the median ratio of pairs of the same length.

    This is the length model of Gale and Church (1993), except that the standard deviation is estimated from the corpus,
    separately for each range of lengths: it is larger for short texts. Memory: 8 bytes per pair.
    """

    def __init__(self) -> None:
        self._num_unfinished = [0, 0]  # pairs in which only the other side ends with a mark
        self._characters = (array("I"), array("I"))
        self._word_counts: tuple[Counter[int], Counter[int]] = (Counter(), Counter())
        self._median = self._deviation = self._bounds = np.empty(0)

    def observe(self, batch: Batch) -> None:
        """Record the lengths of both sides."""
        for side, texts in enumerate((batch.sources, batch.targets)):
            self._characters[side].extend(map(len, texts))
            self._word_counts[side].update(len(text.split()) for text in texts)
        ends = _compare_ends(batch)
        self._num_unfinished[0] += int((ends < 0).sum())
        self._num_unfinished[1] += int((ends > 0).sum())

    def finish(self) -> None:
        """Estimate the median and the standard deviation of the log ratio for each range of lengths."""
        source, target = self.characters()
        if len(source) < MIN_PAIRS:
            return
        size, ratio = _size_and_ratio(source, target)
        self._bounds = np.unique(np.quantile(size, np.linspace(0, 1, LENGTH_BINS + 1)[1:-1]))
        bins = np.searchsorted(self._bounds, size, side="right")
        overall_median = np.median(ratio)
        medians, deviations = [], []
        for number in range(len(self._bounds) + 1):
            in_bin = ratio[bins == number]
            median = np.median(in_bin) if len(in_bin) >= MIN_PAIRS else overall_median
            medians.append(median)
            # 1.4826 times the median absolute deviation estimates the standard deviation.
            deviations.append(1.4826 * np.median(np.abs((in_bin if len(in_bin) >= MIN_PAIRS else ratio) - median)))
        self._median, self._deviation = np.array(medians), np.maximum(deviations, MIN_STANDARD_DEVIATION)

    def find_faults(self, batch: Batch) -> Iterator[Fault]:
        """Yield faults of FaultKind.RATIO."""
        if not len(self._median):
            return
        source, target = (np.array([len(text) for text in side]) for side in (batch.sources, batch.targets))
        deviation = self.deviation(source, target)
        usual = self._usual_log_ratio(source, target)
        expected = source * np.exp(usual)
        is_clear = np.abs(target - expected) / np.sqrt(np.exp(usual)) >= MIN_EXCESS
        is_rare = [count <= MAX_UNFINISHED_SHARE * len(self._characters[0]) for count in self._num_unfinished]
        ends = _compare_ends(batch)
        is_truncated = ((ends < 0) & (deviation > MAX_DEVIATION_TRUNCATED) & is_rare[0]) | (
            (ends > 0) & (deviation < -MAX_DEVIATION_TRUNCATED) & is_rare[1]
        )
        is_fault = ((np.abs(deviation) > MAX_DEVIATION) | is_truncated) & is_clear
        for index in np.flatnonzero(is_fault).tolist():
            note = f"{source[index]} and {target[index]} characters; the usual ratio is 1 to {np.exp(usual[index]):.2f}"
            if is_truncated[index]:
                note += f"; the {'source' if ends[index] < 0 else 'target'} has no final punctuation mark"
            yield Fault(index, FaultKind.RATIO, note)

    def deviation(self, source: NDArray[np.int64], target: NDArray[np.int64]) -> Numbers:
        """Return how many standard deviations the log ratios of some lengths are from the usual one.

        Args:
            source: Source lengths in characters: (n,).
            target: Target lengths in characters: (n,).

        Returns:
            (n,); zeros if there are too few pairs for a usual ratio.
        """
        if not len(self._median):
            return np.zeros(len(source))
        size, ratio = _size_and_ratio(source, target)
        bins = np.searchsorted(self._bounds, size, side="right")
        deviation: Numbers = (ratio - self._median[bins]) / self._deviation[bins]
        return deviation

    def _usual_log_ratio(self, source: NDArray[np.int64], target: NDArray[np.int64]) -> Numbers:
        size, _ = _size_and_ratio(source, target)
        usual: Numbers = self._median[np.searchsorted(self._bounds, size, side="right")]
        return usual

    def characters(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the number of characters of each source and target, in order: (pairs,) each."""
        source, target = (np.frombuffer(side, np.uint32).astype(np.int64) for side in self._characters)
        return source, target

    def quantiles(self) -> tuple[LengthQuantiles, LengthQuantiles]:
        """Return the length quantiles of source and target."""
        source, target = (
            LengthQuantiles(_quantiles(characters), _quantiles(np.fromiter(words.elements(), np.int64)))
            for characters, words in zip(self.characters(), self._word_counts, strict=True)
        )
        return source, target


def _compare_ends(batch: Batch) -> NDArray[np.int64]:
    """Return 1 where the source ends a sentence but the target ends in a letter or comma, and -1 for the reverse.

    Returns:
        (pairs,); 0 elsewhere.
    """
    is_ended, is_cut = (
        [np.array([test(text[-1]) for text in side]) for side in (batch.sources, batch.targets)]
        for test in (_SENTENCE_ENDS.__contains__, lambda last: last.isalpha() or last in ",;")
    )
    ends: NDArray[np.int64] = (is_ended[0] & is_cut[1]).astype(np.int64) - (is_ended[1] & is_cut[0])
    return ends


def _size_and_ratio(source: NDArray[np.int64], target: NDArray[np.int64]) -> tuple[Numbers, Numbers]:
    """Return the log of the geometric mean of both lengths, and the log of their ratio."""
    log_source, log_target = np.log(source + 1.0), np.log(target + 1.0)
    return (log_source + log_target) / 2, log_target - log_source


def _quantiles(numbers: NDArray[np.int64]) -> tuple[int, ...]:
    if not len(numbers):
        return (0,) * len(QUANTILES)
    return tuple(int(number) for number in np.quantile(numbers, QUANTILES, method="nearest"))
