"""A corpus: pairs of a source and its target, where each line comes from, and a report of what was skipped."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True)
class Pair:
    """A source, its target, and their line number (from 1)."""

    source: str
    target: str
    line: int


@dataclass(frozen=True)
class Skipped:
    """What a reader skips: the line number, and the reason, which completes `3 pairs skipped: ...`."""

    reason: str
    line: int


class SkipReport:
    """Counts what was skipped by reason, and keeps the first line numbers of each reason."""

    SHOWN_LINES = 5

    def __init__(self, table: Mapping[str, tuple[int, Sequence[int]]] | None = None) -> None:
        """Start empty, or continue from what `table` of another report returned."""
        self._counts = {reason: count for reason, (count, _) in (table or {}).items()}
        self._lines = {reason: list(lines) for reason, (_, lines) in (table or {}).items()}

    def table(self) -> dict[str, tuple[int, list[int]]]:
        """Return the count and the first lines of each reason."""
        return {reason: (count, self._lines[reason]) for reason, count in self._counts.items()}

    def add(self, reason: str, line: int) -> None:
        """Record one skipped pair."""
        self._counts[reason] = self._counts.get(reason, 0) + 1
        lines = self._lines.setdefault(reason, [])
        if len(lines) < self.SHOWN_LINES:
            lines.append(line)

    @property
    def count(self) -> int:
        """The number of skipped pairs."""
        return sum(self._counts.values())

    @property
    def counts(self) -> Mapping[str, int]:
        """The number of skipped pairs by reason."""
        return self._counts

    def reasons(self) -> dict[str, list[int]]:
        """Return the first lines of each reason."""
        return {reason: list(lines) for reason, lines in self._lines.items()}

    def sentences(self) -> list[str]:
        """Return one sentence per reason: `3 pairs skipped: the source is blank (lines 4, 9, 12)`."""
        return [self._sentence(reason) for reason in self._counts]

    def _sentence(self, reason: str) -> str:
        count, lines = self._counts[reason], self._lines[reason]
        pairs, places = ("pair", "line") if count == 1 else ("pairs", "lines")
        shown = ", ".join(map(str, lines))
        more = f" and {count - len(lines)} more" if count > len(lines) else ""
        return f"{count} {pairs} skipped: {reason} ({places} {shown}{more})"


@dataclass(frozen=True)
class LineOrigin:
    """The name of the corpus that a line comes from, and its line number there."""

    name: str
    line: int


@dataclass(frozen=True)
class LineOrigins:
    """Maps line numbers that continue from one corpus to the next back to their corpora.

    Attributes:
        names: The name of each corpus.
        starts: The number of lines before each corpus.
        sizes: The number of pairs in each corpus that has been read to its end.
    """

    names: tuple[str, ...] = ("the training corpus",)
    starts: tuple[int, ...] = (0,)
    sizes: tuple[int, ...] = ()

    def locate(self, line: int) -> LineOrigin:
        """Return the corpus of a line, and the line number there."""
        index = bisect_left(self.starts, line) - 1
        return LineOrigin(self.names[index], line - self.starts[index])


class Corpus(Protocol):
    """Pairs that can be iterated over any number of times.

    `skipped` and `origins` describe the last iteration; they are complete once it has reached the end.
    """

    @property
    def name(self) -> str:
        """The name used in messages."""
        ...

    @property
    def skipped(self) -> SkipReport:
        """What the last iteration skipped."""
        ...

    @property
    def parts(self) -> Sequence[Corpus]:
        """The corpora that this one concatenates; empty for a single corpus."""
        ...

    @property
    def origins(self) -> LineOrigins:
        """Where each line comes from, as far as the last iteration has read."""
        ...

    def check(self) -> None:
        """Raise DataError now for faults that an iteration would find only at the end."""
        ...

    def __iter__(self) -> Iterator[Pair]: ...


class SingleCorpus:
    """Base class of corpora that are not concatenations: every line is the corpus' own."""

    name: str
    parts: Sequence[Corpus] = ()

    @property
    def origins(self) -> LineOrigins:
        """The corpus itself."""
        return LineOrigins((self.name,))

    def check(self) -> None:
        """Do nothing."""


class DerivedCorpus(SingleCorpus):
    """Base class of single corpora that read the pairs of another one."""

    def __init__(self, corpus: Corpus) -> None:
        self.name = corpus.name
        self.corpus = corpus

    @property
    def skipped(self) -> SkipReport:
        """What the last iteration skipped."""
        return self.corpus.skipped

    def check(self) -> None:
        """Check the corpus."""
        self.corpus.check()


@dataclass(frozen=True)
class PairList(SingleCorpus):
    """A corpus held in memory."""

    name: str
    pairs: Sequence[Pair] = field(repr=False)
    skipped: SkipReport = field(default_factory=SkipReport, repr=False, compare=False)

    def __iter__(self) -> Iterator[Pair]:
        return iter(self.pairs)

    def __len__(self) -> int:
        return len(self.pairs)


@dataclass(frozen=True)
class BuiltinCorpora:
    """The three splits of a built-in corpus."""

    train: PairList
    dev: PairList
    test: PairList


def blank_reason(source: str, target: str) -> str:
    """Return why a pair with a blank side is skipped; empty if both sides have text."""
    if source and target:
        return ""
    return f"{'both sides are' if not source and not target else 'the target is' if source else 'the source is'} blank"


def surrogate_reason(text: str) -> str:
    """Return why a text that cannot be encoded as UTF-8 is skipped; empty for any other text.

    JSON can contain half a surrogate pair (`\\ud83d`), and Python decodes each byte of an argument that is not UTF-8
    to one.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        return "a text has half a surrogate pair, which is not a character"
    return ""
