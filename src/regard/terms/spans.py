"""Terms in the training pairs of a run: spans of source tokens and the spans of target tokens that translate them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from regard.terms.alignment import MIN_COMPOUND_PROBABILITY, Alignment

MAX_SPAN = np.iinfo(np.uint16).max

Row = tuple[int, int, int, int]


class TermSpan(NamedTuple):
    """A term: source tokens `start` to `end`, translated by target tokens `target_start` to `target_end`."""

    start: int
    end: int
    target_start: int
    target_end: int

    def overlaps(self, term: TermSpan) -> bool:
        """Return whether two terms share tokens on either side."""
        return (self.start < term.end and term.start < self.end) or (
            self.target_start < term.target_end and term.target_start < self.target_end
        )


@dataclass(frozen=True)
class TermSpans:
    """The terms of all pairs of a store.

    Attributes:
        table: (terms, 4) The spans, uint16.
        offsets: (pairs + 1,) Where the terms of each pair begin.
    """

    table: NDArray[np.uint16]
    offsets: NDArray[np.int64]

    def of(self, index: int) -> list[TermSpan]:
        """Return the terms of a pair; some overlap."""
        rows = self.table[self.offsets[index] : self.offsets[index + 1]].tolist()
        return [TermSpan(*row) for row in rows]


def find_spans(alignment: Alignment) -> TermSpans:
    """Find the terms of all pairs: linked words, two adjacent linked words, and words that share a translation."""
    source, target = alignment.source, alignment.target
    finder = _Finder(alignment)
    counts: list[int] = []
    rows: list[Row] = []
    for pair in range(len(source.units.offsets) - 1):
        first = len(rows)
        bounds = source.units.offsets[pair : pair + 2], target.units.offsets[pair : pair + 2]
        rows += finder.terms(*bounds[0].tolist(), *bounds[1].tolist())
        counts.append(len(rows) - first)
    table = np.array(rows, dtype=np.uint16).reshape(-1, 4)
    return TermSpans(table, np.append(0, np.cumsum(counts, dtype=np.int64)))


class _Finder:
    def __init__(self, alignment: Alignment) -> None:
        source, target = alignment.source, alignment.target
        self._mutual = alignment.is_mutual
        self._is_content = source.is_content, target.is_content
        self._starts = _token_starts(source.units), _token_starts(target.units)
        self._source, self._target = source, target

    def terms(self, begin: int, end: int, target_begin: int, target_end: int) -> list[Row]:
        """Return the terms of a pair, given the first and last of its units on each side."""
        links = [
            (unit - begin, int(link))
            for unit, link in enumerate(self._source.link[begin:end].tolist(), start=begin)
            if self._mutual[unit]
        ]
        if not links:
            return []
        starts = self._starts[0](begin, end), self._starts[1](target_begin, target_end)
        if max(starts[0][-1], starts[1][-1]) > MAX_SPAN:
            return []
        content = self._is_content[0][begin:end], self._is_content[1][target_begin:target_end]
        spans: list[Row] = []
        linked = dict(links)
        for unit, link in links:
            if not content[0][unit] or not content[1][link]:
                continue
            spans.append((unit, unit + 1, link, link + 1))
            spans += self._wider(begin, target_begin, unit, link, linked, content)
        source_starts, target_starts = starts
        return [(source_starts[i], source_starts[j], target_starts[k], target_starts[m]) for i, j, k, m in spans]

    def _wider(
        self,
        begin: int,
        target_begin: int,
        unit: int,
        link: int,
        linked: dict[int, int],
        content: tuple[NDArray[Any], NDArray[Any]],
    ) -> list[Row]:
        """Return terms of two words that contain a link."""
        spans: list[Row] = []
        after = unit + 1
        if after < len(content[0]) and content[0][after]:
            if linked.get(after) == link + 1 and content[1][link + 1]:
                spans.append((unit, unit + 2, link, link + 2))
            elif self._shares(self._source, begin + after, link) and after not in linked:
                spans.append((unit, unit + 2, link, link + 1))
        if (
            unit
            and content[0][unit - 1]
            and unit - 1 not in linked
            and self._shares(self._source, begin + unit - 1, link)
        ):
            spans.append((unit - 1, unit + 1, link, link + 1))
        targets = set(linked.values())
        for neighbor in (link - 1, link + 1):
            is_free = 0 <= neighbor < len(content[1]) and content[1][neighbor] and neighbor not in targets
            if is_free and self._shares(self._target, target_begin + neighbor, unit):
                spans.append((unit, unit + 1, min(link, neighbor), max(link, neighbor) + 1))
        return spans

    @staticmethod
    def _shares(side: Any, unit: int, link: int) -> bool:
        return bool(side.link[unit] == link and side.probability[unit] >= MIN_COMPOUND_PROBABILITY)


def _token_starts(units: Any) -> Any:
    """Return a function that gives the first token of each unit of a sentence, and its number of tokens."""
    bounds = np.append(units.start, units.tokens)

    def starts(begin: int, end: int) -> list[int]:
        positions: list[int] = (bounds[begin : end + 1] - bounds[begin]).tolist()
        return positions

    return starts
