"""A test set: source sentences, their references, and where they come from."""

from __future__ import annotations

from dataclasses import dataclass

from regard.evaluation.alignment_error import GoldAlignment


@dataclass(frozen=True)
class TestSet:
    """Sentence pairs on which systems are evaluated.

    Attributes:
        name: What the test set is, for a reader: file names, or a description.
        sources: (N,) the source sentences.
        references: (N,) their references.
        lines: (N,) line number of each pair in its files, counted from 1; empty if unknown.
        pairs_read: Pairs of the files, including those without text; 0 if unknown.
        gold: (N,) gold alignments, None for a pair that has none; None if there are no gold alignments at all.
        notes: What else the files have, as sentences.
        labels: (N,) the label of each pair, such as its domain; None if there are no labels.
    """

    name: str
    sources: tuple[str, ...]
    references: tuple[str, ...]
    lines: tuple[int, ...] = ()
    pairs_read: int = 0
    gold: tuple[GoldAlignment | None, ...] | None = None
    notes: tuple[str, ...] = ()
    labels: tuple[str, ...] | None = None

    def __len__(self) -> int:
        return len(self.sources)
