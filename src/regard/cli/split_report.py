"""What `regard translate` says at its end of lines that were translated in parts, or that perhaps should have been."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from regard.checkpoints.checkpoint import load_config, load_several_sentences
from regard.checkpoints.run_folder import resolve_checkpoint
from regard.inference.translation import Translation
from regard.text.segments import count_sentences, is_language

USUAL = 0.01  # of the training sources: such lines are then nothing that the model does not know


class Divided:
    """Counts such lines. Raises CheckpointError where there is no run."""

    def __init__(self, run: Path, path: Path | None, split_sentences: bool | None) -> None:
        folder = resolve_checkpoint(run)
        self._split = split_sentences
        self._is_language = is_language(load_config(folder).data.source_language)
        share = load_several_sentences(folder)
        self._is_recorded = share is not None
        self._is_usual = share is not None and share >= USUAL
        self._name = path or "standard input"
        self._in_parts: list[int] = []  # numbers of lines, the first alone is kept
        self._as_one: list[int] = []
        self._counts = {"parts": 0, "one": 0}

    def count(self, number: int, source: str, best: Translation) -> None:
        """Take note of a line's number from 1, its text and its best translation."""
        if best.parts:
            self._counts["parts"] += 1
            self._in_parts = self._in_parts or [number]
        elif self._split is None and not self._is_language and not self._is_usual and count_sentences(source, "") > 1:
            self._counts["one"] += 1
            self._as_one = self._as_one or [number]

    def tell(self) -> None:
        """Write a line to standard error for each kind of such lines; nothing where --split-sentences was given."""
        if self._in_parts and not self._split:
            why = "they have more tokens than a segment may have"
            if self._split is None:
                why = "they hold several sentences, or more tokens than a segment may have"
                why += "" if self._is_recorded else " (whether the training data do is not recorded)"
                why += "; --no-split-sentences translates a line as one"
            self._say(f"{_lines(self._counts['parts'])} translated in parts", self._in_parts[0], why)
        if self._as_one:
            why = "they seem to hold several sentences, but the run names no source language; --split-sentences divides"
            self._say(f"{_lines(self._counts['one'])} translated as one segment", self._as_one[0], f"{why} them")

    def _say(self, what: str, first: int, why: str) -> None:
        text = f"{what}, the first of them {self._name}:{first}: {why}"
        Console(stderr=True).print(text, highlight=False, markup=False, soft_wrap=True)


def _lines(count: int) -> str:
    return "1 line was" if count == 1 else f"{count:,} lines were"
