"""The interface of a check: observe the whole corpus, finish learning from it, then find the faults of each pair."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from regard.corpus_checks.findings import Fault
from regard.corpus_checks.reading import Batch


class Check(Protocol):
    """Finds one or more kinds of fault.

    The corpus is read twice, in the same batches: `observe` receives every batch, `finish` is called once, and then
    `find_faults` receives every batch again.
    """

    def observe(self, batch: Batch) -> None:
        """Learn from a batch of the corpus."""

    def finish(self) -> None:
        """Finish learning; the whole corpus has been observed."""

    def find_faults(self, batch: Batch) -> Iterable[Fault]:
        """Yield the faults of the pairs of a batch, at most one of each kind per pair."""
        ...


class StatelessCheck:
    """Base class of checks that need no knowledge of the whole corpus."""

    def observe(self, batch: Batch) -> None:
        """Do nothing."""

    def finish(self) -> None:
        """Do nothing."""
