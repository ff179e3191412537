"""Sources with several columns: one line of text with a tab between the columns, wherever a source is read."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from regard.config.data import column_names
from regard.corpus.corpus import Corpus, DerivedCorpus, Pair, Skipped
from regard.errors import ConfigError, DataError

SEPARATOR = "\t"
_BREAKS = re.compile(r"\s*[\t\r\n]+\s*")


def requested_columns(source_column: str) -> tuple[str, ...]:
    """Return the names in a `source_column` that the user requests. Raise ConfigError for an empty name."""
    try:
        return column_names(source_column)
    except ValueError as error:
        raise ConfigError(
            str(error),
            where="source_column (--source-column)",
            fix="write one comma between two names, as in lemma,features",
        ) from None


def join_columns(columns: Sequence[str]) -> str:
    """Return the source with these columns, each on one line and without tabs; "" if one of them is blank.

    A single column is returned as it is.
    """
    if len(columns) == 1:
        return columns[0]
    texts = [_BREAKS.sub(" ", column.strip()) for column in columns]
    return SEPARATOR.join(texts) if all(texts) else ""


def make_pair(columns: Sequence[str], target: str, line: int) -> Pair | Skipped:
    """Return the pair whose source has these columns; Skipped if some are blank, but not all."""
    source = join_columns(columns)
    if not source and any(column.strip() for column in columns):
        return Skipped("a column of the source is blank", line)
    return Pair(source, target, line)


def split_columns(source: str, count: int) -> list[str]:
    """Return the columns of a source, without white space around them, as `join_columns` has them.

    Raises:
        DataError: There are not `count` columns with text in each; the error has no place.
    """
    columns = source.split(SEPARATOR)
    if problem := columns_problem(columns, count):
        raise DataError(problem, fix=columns_fix(count))
    return columns if count == 1 else [column.strip() for column in columns]


def columns_problem(columns: Sequence[str], count: int) -> str:
    """Return what is wrong with the columns of a source that must have `count`; empty if nothing is."""
    if len(columns) != count:
        number = "1 column" if len(columns) == 1 else f"{len(columns)} columns"
        return f"the source has {number}, and must have {count}"
    blank = [number for number, column in enumerate(columns, start=1) if not column.strip()]
    return f"column {blank[0]} of the source is blank" if blank and count > 1 else ""


def check_column_count(pairs: Iterable[Pair], count: int, where: str) -> None:
    """Raise DataError for a source with other than `count` columns, or with a blank one; all may be blank.

    Args:
        pairs: The pairs.
        count: The number of columns; 0 if sources have none.
        where: The file of the sources.
    """
    for pair in pairs if count else ():
        if pair.source.strip():
            _check_columns(pair, count, where)


def _check_columns(pair: Pair, count: int, where: str) -> None:
    """Raise DataError if the source of a pair has other than `count` columns, or a blank one."""
    if problem := columns_problem(pair.source.split(SEPARATOR), count):
        raise DataError(problem, where=f"{where}:{pair.line}", fix=columns_fix(count))


def columns_fix(count: int) -> str:
    """Return how to correct a source that must have `count` columns."""
    if count == 1:
        return "write a table [[tokenizer.source_columns]] for each column into the recipe"
    return f"write {count} columns with a tab between them, none of them blank (write _ for one without a value)"


class ColumnsCorpus(DerivedCorpus):
    """A single corpus whose sources must have a number of columns.

    Args:
        corpus: The corpus.
        count: The number of columns.
        where: The file of the sources, for errors.
    """

    def __init__(self, corpus: Corpus, count: int, where: str) -> None:
        super().__init__(corpus)
        self.count = count
        self.where = where

    def __iter__(self) -> Iterator[Pair]:
        """Yield the pairs. Raise DataError for a source with another number of columns, or with a blank one."""
        for pair in self.corpus:
            _check_columns(pair, self.count, self.where)
            yield pair
