"""Two plain files as a corpus: line n of one translates line n of the other."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from itertools import zip_longest
from pathlib import Path

from regard.corpus.corpus import Pair, SingleCorpus, Skipped, SkipReport, blank_reason
from regard.corpus.drift import find_drift
from regard.corpus.formats.plain import read_lines
from regard.errors import DataError


class ParallelText(SingleCorpus):
    """Two plain files, line n of one translating line n of the other."""

    def __init__(self, source: Path, target: Path) -> None:
        self.name = f"{source.name} | {target.name}"
        self.source = source
        self.target = target
        self.skipped = SkipReport()

    def read(self) -> Iterator[Pair | Skipped]:
        """Yield the lines of both files as they are, blank ones too; Skipped where the shorter file has no line."""
        lines = zip_longest(read_lines(self.source), read_lines(self.target))
        for number, (source, target) in enumerate(lines, start=1):
            if source is None or target is None:
                shorter = self.source if source is None else self.target
                yield Skipped(f"{shorter.name} has no such line", number)
            else:
                yield Pair(source, target, number)

    def __iter__(self) -> Iterator[Pair]:
        """Yield every pair with text on both sides, stripped; count the others in `skipped`.

        Raises DataError where a file cannot be read, and at the end if the files have unequal numbers of lines or no
        pair with text. `check` raises the same errors at once.
        """
        self.skipped = skipped = SkipReport()
        has_text = False
        for item in self.read():
            if isinstance(item, Skipped):
                self.check()
                continue
            source, target = item.source.strip(), item.target.strip()
            if reason := blank_reason(source, target):
                skipped.add(reason, item.line)
            else:
                has_text = True
                yield Pair(source, target, item.line)
        if not has_text:
            self.check()
            raise DataError(
                "no line has text on both sides",
                where=f"{self.source} | {self.target}",
                fix="check that the two files belong together",
            )

    def check(self) -> None:
        """Read both files. Raise DataError if one cannot be read or is empty, or their numbers of lines differ."""
        source, target = _line_lengths(self.source), _line_lengths(self.target)
        for path, lengths in ((self.source, source), (self.target, target)):
            if not lengths:
                raise DataError("the file is empty", where=path, fix="give a file with text")
        if error := self._compare(source, target):
            raise error

    def length_mismatch(self) -> DataError | None:
        """Return the error that describes unequal numbers of lines, or None. Raise DataError for a missing file."""
        return self._compare(_line_lengths(self.source), _line_lengths(self.target))

    def _compare(self, source: Sequence[int], target: Sequence[int]) -> DataError | None:
        """Compare the files by the lengths of their lines."""
        if len(source) == len(target):
            return None
        counts = f"{len(source)} in {self.source}, {len(target)} in {self.target}"
        problem = f"the sides have unequal numbers of lines: {counts}"
        shorter, longer = (self.source, self.target) if len(source) < len(target) else (self.target, self.source)
        fewer, more = sorted((len(source), len(target)))
        line = find_drift(source, target)
        if line is None:
            return DataError(
                problem,
                where=f"{self.source} | {self.target}",
                fix="give two files whose lines translate one another: line n of one is line n of the other",
            )
        if line > fewer:
            return DataError(
                f"{problem}; they match up to the end of the shorter one, which lacks lines {line} to {more}",
                where=f"{shorter}:{fewer}",
                fix=f"complete {shorter.name}, or cut {longer.name} after line {fewer}",
            )
        return DataError(
            f"{problem}; they seem to drift apart near line {line}",
            where=f"{longer}:{line}",
            fix="compare the files around that line: one has a line that the other lacks, or one line was split in two",
        )


def _line_lengths(path: Path) -> array[int]:
    return array("L", (len(line.strip()) for line in read_lines(path)))
