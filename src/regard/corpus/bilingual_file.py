"""Both sides in one place: which format a file has, and its pairs as a corpus."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from regard.corpus.corpus import Aside, Left, Pair, blank
from regard.corpus.formats.compressed import ending_of
from regard.corpus.formats.delimited import read_csv, read_tsv
from regard.corpus.formats.gettext import read_mo, read_po
from regard.corpus.formats.jsonl import read_jsonl
from regard.corpus.formats.parquet import read_parquet
from regard.corpus.formats.sides import Sides
from regard.corpus.formats.tmx import read_tmx
from regard.corpus.formats.xliff import read_xliff
from regard.errors import DataError

Reader = Callable[[Path, Sides], Iterator[Pair | Left]]
"""Reads a file, streaming: every pair that it has, or why not. Raises DataError with file and line."""

READERS: dict[str, Reader] = {
    ".tsv": read_tsv,
    ".csv": read_csv,
    ".tmx": read_tmx,
    ".po": read_po,
    ".mo": read_mo,
    ".xlf": read_xliff,
    ".xliff": read_xliff,
    ".jsonl": read_jsonl,
    ".parquet": read_parquet,
}

_BREAK = re.compile(r"\s*[\r\n]+\s*")


class Bilingual:
    """The pairs that a reader gives; `where` is what errors call their origin."""

    def __init__(self, name: str, where: str, read: Callable[[], Iterator[Pair | Left]]) -> None:
        self.name = name
        self.where = where
        self.read = read
        self.aside = Aside()

    def __iter__(self) -> Iterator[Pair]:
        """Every pair with text on both sides, stripped, its line breaks made spaces; the others are in `aside`.

        Raises DataError where it cannot be read, has another format, or holds no pair with text.
        """
        self.aside = aside = Aside()
        any_text = False
        for item in self.read():
            if isinstance(item, Left):
                aside.add(item.reason, item.line)
                continue
            source, target = (_BREAK.sub(" ", text.strip()) for text in (item.source, item.target))
            if why := blank(source, target):
                aside.add(why, item.line)
            else:
                any_text = True
                yield Pair(source, target, item.line)
        if not any_text:
            raise DataError(
                "it has no pair with text on both sides" + "".join(f"; {told}" for told in aside.report()),
                where=self.where,
                fix="check it, and which languages or columns are asked for",
            )


class BilingualFile(Bilingual):
    """The pairs of a file in one of the formats of READERS."""

    def __init__(self, path: Path, sides: Sides) -> None:
        super().__init__(path.name, str(path), partial(_read, path, sides))


def _read(path: Path, sides: Sides) -> Iterator[Pair | Left]:
    return reader_of(path)(path, sides)


def reader_of(path: Path) -> Reader:
    """By the end of the file's name. Raises DataError for one that tells nothing."""
    ending = ending_of(path)
    if ending not in READERS:
        raise DataError(
            f"a name that ends in {ending or 'nothing'} does not tell which format the file has",
            where=path,
            fix=f"name it by its format ({', '.join(READERS)}), or give two plain files",
        )
    return READERS[ending]
