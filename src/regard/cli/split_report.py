"""What `regard translate` reports about lines of several sentences."""

from __future__ import annotations

from pathlib import Path

from regard.checkpoints.checkpoint import load_config, load_several_sentences
from regard.checkpoints.run_folder import resolve_checkpoint
from regard.console import say
from regard.text.segments import count_sentences, is_language

COMMON_SHARE = 0.01  # of the training sources: the model then knows lines of several sentences


class SplitReport:
    """Counts lines that were translated in parts, and lines of several sentences that were not."""

    def __init__(self, run: Path, path: Path | None, split_sentences: bool | None) -> None:
        """Read what the run knows about sentences.

        Args:
            run: The folder of the run.
            path: The input file; standard input if None.
            split_sentences: What the user has chosen; None if nothing.

        Raises:
            CheckpointError: The folder holds no run.
        """
        folder = resolve_checkpoint(run)
        self._split_sentences = split_sentences
        share = load_several_sentences(folder)
        self._is_recorded = share is not None
        is_common = share is not None and share >= COMMON_SHARE
        has_language = is_language(load_config(folder).data.source_language)
        self._warns_of_sentences = split_sentences is None and not has_language and not is_common
        self._name = path or "standard input"
        self._in_parts = _Lines()
        self._as_one = _Lines()

    def count(self, number: int, source: str, *, is_divided: bool) -> None:
        """Count a line: its number from 1, its text, and whether it was translated in several segments."""
        if is_divided:
            self._in_parts.add(number)
        elif self._warns_of_sentences and count_sentences(source, "") > 1:
            self._as_one.add(number)

    def print(self) -> None:
        """Print a line for each kind; nothing about the kind that the user has asked for."""
        if self._in_parts.total and not self._split_sentences:
            why = "more tokens than a segment can have"
            if self._split_sentences is None:
                why = "several sentences, or more tokens than a segment can have"
                why += "" if self._is_recorded else " (the run does not record whether its training data do)"
                why += "; --no-split-sentences translates a line as one segment"
            self._say("translated in parts", self._in_parts, why)
        if self._as_one.total:
            why = "several sentences, it seems, but the source language of the run is unknown; "
            self._say("translated as one segment", self._as_one, f"{why}--split-sentences translates each sentence")

    def _say(self, event: str, lines: _Lines, why: str) -> None:
        place = f"{self._name}:{lines.first}"
        lines_were = f"1 line was {event}, {place}"
        if lines.total > 1:
            lines_were = f"{lines.total:,} lines were {event}, the first of them {place}"
        say(f"{lines_were}: {why}")


class _Lines:
    """How many lines there are, and the number of the first."""

    def __init__(self) -> None:
        self.total = 0
        self.first = 0

    def add(self, number: int) -> None:
        self.total += 1
        self.first = self.first or number
