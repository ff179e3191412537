"""Read a corpus exactly as it is in its files, blank sides included, and divide it into batches for the checks."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice

import numpy as np

from regard.corpus.bilingual_file import ReaderCorpus
from regard.corpus.corpus import Corpus, Pair, Skipped
from regard.corpus.parallel_text import ParallelText
from regard.corpus_checks.surface import Codes, surface_codes

BATCH_SIZE = 4096  # pairs

_WORD = re.compile(r"[^\W_]+")
_LINE_BREAK = re.compile(r"\s*[\r\n]+\s*")
_DIGITS = str.maketrans("123456789", "000000000")


def iter_raw(corpus: Corpus) -> Iterator[Pair | Skipped]:
    """Yield every pair with its texts unchanged, including blank ones, and every entry that is not a pair.

    If two plain files have unequal numbers of lines, the lines without a counterpart are Skipped.

    Raises:
        DataError: A file cannot be read.
    """
    return corpus.read() if isinstance(corpus, ParallelText | ReaderCorpus) else iter(corpus)


@dataclass(frozen=True)
class Batch:
    """Consecutive pairs with text on both sides.

    Attributes:
        start: The number of such pairs before this batch.
        lines: The line number of each pair.
        sources: The source texts, stripped.
        targets: The target texts, stripped.
    """

    start: int
    lines: Sequence[int]
    sources: Sequence[str]
    targets: Sequence[str]

    def __len__(self) -> int:
        return len(self.lines)

    @cached_property
    def source_words(self) -> list[list[str]]:
        """The words of each source, in lower case, without punctuation."""
        return [_WORD.findall(text.casefold()) for text in self.sources]

    @cached_property
    def target_words(self) -> list[list[str]]:
        """The words of each target, in lower case, without punctuation."""
        return [_WORD.findall(text.casefold()) for text in self.targets]

    @cached_property
    def source_surface(self) -> Codes:
        """The surface features of each source: (pairs, 3)."""
        return np.array([surface_codes(text) for text in self.sources], np.uint8).reshape(-1, 3)

    @cached_property
    def target_surface(self) -> Codes:
        """The surface features of each target: (pairs, 3)."""
        return np.array([surface_codes(text) for text in self.targets], np.uint8).reshape(-1, 3)


def join_lines(text: str) -> str:
    """Return the text with line breaks replaced by a space, so that it fits on one line of a plain file."""
    return _LINE_BREAK.sub(" ", text) if "\n" in text else text


def normalize_words(words: Sequence[str]) -> str:
    """Join words with spaces, and replace every digit by 0."""
    return " ".join(words).translate(_DIGITS)


def iter_batches(pairs: Iterable[Pair]) -> Iterator[Batch]:
    """Yield batches of the pairs that have text on both sides; texts are stripped and on one line."""
    stripped = ((pair.line, join_lines(pair.source.strip()), join_lines(pair.target.strip())) for pair in pairs)
    with_text = ((line, source, target) for line, source, target in stripped if source and target)
    start = 0
    while batch := list(islice(with_text, BATCH_SIZE)):
        lines, sources, targets = zip(*batch, strict=True)
        yield Batch(start, lines, sources, targets)
        start += len(batch)
