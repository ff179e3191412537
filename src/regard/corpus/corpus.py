"""A corpus: pairs of a source and its target, and an account of what was left aside."""

from array import array
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from regard.corpus.drift import find_drift
from regard.corpus.formats.plain import read_lines
from regard.errors import DataError


@dataclass(frozen=True)
class Pair:
    """A source, its target, and the line (from 1) on which they stand."""

    source: str
    target: str
    line: int


@dataclass(frozen=True)
class Left:
    """What a reader leaves aside: why, as an end of `3 pairs left aside: ...`, and the line on which it stands."""

    reason: str
    line: int


class Aside:
    """Counts what was left aside, and why; the first five lines of each reason are kept."""

    KEPT = 5

    def __init__(self, table: Mapping[str, tuple[int, Sequence[int]]] | None = None) -> None:
        """`table`: what another one's `table` gave, to go on from it."""
        self._counts = {reason: count for reason, (count, _) in (table or {}).items()}
        self._lines = {reason: list(lines) for reason, (_, lines) in (table or {}).items()}

    def table(self) -> dict[str, tuple[int, list[int]]]:
        """The count and the kept lines of each reason."""
        return {reason: (count, self._lines[reason]) for reason, count in self._counts.items()}

    def add(self, reason: str, line: int) -> None:
        """One more pair left aside."""
        self._counts[reason] = self._counts.get(reason, 0) + 1
        lines = self._lines.setdefault(reason, [])
        if len(lines) < self.KEPT:
            lines.append(line)

    @property
    def count(self) -> int:
        """How many pairs in all."""
        return sum(self._counts.values())

    def reasons(self) -> dict[str, list[int]]:
        """The first lines of each reason."""
        return {reason: list(lines) for reason, lines in self._lines.items()}

    def report(self) -> list[str]:
        """A sentence a reason: `3 pairs left aside: the source is blank (lines 4, 9, 12)`."""
        return [self._sentence(reason) for reason in self._counts]

    def _sentence(self, reason: str) -> str:
        count, lines = self._counts[reason], self._lines[reason]
        noun, place = ("pair", "line") if count == 1 else ("pairs", "lines")
        shown = ", ".join(map(str, lines))
        more = f" and {count - len(lines)} more" if count > len(lines) else ""
        return f"{count} {noun} left aside: {reason} ({place} {shown}{more})"


class Corpus(Protocol):
    """What every reader of pairs offers; it may be iterated any number of times.

    `aside` tells of the last iteration, and is whole once that has come to its end.
    """

    @property
    def name(self) -> str:
        """What to call it in messages."""
        ...

    @property
    def aside(self) -> Aside:
        """What the last iteration left aside."""
        ...

    def __iter__(self) -> Iterator[Pair]: ...


@dataclass(frozen=True)
class PairList:
    """A corpus held in memory."""

    name: str
    pairs: Sequence[Pair] = field(repr=False)
    aside: Aside = field(default_factory=Aside, repr=False, compare=False)

    def __iter__(self) -> Iterator[Pair]:
        return iter(self.pairs)

    def __len__(self) -> int:
        return len(self.pairs)


@dataclass(frozen=True)
class BuiltinCorpora:
    """The three splits of an embedded corpus."""

    train: PairList
    dev: PairList
    test: PairList


def blank(source: str, target: str) -> str:
    """Why a pair is left aside of which a side has no text; nothing where both have."""
    if source and target:
        return ""
    return f"{'both sides are' if not source and not target else 'the target is' if source else 'the source is'} blank"


def half_surrogate(text: str) -> str:
    """Return why a text that no UTF-8 can hold is left aside; empty for any other text.

    JSON can write half a surrogate pair (`\\ud83d`), and Python makes one of each byte of an argument that is not
    UTF-8.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        return "a text has half a surrogate pair, which is no character"
    return ""


class ParallelText:
    """Two plain files, line n of one translating line n of the other."""

    def __init__(self, source: Path, target: Path) -> None:
        self.source = source
        self.target = target
        self.aside = Aside()
        self._checked: object = None  # the files as they were when they were last found to go together

    @property
    def name(self) -> str:
        """The names of both files."""
        return f"{self.source.name} | {self.target.name}"

    def __iter__(self) -> Iterator[Pair]:
        """Every pair with text on both sides, stripped; the others are counted in `aside`.

        Both files are read through before the first pair, unless that has been done and they are as they were.
        Raises DataError where they cannot be read, have unequal numbers of lines, or hold no pair with text.
        """
        self.aside = aside = Aside()
        if (now := self._files()) is None or now != self._checked:
            self._check()
            self._checked = now
        any_text = False
        lines = zip(read_lines(self.source), read_lines(self.target), strict=True)
        for number, (source, target) in enumerate(lines, start=1):
            source, target = source.strip(), target.strip()
            if why := blank(source, target):
                aside.add(why, number)
            else:
                any_text = True
                yield Pair(source, target, number)
        if not any_text:
            raise DataError(
                "no line has text on both sides",
                where=f"{self.source} | {self.target}",
                fix="check that the two files belong together",
            )

    def unequal(self) -> DataError | None:
        """What is wrong where the files have unequal numbers of lines, and where. Raises DataError for no such file."""
        return _unequal(self, _line_lengths(self.source), _line_lengths(self.target))

    def _files(self) -> object:
        with suppress(OSError):
            stats = [path.stat() for path in (self.source, self.target)]
            return [(stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns) for stat in stats]
        return None  # whoever reads them says why

    def _check(self) -> None:
        source, target = _line_lengths(self.source), _line_lengths(self.target)
        for path, lengths in ((self.source, source), (self.target, target)):
            if not lengths:
                raise DataError("the file is empty", where=path, fix="name a file with text")
        if wrong := _unequal(self, source, target):
            raise wrong


def _line_lengths(path: Path) -> "array[int]":
    return array("L", (len(line.strip()) for line in read_lines(path)))


def _unequal(text: ParallelText, source: Sequence[int], target: Sequence[int]) -> DataError | None:
    if len(source) == len(target):
        return None
    what = f"the sides have unequal numbers of lines: {len(source)} in {text.source}, {len(target)} in {text.target}"
    shorter, longer = (text.source, text.target) if len(source) < len(target) else (text.target, text.source)
    fewer, more = sorted((len(source), len(target)))
    line = find_drift(source, target)
    if line is None:
        return DataError(
            what, where=f"{text.source} | {text.target}", fix="give two files whose line n translate one another"
        )
    if line > fewer:
        return DataError(
            f"{what}; they go together up to the end of the shorter one, which lacks lines {line} to {more}",
            where=f"{shorter}:{fewer}",
            fix=f"complete {shorter.name}, or cut {longer.name} after line {fewer}",
        )
    return DataError(
        f"{what}; they seem to drift apart near line {line}",
        where=f"{longer}:{line}",
        fix="compare the files around that line: one has a line that the other lacks, or one divided in two",
    )
