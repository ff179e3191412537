"""One pass over the training corpus, shared by the automatic recipe and the choice of a dev set."""

from __future__ import annotations

import hashlib
import os
import re
from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from regard.config.data import column_names
from regard.config.recipe import resolve_data_paths
from regard.config.schema import DATA_PATHS, DataConfig
from regard.corpus.corpus import Pair
from regard.corpus.paths import open_corpora
from regard.corpus.source_columns import SEPARATOR
from regard.runs.column_scan import ColumnScan, ColumnStatistics

SAMPLED_PAIRS = 200_000  # the statistics of text are those of the first pairs; all pairs are counted
PAIRS_COMPARED = 20_000  # the first pairs whose sides are compared
REACHED = 0.999  # the share of pairs that limits of length should allow
WORD = re.compile(r"\w+")
# Keys of [data] that do not change which training pairs there are.
UNRELATED = {"max_length": 256, "held_out": 0, "temperature": 1.0, "streaming": False}

FileStates = tuple[tuple[str, int, int], ...]  # path, size in bytes, time of the last change in nanoseconds


@dataclass(frozen=True)
class CorpusScan:
    """What one pass over a training corpus has counted.

    Attributes:
        pairs: The number of pairs.
        mean_words: Mean whitespace-separated words of the longer side of a pair, over the first pairs.
        mean_characters: Mean characters of the longer side, over the first pairs.
        alphabet_size: Distinct characters of both sides, in the first pairs.
        distinct_words: Distinct words of both sides, in the first pairs.
        columns: The columns of the source, if there are several. The other statistics are then those of the target
            and of the columns that are no lists, and the means are those of the target.
        words_in_source: Share of the words of targets that also occur in their source, over the first pairs. A word is
            a run of letters and digits here, so that programs have words.
        characters_in_source: Share of the characters of targets, without spaces, that also occur in their source.
        rare_words: Distinct words that occur in one of the first pairs only.
        excess_words: Words that 99.9 % of the targets have at most beyond twice those of their source, over the first
            pairs; 0 if the source has several columns.
        excess_characters: The same in characters.
        long_words: Words that the longer side of 99.9 % of the first pairs has at most.
        long_characters: The same in characters.
        source_digests: A 64-bit digest of each source, (pairs,); empty if the recipe has a dev set.
    """

    pairs: int
    mean_words: float
    mean_characters: float
    alphabet_size: int
    distinct_words: int
    source_digests: NDArray[np.uint64] = field(repr=False)
    columns: tuple[ColumnScan, ...] = ()
    words_in_source: float = 0.0
    characters_in_source: float = 0.0
    rare_words: int = 0
    excess_words: int = 0
    excess_characters: int = 0
    long_words: int = 0
    long_characters: int = 0


def scan_corpus(data: DataConfig, seed: int) -> CorpusScan:
    """Scan the training corpus of a [data] section.

    The last scan is remembered until `forget_scan`, and returned again while the files are unchanged.

    Args:
        data: Where the corpus is.
        seed: Seed of a built-in corpus.

    Raises:
        DataError: The corpus cannot be read.
    """
    data = resolve_data_paths(data).model_copy(update=UNRELATED)
    return _scan(data, seed, file_states(data))


def forget_scan() -> None:
    """Free the memory of the last scan."""
    _scan.cache_clear()


@lru_cache(maxsize=1)
def _scan(data: DataConfig, seed: int, _: FileStates) -> CorpusScan:
    corpus, dev = open_corpora(data, seed)
    has_columns = any(len(column_names(section.source_column)) > 1 for section in (data, *data.corpora))
    statistics, digests = _TextStatistics(has_columns=has_columns), bytearray()
    count = 0
    for pair in statistics.observe(iter(corpus)):
        count += 1
        if dev is None:
            digests += hashlib.blake2b(pair.source.encode(), digest_size=8).digest()
    columns = statistics.finish_columns()
    return CorpusScan(
        pairs=count,
        mean_words=statistics.words / max(1, statistics.pairs),
        mean_characters=statistics.characters / max(1, statistics.pairs),
        alphabet_size=len(statistics.alphabet),
        distinct_words=len(statistics.distinct_words),
        source_digests=np.frombuffer(digests, np.uint64),
        columns=columns,
        words_in_source=statistics.words_in_source.share,
        characters_in_source=statistics.characters_in_source.share,
        rare_words=len(statistics.distinct_words) - len(statistics.repeated_words),
        excess_words=_quantile(statistics.excess_words),
        excess_characters=_quantile(statistics.excess_characters),
        long_words=_quantile(statistics.longest_words),
        long_characters=_quantile(statistics.longest_characters),
    )


def _quantile(counts: Counter[int]) -> int:
    """Return the least number that REACHED of the counted numbers do not exceed."""
    seen = 0
    for number in sorted(counts):
        seen += counts[number]
        if seen >= REACHED * counts.total():
            return number
    return 0


@dataclass
class _InSource:
    """How many units of targets occur in their source."""

    shared: int = 0
    units: int = 0

    def add(self, source: Collection[str], target: Collection[str]) -> None:
        self.shared += sum(unit in source for unit in target)
        self.units += len(target)

    @property
    def share(self) -> float:
        return self.shared / max(1, self.units)


class _TextStatistics:
    """Sums over the first SAMPLED_PAIRS pairs of a corpus."""

    def __init__(self, *, has_columns: bool) -> None:
        self.has_columns = has_columns
        self.columns: list[ColumnStatistics] = []
        self.pairs = self.words = self.characters = 0
        self.alphabet: set[str] = set()
        self.distinct_words: set[str] = set()
        self.repeated_words: set[str] = set()  # those of several pairs
        self.excess_words: Counter[int] = Counter()  # targets by words beyond twice those of their source
        self.excess_characters: Counter[int] = Counter()
        self.longest_words: Counter[int] = Counter()  # pairs by words of their longer side
        self.longest_characters: Counter[int] = Counter()
        self.words_in_source = _InSource()
        self.characters_in_source = _InSource()

    def observe(self, pairs: Iterator[Pair]) -> Iterator[Pair]:
        """Yield all pairs; add the first ones to the sums."""
        for pair in pairs:
            if self.pairs < SAMPLED_PAIRS:
                self._add(pair)
            yield pair

    def _add(self, pair: Pair) -> None:
        columns = pair.source.split(SEPARATOR) if self.has_columns else []
        if len(columns) > 1:
            self.columns += (ColumnStatistics() for _ in range(len(columns) - len(self.columns)))
            for statistics, text in zip(self.columns, columns, strict=False):
                statistics.add(text)
        source_text = "" if len(columns) > 1 else pair.source
        source, target = source_text.split(), pair.target.split()
        self.pairs += 1
        num_words, num_characters = max(len(source), len(target)), max(len(source_text), len(pair.target))
        self.words += num_words
        self.characters += num_characters
        self.longest_words[num_words] += 1
        self.longest_characters[num_characters] += 1
        self.alphabet.update(source_text, pair.target)
        words = {*source, *target}
        self.repeated_words |= words & self.distinct_words
        self.distinct_words |= words
        if len(columns) <= 1:
            self.excess_words[max(0, len(target) - 2 * len(source))] += 1
            self.excess_characters[max(0, len(pair.target) - 2 * len(source_text))] += 1
        if self.pairs <= PAIRS_COMPARED:
            self.words_in_source.add(set(WORD.findall(pair.source)), WORD.findall(pair.target))
            self.characters_in_source.add(set(pair.source), "".join(target))

    def finish_columns(self) -> tuple[ColumnScan, ...]:
        """Return what the columns of the source are; add the characters and words of those that are no lists."""
        scans = tuple(statistics.scan() for statistics in self.columns)
        for statistics, scan in zip(self.columns, scans, strict=True):
            if not scan.delimiter:
                self.alphabet |= statistics.alphabet
                self.distinct_words |= statistics.distinct_words
        return scans


def file_states(data: DataConfig) -> FileStates:
    """Return path, size and modification time of each existing file of [data] and its corpora."""
    sections = (data, *data.corpora)
    paths = [path for section in sections for key in DATA_PATHS if (path := getattr(section, key)) is not None]
    return tuple((path, stat.st_size, stat.st_mtime_ns) for path in paths if (stat := _stat(Path(path))))


def _stat(path: Path) -> os.stat_result | None:
    with suppress(OSError):
        return path.stat()
    return None  # reading the file raises the error
