"""Pairs whose numbers, addresses, currencies or units are not the same on both sides."""

from __future__ import annotations

from collections.abc import Iterator

from regard.corpus_checks.base import StatelessCheck
from regard.corpus_checks.findings import Fault, FaultKind
from regard.corpus_checks.languages import LanguageCheck
from regard.corpus_checks.reading import Batch
from regard.text.numbers import find_differences

MAX_SHOWN = 3  # differences in the note of a fault


class NumbersCheck(StatelessCheck):
    """Finds numbers and addresses that only one side has, in the languages that another check has found."""

    def __init__(self, languages: LanguageCheck) -> None:
        self._languages = languages

    def find_faults(self, batch: Batch) -> Iterator[Fault]:
        """Yield faults of FaultKind.NUMBERS."""
        source_language, target_language = self._languages.expected
        for index, (source, target) in enumerate(zip(batch.sources, batch.targets, strict=True)):
            if differences := find_differences(source, target, (source_language, target_language)):
                more = f"; and {len(differences) - MAX_SHOWN} more" if len(differences) > MAX_SHOWN else ""
                yield Fault(index, FaultKind.NUMBERS, "; ".join(map(str, differences[:MAX_SHOWN])) + more)
