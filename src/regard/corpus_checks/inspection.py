"""Check a corpus in two passes: one to learn from it, and one to find the faults of each pair."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from regard.corpus.corpus import Corpus, Pair, Skipped, SkipReport, blank_reason
from regard.corpus.parallel_text import ParallelText
from regard.corpus_checks.base import Check
from regard.corpus_checks.characters import CharacterCheck
from regard.corpus_checks.duplicates import DuplicateCheck
from regard.corpus_checks.findings import Example, Fault, FaultKind, Findings, shorten
from regard.corpus_checks.languages import LanguageCheck
from regard.corpus_checks.leakage import LeakageCheck
from regard.corpus_checks.lengths import LengthQuantiles, LengthRatioCheck
from regard.corpus_checks.misalignment import MisalignmentCheck, Region
from regard.corpus_checks.numbers import NumbersCheck
from regard.corpus_checks.reading import BATCH_SIZE, Batch, iter_batches, iter_raw
from regard.corpus_checks.scripts import ScriptCheck, script_name
from regard.corpus_checks.unrelated_pairs import UnrelatedPairCheck
from regard.corpus_checks.untranslated import UntranslatedCheck
from regard.errors import DataError

ReportProgress = Callable[[str], None]

PROGRESS_INTERVAL = 50  # batches between two progress messages
HISTOGRAM_BINS = 64


@dataclass(frozen=True)
class CheckedPair:
    """A pair exactly as in the file, and its faults."""

    pair: Pair
    faults: tuple[Fault, ...]

    @property
    def kinds(self) -> frozenset[FaultKind]:
        """The kinds of its faults."""
        return frozenset(fault.kind for fault in self.faults)


@dataclass(frozen=True)
class LengthHistogram:
    """The number of pairs by source length and target length, in characters, on logarithmic scales.

    Attributes:
        counts: (HISTOGRAM_BINS, HISTOGRAM_BINS), indexed by source bin and target bin.
        max_length: The number of characters at which both axes end.
    """

    counts: np.ndarray[tuple[int, ...], np.dtype[np.int64]]
    max_length: int


@dataclass(frozen=True)
class CorpusReport:
    """The result of inspecting a corpus.

    Attributes:
        name: The name of the corpus.
        pairs: The number of pairs with text on both sides.
        read: The number of pairs in the file, including blank ones.
        skipped: Entries of the file that are not pairs.
        findings: The faults by kind.
        lengths: Length quantiles of source and target.
        scripts: The names of the scripts that source and target are written in.
        languages: The languages that source and target are checked against; empty if unknown, and not checked.
        regions: Misaligned regions.
        unrelated_share: The estimated share of unrelated pairs.
        remarks: Sentences about the corpus as a whole.
        length_histogram: The number of pairs by source and target length.
    """

    name: str
    pairs: int
    read: int
    skipped: SkipReport
    findings: Findings
    lengths: tuple[LengthQuantiles, LengthQuantiles]
    scripts: tuple[tuple[str, ...], tuple[str, ...]]
    languages: tuple[str, str]
    regions: tuple[Region, ...]
    unrelated_share: float
    remarks: tuple[str, ...]
    length_histogram: LengthHistogram


class CorpusInspector:
    """Runs all checks on a corpus.

    The constructor reads the corpus once. `inspect` and `check_pairs` read it again on each call. Memory: about 140
    bytes per pair, plus that of UnrelatedPairCheck. No text is kept except the words of the dev and test sets.
    """

    def __init__(
        self,
        corpus: Corpus,
        held_out: Mapping[str, Corpus],
        languages: tuple[str, str],
        report_progress: ReportProgress = lambda text: None,
    ) -> None:
        """Read the corpus and prepare the checks.

        Args:
            corpus: The corpus to check.
            held_out: The dev and test sets by name, which the corpus must not contain.
            languages: The language codes of source and target; empty strings to detect them.
            report_progress: Called with a progress message now and then.

        Raises:
            DataError: A file cannot be read, or no pair has text on both sides.
        """
        self.corpus = corpus
        self._report_progress = report_progress
        self._lengths, self._scripts, self._languages = LengthRatioCheck(), ScriptCheck(), LanguageCheck(*languages)
        self._unrelated_pairs, self._misalignment = UnrelatedPairCheck(), MisalignmentCheck()
        self._checks: tuple[Check, ...] = (
            CharacterCheck(),
            DuplicateCheck(),
            UntranslatedCheck(),
            self._lengths,
            self._scripts,
            self._languages,
            self._unrelated_pairs,
            self._misalignment,
            NumbersCheck(self._languages),
            *([LeakageCheck(held_out)] if held_out else []),
        )
        self._num_pairs = self._observe()

    def _observe(self) -> int:
        """Let every check observe the corpus. Return the number of pairs, including blank ones."""
        num_pairs = 0

        def read_pairs() -> Iterator[Pair]:
            nonlocal num_pairs
            for item in iter_raw(self.corpus):
                if isinstance(item, Pair):
                    num_pairs += 1
                    yield item

        has_text = False
        for batch in iter_batches(read_pairs()):
            has_text = True
            for check in self._checks:
                check.observe(batch)
            if (batch.start // BATCH_SIZE) % PROGRESS_INTERVAL == PROGRESS_INTERVAL - 1:
                self._report_progress(f"{batch.start + len(batch):,} pairs read")
        if not has_text:
            raise DataError(
                "no pair has text on both sides",
                where=self.corpus.name,
                fix="check the files, and the languages or columns that you requested",
            )
        self._report_progress(f"{num_pairs:,} pairs read; checking them")
        for check in self._checks:
            check.finish()
        return num_pairs

    def check_pairs(self) -> Iterator[CheckedPair | Skipped]:
        """Yield every pair with its faults, and every entry that is not a pair, in the order of the corpus.

        Pairs that were added to the corpus after the constructor has read it are left out.

        Raises:
            DataError: A file cannot be read.
        """
        items: list[Pair | Skipped] = []
        num_texts = 0  # pairs of `items` with text on both sides
        start = num_pairs = 0
        for item in iter_raw(self.corpus):
            num_pairs += isinstance(item, Pair)
            if num_pairs > self._num_pairs:
                break
            items.append(item)
            num_texts += isinstance(item, Pair) and bool(item.source.strip() and item.target.strip())
            if num_texts == BATCH_SIZE:
                yield from self._check_items(items, start)
                start += num_texts
                items, num_texts = [], 0
        yield from self._check_items(items, start)

    def _check_items(self, items: list[Pair | Skipped], start: int) -> Iterator[CheckedPair | Skipped]:
        """Check the pairs of one batch, which `start` pairs with text precede."""
        faults: dict[int, list[Fault]] = {}
        pairs = [item for item in items if isinstance(item, Pair)]
        for batch in iter_batches(pairs):
            shifted = Batch(start, batch.lines, batch.sources, batch.targets)
            for check in self._checks:
                for fault in check.find_faults(shifted):
                    faults.setdefault(fault.index, []).append(fault)
        index = 0
        for item in items:
            if isinstance(item, Skipped):
                yield item
            elif reason := blank_reason(item.source.strip(), item.target.strip()):
                yield CheckedPair(item, (Fault(0, FaultKind.BLANK, reason),))
            else:
                yield CheckedPair(item, tuple(faults.get(index, ())))
                index += 1

    def inspect(self) -> CorpusReport:
        """Check every pair and return the report.

        Raises:
            DataError: A file cannot be read.
        """
        findings, skipped = Findings(), SkipReport()
        read = 0
        for item in self.check_pairs():
            if isinstance(item, Skipped):
                skipped.add(item.reason, item.line)
                continue
            pair = item.pair
            for fault in item.faults:
                example = Example(pair.line, fault.note, shorten(pair.source), shorten(pair.target))
                findings.add(fault.kind, example, read / self._num_pairs)
            read += 1
        source_scripts, target_scripts = self._scripts.main_scripts
        source_language, target_language = self._languages.expected
        return CorpusReport(
            name=self.corpus.name,
            pairs=len(self._lengths.characters()[0]),
            read=read,
            skipped=skipped,
            findings=findings,
            lengths=self._lengths.quantiles(),
            scripts=(_script_names(source_scripts), _script_names(target_scripts)),
            languages=(source_language, target_language),
            regions=tuple(self._misalignment.regions),
            unrelated_share=self._unrelated_pairs.share,
            remarks=tuple(self._remarks(skipped)),
            length_histogram=self._length_histogram,
        )

    def _remarks(self, skipped: SkipReport) -> Iterator[str]:
        yield from self._languages.contradictions()
        for side, language in zip(("source", "target"), self._languages.expected, strict=True):
            if not language:
                yield f"the language of the {side} side is unknown, so it is not checked"
        if not self._unrelated_pairs.has_lexicon:
            yield "there are too few pairs to learn word translations, so unrelated pairs are not detected"
        if skipped.count and isinstance(self.corpus, ParallelText) and (error := self.corpus.length_mismatch()):
            yield f"{error.message}; the findings after that line may be wrong"

    @cached_property
    def _length_histogram(self) -> LengthHistogram:
        source, target = self._lengths.characters()
        max_length = int(max(source.max(), target.max()))
        edges = np.linspace(0, np.log1p(max_length) + 1e-9, HISTOGRAM_BINS + 1)
        counts, _, _ = np.histogram2d(np.log1p(source), np.log1p(target), bins=(edges, edges))
        return LengthHistogram(counts.astype(np.int64), max_length)


def _script_names(scripts: frozenset[str]) -> tuple[str, ...]:
    return tuple(sorted(map(script_name, scripts)))
