"""Skip encoded pairs that are too long or have no target, and report their lines."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from regard.console import Say
from regard.corpus.corpus import Corpus, LineOrigins, SkipReport
from regard.data.store_writer import Chunk
from regard.errors import DataError

EMPTY_TARGET = "the target has no token"


class LengthFilter:
    """Keeps the pairs of a corpus that training can use, and counts the others.

    Attributes:
        report: The skipped pairs.
    """

    def __init__(self, corpus: Corpus, max_length: int, report: SkipReport | None = None) -> None:
        """Start with an empty report, or continue one.

        Args:
            corpus: The corpus that the pairs come from.
            max_length: Maximum tokens of either side.
            report: The report to continue.
        """
        self.report = report or SkipReport()
        self._corpus = corpus
        self._max_length = max_length

    def keeps(self, source_length: int, target_length: int, line: int) -> bool:
        """Return whether a pair is kept; if it is not, add it to the report."""
        if max(source_length, target_length) > self._max_length:
            self._skip(self._too_long, line, self._corpus.origins)
        elif not target_length:
            self._skip(EMPTY_TARGET, line, self._corpus.origins)
        else:
            return True
        return False

    def filter(self, chunk: Chunk, origins: LineOrigins | None = None, *, new: int | None = None) -> Chunk:
        """Return the pairs of a chunk that are kept.

        Args:
            chunk: P pairs.
            origins: Where the lines come from; by default, as the corpus says while it is read.
            new: Report only skipped pairs among the first `new`; the others were reported before.
        """
        origins = origins or self._corpus.origins
        too_long = np.maximum(chunk.source_lengths, chunk.target_lengths) > self._max_length  # (P,)
        empty = ~too_long & (chunk.target_lengths == 0)  # (P,)
        for reason, skipped in ((self._too_long, too_long), (EMPTY_TARGET, empty)):
            for line in chunk.lines[:new][skipped[:new]].tolist():
                self._skip(reason, line, origins)
        return chunk.where(~too_long & ~empty)

    def require_any(self, pairs: int) -> None:
        """Raise DataError if no pair was kept."""
        if not pairs:
            raise DataError(
                f"every pair is longer than {self._max_length} tokens",
                where=self._corpus.name,
                fix="raise data.max_length",
            )

    @property
    def _too_long(self) -> str:
        return f"longer than data.max_length, {self._max_length} tokens,"

    def _skip(self, reason: str, line: int, origins: LineOrigins) -> None:
        origin = origins.locate(line)
        self.report.add(f"{origin.name}: {reason}" if self._corpus.parts else reason, origin.line)


def print_skipped(name: str, reports: Iterable[SkipReport], say: Say) -> None:
    """Print the sentences of reports, each after the name of the corpus."""
    for report in reports:
        for sentence in report.sentences():
            say(f"{name}: {sentence}")
