"""Targets that are their source, untranslated."""

from __future__ import annotations

from collections.abc import Iterator

from regard.corpus_checks.base import StatelessCheck
from regard.corpus_checks.findings import Fault, FaultKind
from regard.corpus_checks.reading import Batch

FEWEST_WORDS = 4  # with letters; a shorter text may be a name, a number or an interjection of both languages
FEWEST_LETTERS = 12
NEARLY = 0.8  # of the words of both, for a text with a changed word or two
FEWEST_NEARLY = 6


class UntranslatedCheck(StatelessCheck):
    """Same words in the same order, or nearly all the same words; texts of fewer than FEWEST_WORDS are let be."""

    def find_faults(self, batch: Batch) -> Iterator[Fault]:
        """See Kind.COPY."""
        for place, (source, target) in enumerate(zip(batch.source_words, batch.target_words, strict=True)):
            if source == target:
                if _long_enough(source):
                    yield Fault(place, FaultKind.COPY, "the same words")
            elif min(len(source), len(target)) >= FEWEST_NEARLY:
                one, other = set(_lettered(source)), set(_lettered(target))
                common = len(one & other)
                if common >= FEWEST_NEARLY and common >= NEARLY * len(one | other):
                    yield Fault(place, FaultKind.COPY, f"{common} of {len(one | other)} different words are the same")


def _lettered(words: list[str]) -> list[str]:
    return [word for word in words if not word.isdecimal()]


def _long_enough(words: list[str]) -> bool:
    lettered = _lettered(words)
    return len(lettered) >= FEWEST_WORDS and sum(map(len, lettered)) >= FEWEST_LETTERS
