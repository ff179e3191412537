"""Tokenizers of sources with several columns (see regard.corpus.source_columns), each with its own tokens.

They implement the protocol regard.tokenizers.base.Tokenizer. Ids come in this order: the special ones; with a joint
vocabulary, the tokens of the target, which the columns that are split alike share; the separator of columns; the
tokens of each other column. So equal text in two columns has different ids, unless both share those of the target.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from regard.corpus.source_columns import SEPARATOR, split_columns
from regard.special_tokens import SPECIAL
from regard.tokenizers.tagged import TaggedTokenizer

if TYPE_CHECKING:
    from regard.tokenizers.base import Tokenizer

VISIBLE_TAB = "⇥"  # how the separator is displayed


class ColumnsTokenizer:
    """Encodes each column with its own tokenizer, and puts a separator token between columns.

    decode(encode(text)) restores each column as its tokenizer does, with a tab between columns.

    Attributes:
        columns: The tokenizer of each column.
        target: The tokenizer of the target in a joint vocabulary; it is also that of at least one column.
        separator: The id between columns.
        offsets: For each column, what is added to the ids of its tokenizer, except the special ones.
        size: The number of ids, including the four special ones.
    """

    kind = "columns"

    def __init__(self, columns: Sequence[Tokenizer], target: Tokenizer | None = None) -> None:
        self.columns = tuple(columns)
        self.target = target
        size = len(SPECIAL) if target is None else target.size
        self.separator = size
        size += 1
        self.offsets: list[int] = []
        for tokenizer in self.columns:
            is_shared = tokenizer is target
            self.offsets.append(0 if is_shared else size - len(SPECIAL))
            size += 0 if is_shared else tokenizer.size - len(SPECIAL)
        self.size = size

    def encode(self, text: str) -> list[int]:
        """Return the ids of a source, without BOS and EOS. Raise DataError for another number of columns."""
        ids: list[int] = []
        for index, column in enumerate(split_columns(text, len(self.columns))):
            if index:
                ids.append(self.separator)
            offset = self.offsets[index]
            ids += [id + offset if id >= len(SPECIAL) else id for id in self.columns[index].encode(column)]
        return ids

    def decode(self, ids: Sequence[int]) -> str:
        """Return one line of text with a tab for each separator; PAD, BOS and EOS are skipped."""
        return "".join(
            SEPARATOR if column is None else self.columns[column].decode(local) for column, local in self._runs(ids)
        )

    def pieces(self, ids: Sequence[int]) -> list[str]:
        """Return the written form of each id, `⇥` for a separator."""
        return [self._pieces[id] for id in ids]

    def split_ids(self, ids: Sequence[int]) -> Iterator[tuple[Tokenizer | None, list[int]]]:
        """Yield the tokenizer of each column with the ids that it would give; None with the id of each separator."""
        for column, local in self._runs(ids):
            yield None if column is None else self.columns[column], local

    def save(self, folder: Path, name: str) -> None:
        """Write the files of the columns that the target does not share; `names` has their names."""
        for tokenizer, column_name in zip(self.columns, self.names(name, ""), strict=True):
            if column_name:
                tokenizer.save(folder, column_name)

    def names(self, name: str, target: str) -> list[str]:
        """Return the name of the files of each column, given those of the source and of the target."""
        return [
            target if tokenizer is self.target else f"{name}.{number}"
            for number, tokenizer in enumerate(self.columns, start=1)
        ]

    def _runs(self, ids: Sequence[int]) -> Iterator[tuple[int | None, list[int]]]:
        """Yield (column, ids of its tokenizer) for each run of ids of a column, and (None, [separator])."""
        number = 0  # of separators so far

        def column_of(id: int) -> int | None:
            nonlocal number
            if id == self.separator:
                number += 1
                return None
            expected = min(number, len(self.columns) - 1)
            return expected if id < len(SPECIAL) or self._has(expected, id) else self._owner(id)

        for column, run in groupby(((column_of(id), id) for id in ids), key=lambda pair: pair[0]):
            if column is None:
                yield from ((None, [id]) for _, id in run)
            else:
                offset = self.offsets[column]
                yield column, [id - offset if id >= len(SPECIAL) else id for _, id in run]

    def _has(self, column: int, id: int) -> bool:
        return len(SPECIAL) <= id - self.offsets[column] < self.columns[column].size

    def _owner(self, id: int) -> int:
        return next(column for column in range(len(self.columns)) if self._has(column, id))

    @cached_property
    def _pieces(self) -> list[str]:
        written = list(SPECIAL) if self.target is None else self.target.pieces(range(self.target.size))
        written = [*written, VISIBLE_TAB]
        for tokenizer in self.columns:
            if tokenizer is not self.target:
                written += tokenizer.pieces(range(len(SPECIAL), tokenizer.size))
        return written


class JointTargetTokenizer:
    """The tokenizer of a target whose vocabulary is a part of that of a ColumnsTokenizer.

    It has the ids of all columns, as a joint vocabulary has, but text becomes only those of the target.
    """

    def __init__(self, source: ColumnsTokenizer) -> None:
        """Wrap the target's tokenizer of `source`, whose vocabulary is joint."""
        assert source.target is not None
        self.inner = source.target
        self._source = source

    @property
    def kind(self) -> str:
        """The kind of the inner tokenizer."""
        return self.inner.kind

    @property
    def size(self) -> int:
        """The number of ids, including those of all columns."""
        return self._source.size

    def encode(self, text: str) -> list[int]:
        """Return the ids of a text, without BOS and EOS."""
        return self.inner.encode(text)

    def decode(self, ids: Sequence[int]) -> str:
        """Return one line of text; separators and tokens of other columns are skipped."""
        return self.inner.decode([id for id in ids if id < self.inner.size])

    def pieces(self, ids: Sequence[int]) -> list[str]:
        """Return the written form of each id."""
        return self._source.pieces(ids)

    def save(self, folder: Path, name: str) -> None:
        """Write the files of the inner tokenizer."""
        self.inner.save(folder, name)


def find_columns_tokenizer(tokenizer: Tokenizer) -> ColumnsTokenizer | None:
    """Return the tokenizer of a source with several columns, without tags; None for a source of plain text."""
    inner = tokenizer.inner if isinstance(tokenizer, TaggedTokenizer) else tokenizer
    return inner if isinstance(inner, ColumnsTokenizer) else None


def count_columns(tokenizer: Tokenizer) -> int:
    """Return the number of columns of the sources that a tokenizer encodes; 1 for plain text."""
    columns = find_columns_tokenizer(tokenizer)
    return 1 if columns is None else len(columns.columns)
