"""Several corpora as one."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import replace

from regard.text.corpus import Aside, Corpus, Pair


class Together:
    """Corpora one behind another, whose line numbers go on from one to the next.

    starts: how many lines there are before each one, as far as the last iteration has come.
    """

    def __init__(self, corpora: Sequence[Corpus]) -> None:
        self.corpora = corpora
        self.starts: list[int] = []

    @property
    def name(self) -> str:
        """Those of all."""
        return " + ".join(corpus.name for corpus in self.corpora)

    @property
    def aside(self) -> Aside:
        """What the last iteration left aside of each."""
        tables = ((corpus.name, corpus.aside.table()) for corpus in self.corpora[: len(self.starts)])
        return Aside({f"{name}: {reason}": kept for name, table in tables for reason, kept in table.items()})

    def __iter__(self) -> Iterator[Pair]:
        self.starts = []
        before = 0
        for corpus in self.corpora:
            self.starts.append(before)
            last = 0
            for pair in corpus:
                last = pair.line
                yield replace(pair, line=before + last)
            before += last

    def place(self, line: int) -> tuple[str, int]:
        """The name of the corpus that a line is of, and its number there."""
        number = bisect_left(self.starts, line) - 1
        return self.corpora[number].name, line - self.starts[number]
