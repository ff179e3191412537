"""A corpus read through twice, once to learn of it and once to judge its pairs; and what is told of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from regard.corpus.corpus import Corpus, Pair, Skipped, SkipReport, blank_reason
from regard.corpus.parallel_text import ParallelText
from regard.corpus_checks.base import Check
from regard.corpus_checks.characters import Characters
from regard.corpus_checks.duplicates import Repeats
from regard.corpus_checks.findings import Example, Fault, Findings, Kind, shortened
from regard.corpus_checks.languages import Languages
from regard.corpus_checks.leakage import Leakage
from regard.corpus_checks.lengths import Lengths, Ratios
from regard.corpus_checks.misalignment import Region, Steps
from regard.corpus_checks.reading import BATCH, Batch, batches, raw
from regard.corpus_checks.scripts import Scripts, script_name
from regard.corpus_checks.unrelated_pairs import Links
from regard.corpus_checks.untranslated import Copies
from regard.errors import DataError

Say = Callable[[str], None]

GRID = 64  # cells a side of the picture of lengths


@dataclass(frozen=True)
class Judged:
    """A pair as it lies in the file, and what is wrong with it."""

    pair: Pair
    faults: tuple[Fault, ...]

    @property
    def kinds(self) -> frozenset[Kind]:
        """Of the faults."""
        return frozenset(fault.kind for fault in self.faults)


@dataclass(frozen=True)
class Grid:
    """How many pairs have about so many characters: counts (GRID, GRID) by source and target, on log scales."""

    counts: np.ndarray[tuple[int, ...], np.dtype[np.int64]]
    longest: int  # characters, where both axes end


@dataclass(frozen=True)
class Report:
    """What is told of a corpus."""

    name: str
    pairs: int  # with text on both sides
    read: int  # pairs of the file, blank ones too
    skipped: SkipReport  # what the file has that is no pair
    findings: Findings
    lengths: tuple[Lengths, Lengths]
    scripts: tuple[tuple[str, ...], tuple[str, ...]]
    languages: tuple[str, str]  # empty: not clear, and not checked
    regions: tuple[Region, ...]
    unrelated_share: float  # of all pairs, that seem not to belong together, as the lexicon estimates it
    remarks: tuple[str, ...]
    grid: Grid


class Doctor:
    """Learns a corpus on a first reading; then judges it, as often as is wanted.

    Memory: some 140 bytes a pair, and what Links takes; no text is kept but the words of the dev and test sets.
    """

    def __init__(
        self, corpus: Corpus, held: Mapping[str, Corpus], languages: tuple[str, str], say: Say = lambda text: None
    ) -> None:
        self.corpus = corpus
        self._say = say
        self._ratios, self._scripts, self._languages = Ratios(), Scripts(), Languages(*languages)
        self._links, self._steps = Links(), Steps()
        checks: tuple[Check, ...] = (Characters(), Repeats(), Copies(), self._ratios, self._scripts, self._languages)
        leakage = (Leakage(held),) if held else ()
        self._checks: tuple[Check, ...] = (*checks, self._links, self._steps, *leakage)
        self._all = self._learn()

    def _learn(self) -> int:
        """How many pairs there are, blank ones too. Raises DataError where none has text."""
        count = 0

        def counted() -> Iterator[Pair]:
            nonlocal count
            for item in raw(self.corpus):
                if isinstance(item, Pair):
                    count += 1
                    yield item

        some = False
        for batch in batches(counted()):
            some = True
            for check in self._checks:
                check.learn(batch)
            if (batch.start // BATCH) % 50 == 49:
                self._say(f"{batch.start + len(batch):,} pairs read")
        if not some:
            raise DataError("no pair has text on both sides", where=self.corpus.name, fix="check the files")
        self._say(f"{count:,} pairs read; they are judged now")
        for check in self._checks:
            check.settle()
        return count

    def judged(self) -> Iterator[Judged | Skipped]:
        """Everything of the corpus in its order, with the faults of each pair. Raises DataError."""
        waiting: list[Pair | Skipped] = []
        whole = 0
        start = 0
        for item in raw(self.corpus):
            waiting.append(item)
            whole += isinstance(item, Pair) and bool(item.source.strip() and item.target.strip())
            if whole == BATCH:
                yield from self._judge(waiting, start)
                start += whole
                waiting, whole = [], 0
        yield from self._judge(waiting, start)

    def _judge(self, items: list[Pair | Skipped], start: int) -> Iterator[Judged | Skipped]:
        faults: dict[int, list[Fault]] = {}
        pairs = [item for item in items if isinstance(item, Pair)]
        for batch in batches(pairs):
            here = Batch(start, batch.lines, batch.sources, batch.targets)
            for check in self._checks:
                for fault in check.judge(here):
                    faults.setdefault(fault.place, []).append(fault)
        place = 0
        for item in items:
            if isinstance(item, Skipped):
                yield item
            elif why := blank_reason(item.source.strip(), item.target.strip()):
                yield Judged(item, (Fault(0, Kind.BLANK, why),))
            else:
                yield Judged(item, tuple(faults.get(place, ())))
                place += 1

    def report(self) -> Report:
        """Judge all of it, and say what was found. Raises DataError."""
        findings, aside = Findings(), SkipReport()
        read = 0
        for item in self.judged():
            if isinstance(item, Skipped):
                aside.add(item.reason, item.line)
                continue
            for fault in item.faults:
                findings.add(fault.kind, _example(item.pair, fault.note), read / self._all)
            read += 1
        return self.told(findings, aside, read)

    def told(self, findings: Findings, aside: SkipReport, read: int) -> Report:
        """A report with these findings."""
        return Report(
            name=self.corpus.name,
            pairs=len(self._ratios.characters()[0]),
            read=read,
            skipped=aside,
            findings=findings,
            lengths=self._ratios.sides(),
            scripts=(_names(self._scripts.own[0]), _names(self._scripts.own[1])),
            languages=(self._languages.own[0], self._languages.own[1]),
            regions=tuple(self._steps.regions),
            unrelated_share=self._links.share,
            remarks=tuple(self._remarks(aside)),
            grid=self._grid,
        )

    def _remarks(self, aside: SkipReport) -> Iterator[str]:
        yield from self._languages.contradictions()
        for name, own in zip(("source", "target"), self._languages.own, strict=True):
            if not own:
                yield f"the language of the {name} side is not clear: no {name} is held against it"
        if not self._links.learned:
            yield "there are too few pairs to learn which words go together: none is called unrelated"
        if aside.count and isinstance(self.corpus, ParallelText) and (wrong := self.corpus.length_mismatch()):
            yield f"{wrong.what}; what is said of pairs behind that place may be wrong"

    @cached_property
    def _grid(self) -> Grid:
        source, target = self._ratios.characters()
        longest = int(max(source.max(), target.max()))
        edges = np.linspace(0, np.log1p(longest) + 1e-9, GRID + 1)
        counts, _, _ = np.histogram2d(np.log1p(source), np.log1p(target), bins=(edges, edges))
        return Grid(counts.astype(np.int64), longest)


def _example(pair: Pair, note: str) -> Example:
    return Example(pair.line, note, shortened(pair.source), shortened(pair.target))


def _names(scripts: frozenset[str]) -> tuple[str, ...]:
    return tuple(sorted(map(script_name, scripts)))
