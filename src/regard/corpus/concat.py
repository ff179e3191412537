"""Several corpora as one."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from regard.corpus.corpus import Aside, Corpus, Pair


@dataclass(frozen=True)
class Origins:
    """What lines that go on from one corpus to the next are of: names, and how many lines there are before each."""

    names: tuple[str, ...] = ("the training corpus",)
    starts: tuple[int, ...] = (0,)

    def place(self, line: int) -> tuple[str, int]:
        """The name of the corpus that a line is of, and its number there."""
        number = bisect_left(self.starts, line) - 1
        return self.names[number], line - self.starts[number]


class Together:
    """Corpora one behind another, whose line numbers go on from one to the next.

    starts: how many lines there are before each one, as far as the last iteration has come.
    sizes: how many pairs each one has, of those that it has come to the end of.
    """

    def __init__(self, corpora: Sequence[Corpus]) -> None:
        self.corpora = corpora
        self.starts: list[int] = []
        self.sizes: list[int] = []

    @property
    def name(self) -> str:
        """Those of all."""
        return " + ".join(corpus.name for corpus in self.corpora)

    @property
    def names(self) -> tuple[str, ...]:
        """What each is called in messages: its name, and which of the corpora it is where others have the same."""
        names = [corpus.name for corpus in self.corpora]
        common = Counter(names)
        return tuple(
            f"{name} (corpus {number})" if common[name] > 1 else name for number, name in enumerate(names, start=1)
        )

    @property
    def aside(self) -> Aside:
        """What the last iteration left aside of each."""
        begun = zip(self.names, self.corpora[: len(self.starts)], strict=False)
        tables = ((name, corpus.aside.table()) for name, corpus in begun)
        return Aside({f"{name}: {reason}": kept for name, table in tables for reason, kept in table.items()})

    def __iter__(self) -> Iterator[Pair]:
        self.starts, self.sizes = [], []
        before = 0
        for corpus in self.corpora:
            self.starts.append(before)
            last = size = 0
            for pair in corpus:
                last, size = pair.line, size + 1
                yield replace(pair, line=before + last)
            self.sizes.append(size)
            before += last

    def place(self, line: int) -> tuple[str, int]:
        """The name of the corpus that a line is of, and its number there."""
        return Origins(self.names, tuple(self.starts)).place(line)
