"""What every check offers: it sees the whole corpus, makes up its mind, and then judges each pair."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from regard.corpus_checks.findings import Fault
from regard.corpus_checks.reading import Batch


class Check(Protocol):
    """The corpus goes by twice, in the same batches: `learn` is told all of it, then `settle`, then `judge`."""

    def observe(self, batch: Batch) -> None:
        """Some more of the corpus."""

    def finish(self) -> None:
        """All of it has been learned."""

    def find_faults(self, batch: Batch) -> Iterable[Fault]:
        """The faults of some pairs, at most one of a kind for a pair."""
        ...


class StatelessCheck:
    """A check that needs to know nothing of the whole corpus."""

    def observe(self, batch: Batch) -> None:
        """Nothing to learn."""

    def finish(self) -> None:
        """Nothing to settle."""
