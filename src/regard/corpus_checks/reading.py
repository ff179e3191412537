"""A corpus as it lies in its files, blank sides and all, in batches that every check sees."""

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
from regard.corpus_checks.surface import Codes, surface

BATCH = 4096  # pairs that are looked at together

_WORDS = re.compile(r"[^\W_]+")
_BREAK = re.compile(r"\s*[\r\n]+\s*")
_DIGITS = str.maketrans("123456789", "000000000")


def raw(corpus: Corpus) -> Iterator[Pair | Skipped]:
    """Every pair with the texts as they are, blank ones too, and what has none. Raises DataError.

    Of two plain files the one with more lines has some that are left aside.
    """
    return corpus.read() if isinstance(corpus, ParallelText | ReaderCorpus) else iter(corpus)


@dataclass(frozen=True)
class Batch:
    """Some pairs with text on both sides; `start` is how many came before them."""

    start: int
    lines: Sequence[int]
    sources: Sequence[str]  # stripped
    targets: Sequence[str]

    def __len__(self) -> int:
        return len(self.lines)

    @cached_property
    def source_words(self) -> list[list[str]]:
        """The words of each source, in small letters, without punctuation."""
        return [_WORDS.findall(text.casefold()) for text in self.sources]

    @cached_property
    def target_words(self) -> list[list[str]]:
        """The words of each target, in small letters, without punctuation."""
        return [_WORDS.findall(text.casefold()) for text in self.targets]

    @cached_property
    def source_surface(self) -> Codes:
        """The surface features of each source: (pairs, 3)."""
        return np.array([surface(text) for text in self.sources], np.uint8).reshape(-1, 3)

    @cached_property
    def target_surface(self) -> Codes:
        """The surface features of each target: (pairs, 3)."""
        return np.array([surface(text) for text in self.targets], np.uint8).reshape(-1, 3)


def one_line(text: str) -> str:
    """The text with a space for line breaks, as a line of a plain file holds it."""
    return _BREAK.sub(" ", text) if "\n" in text else text


def fold(words: Sequence[str]) -> str:
    """A text of which only the words count, with a 0 for every digit."""
    return " ".join(words).translate(_DIGITS)


def batches(pairs: Iterable[Pair]) -> Iterator[Batch]:
    """All pairs that have text on both sides, stripped; line breaks, as some formats have in a text, made spaces."""
    whole = ((pair.line, one_line(pair.source.strip()), one_line(pair.target.strip())) for pair in pairs)
    both = (each for each in whole if each[1] and each[2])
    start = 0
    while some := list(islice(both, BATCH)):
        lines, sources, targets = zip(*some, strict=True)
        yield Batch(start, lines, sources, targets)
        start += len(some)
