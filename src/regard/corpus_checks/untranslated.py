"""Targets that are copies of their source."""

from __future__ import annotations

from collections.abc import Iterator

from regard.corpus_checks.base import StatelessCheck
from regard.corpus_checks.findings import Fault, FaultKind
from regard.corpus_checks.reading import Batch

MIN_WORDS = 4  # with letters; a shorter text may be a name, a number or an interjection in both languages
MIN_LETTERS = 12
MIN_SIMILARITY = 0.8  # Jaccard similarity of the words, for copies with a changed word or two
MIN_COMMON_WORDS = 6  # of such a copy


class UntranslatedCheck(StatelessCheck):
    """Finds targets with the same words as the source, or nearly all of them. Short texts are skipped."""

    def find_faults(self, batch: Batch) -> Iterator[Fault]:
        """Yield faults of FaultKind.COPY."""
        for index, (source, target) in enumerate(zip(batch.source_words, batch.target_words, strict=True)):
            if source == target:
                if _is_long_enough(source):
                    yield Fault(index, FaultKind.COPY, "the same words")
            elif min(len(source), len(target)) >= MIN_COMMON_WORDS:
                source_set, target_set = set(_without_numbers(source)), set(_without_numbers(target))
                common, total = len(source_set & target_set), len(source_set | target_set)
                if common >= MIN_COMMON_WORDS and common >= MIN_SIMILARITY * total:
                    yield Fault(index, FaultKind.COPY, f"{common} of {total} distinct words are the same")


def _without_numbers(words: list[str]) -> list[str]:
    return [word for word in words if not word.isdecimal()]


def _is_long_enough(words: list[str]) -> bool:
    words = _without_numbers(words)
    return len(words) >= MIN_WORDS and sum(map(len, words)) >= MIN_LETTERS
