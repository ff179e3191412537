"""Corpora that keep both sides in one file: the reader of each format, and the pairs of a reader as a corpus."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path

from regard.corpus.corpus import Pair, SingleCorpus, Skipped, SkipReport, blank_reason
from regard.corpus.corrections import read_corrections
from regard.corpus.formats.compressed import format_suffix
from regard.corpus.formats.delimited import read_csv, read_tsv
from regard.corpus.formats.gettext import read_mo, read_po
from regard.corpus.formats.jsonl import read_jsonl
from regard.corpus.formats.parquet import read_parquet
from regard.corpus.formats.sides import Sides
from regard.corpus.formats.tmx import read_tmx
from regard.corpus.formats.xliff import read_xliff
from regard.errors import DataError
from regard.plugins.registry import WithPlugins

Reader = Callable[[Path, Sides], Iterator[Pair | Skipped]]
"""Reads a file as a stream. Yields each pair, or Skipped with the reason. Raises DataError with file and line."""

_READERS: Mapping[str, Reader] = {
    ".tsv": read_tsv,
    ".csv": read_csv,
    ".tmx": read_tmx,
    ".po": read_po,
    ".mo": read_mo,
    ".xlf": read_xliff,
    ".xliff": read_xliff,
    ".jsonl": read_jsonl,
    ".parquet": read_parquet,
    ".sqlite": read_corrections,
}
READERS: Mapping[str, Reader] = WithPlugins("formats", _READERS)

_BREAK = re.compile(r"\s*[\r\n]+\s*")


class ReaderCorpus(SingleCorpus):
    """The pairs of a reader. `where` names their source in errors."""

    def __init__(self, name: str, where: str, read: Callable[[], Iterator[Pair | Skipped]]) -> None:
        self.name = name
        self.where = where
        self.read = read
        self.skipped = SkipReport()

    def __iter__(self) -> Iterator[Pair]:
        """Yield every pair with text on both sides, stripped, with line breaks replaced by spaces; count the others.

        Raises DataError if the source cannot be read, has another format, or has no pair with text on both sides.
        """
        self.skipped = skipped = SkipReport()
        has_text = False
        for item in self.read():
            if isinstance(item, Skipped):
                skipped.add(item.reason, item.line)
                continue
            source, target = (_BREAK.sub(" ", text.strip()) for text in (item.source, item.target))
            if reason := blank_reason(source, target):
                skipped.add(reason, item.line)
            else:
                has_text = True
                yield Pair(source, target, item.line)
        if not has_text:
            raise DataError(
                "there is no pair with text on both sides"
                + "".join(f"; {sentence}" for sentence in skipped.sentences()),
                where=self.where,
                fix="check the file, and the languages or columns that you requested",
            )


class BilingualFile(ReaderCorpus):
    """The pairs of a file in one of the formats of READERS."""

    def __init__(self, path: Path, sides: Sides) -> None:
        super().__init__(path.name, str(path), partial(_read, path, sides))


def _read(path: Path, sides: Sides) -> Iterator[Pair | Skipped]:
    return find_reader(path)(path, sides)


def find_reader(path: Path) -> Reader:
    """Return the reader for a file by its suffix. Raise DataError for an unknown suffix."""
    suffix = format_suffix(path)
    if suffix not in READERS:
        raise DataError(
            f"the suffix {suffix or '(none)'} is not that of a known format",
            where=path,
            fix=f"rename it to the suffix of its format ({', '.join(READERS)}), or give two plain files",
        )
    return READERS[suffix]
