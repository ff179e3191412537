"""Several corpora as one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace

from regard.corpus.corpus import Corpus, LineOrigins, Pair, SkipReport


class ConcatCorpus:
    """Corpora one after another; line numbers continue from one to the next."""

    def __init__(self, parts: Sequence[Corpus]) -> None:
        self.parts = parts
        self._starts: list[int] = []
        self._sizes: list[int] = []

    @property
    def name(self) -> str:
        """The names of all parts."""
        return " + ".join(part.name for part in self.parts)

    @property
    def origins(self) -> LineOrigins:
        """The parts that the last iteration has reached; parts of the same name are numbered."""
        names = [part.name for part in self.parts]
        counts = Counter(names)
        unique = (
            f"{name} (corpus {number})" if counts[name] > 1 else name for number, name in enumerate(names, start=1)
        )
        return LineOrigins(tuple(unique), tuple(self._starts), tuple(self._sizes))

    @property
    def skipped(self) -> SkipReport:
        """What the last iteration skipped, each reason with the name of its part."""
        reached = zip(self.origins.names, self.parts[: len(self._starts)], strict=False)
        tables = ((name, part.skipped.table()) for name, part in reached)
        return SkipReport({f"{name}: {reason}": entry for name, table in tables for reason, entry in table.items()})

    def check(self) -> None:
        """Check every part."""
        for part in self.parts:
            part.check()

    def __iter__(self) -> Iterator[Pair]:
        self._starts, self._sizes = [], []
        start = 0
        for part in self.parts:
            self._starts.append(start)
            last_line = size = 0
            for pair in part:
                last_line, size = pair.line, size + 1
                yield replace(pair, line=start + last_line)
            self._sizes.append(size)
            start += last_line
