"""Parquet: rows with columns, of which two are the sides (see regard.corpus.formats.records), read in batches.

Needs pyarrow, an optional dependency: pip install "regard[parquet]".
"""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from regard.corpus.corpus import Pair, Skipped
from regard.corpus.formats.compressed import COMPRESSED_SUFFIXES, open_decompressed
from regard.corpus.formats.records import KeyPath, extract_pair, find_key_paths, find_source_columns
from regard.corpus.formats.sides import Sides
from regard.corpus.source_columns import join_columns
from regard.errors import DataError

if TYPE_CHECKING:
    import pyarrow
    from pyarrow.parquet import ParquetFile

BATCH_ROWS = 1024  # rows in memory
BUFFER_BYTES = 1 << 20  # read from a column at once
LINE_BREAKS = re.compile(r"[\r\n]+")


def read_parquet(path: Path, sides: Sides) -> Iterator[Pair | Skipped]:
    """Yield the pairs of a Parquet file; the line is the row, from 1. Raises DataError."""
    with _open(path) as table:
        record = {field.name: _shape(field.type) for field in table.schema_arrow}
        key_paths = find_key_paths(record, sides, str(path))
        for key_path in key_paths:
            _check_text_column(record, key_path, path)
        for row, values in enumerate(_rows(table, key_paths), start=1):
            yield extract_pair(values, key_paths, row)


def read_parquet_column(path: Path, column: str, option: str = "--source-column") -> Iterator[str]:
    """Yield the text of a column in each row, with spaces for line breaks; rows without text are empty.

    Args:
        path: The file.
        column: The name of a column, or of several with commas between them; empty for the only column of text.
        option: The option that names the column, for messages.

    Raises:
        DataError: The file cannot be read, or has no such column.
    """
    with _open(path) as table:
        record = {field.name: _shape(field.type) for field in table.schema_arrow}
        texts = [name for name, shape in record.items() if shape is True]
        if not column and len(texts) != 1:
            raise DataError(
                f"it is not clear which column to read: {len(texts)} hold text ({', '.join(texts)})",
                where=path,
                fix=f"name one with {option}",
            )
        key_paths = find_source_columns(record, column or texts[0], str(path), fix=f"change {option}")
        for key_path in key_paths:
            _check_text_column(record, key_path, path)
        for values in _rows(table, key_paths):
            columns = [_value(values, key_path) or "" for key_path in key_paths]
            yield LINE_BREAKS.sub(" ", join_columns(columns))


def _value(values: Any, key_path: KeyPath) -> Any:
    for key in key_path:
        values = None if values is None else values[key]
    return values


@contextmanager
def _open(path: Path) -> Iterator[ParquetFile]:
    """Open a Parquet file. Raises DataError, also while it is read."""
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise DataError(
            "reading Parquet needs pyarrow, which is not installed", where=path, fix='pip install "regard[parquet]"'
        ) from None
    with _seekable(path) as file:
        try:
            yield parquet.ParquetFile(file, buffer_size=BUFFER_BYTES, pre_buffer=False)
        except (pyarrow.ArrowException, OSError, ValueError) as error:
            reason = " ".join(str(error).split())[:200]
            raise DataError(f"the Parquet file cannot be read: {reason}", where=path, fix="write it again") from None


def _rows(table: ParquetFile, key_paths: Sequence[KeyPath]) -> Iterator[dict[str, Any]]:
    columns = [".".join(key_path) for key_path in key_paths]
    for batch in table.iter_batches(BATCH_ROWS, columns=columns, use_threads=False):
        yield from batch.to_pylist()


@contextmanager
def _seekable(path: Path) -> Iterator[BinaryIO]:
    """Open a file, or a decompressed copy of it on disk: Parquet is read from its end."""
    with open_decompressed(path) as file:
        if path.suffix not in COMPRESSED_SUFFIXES:
            yield file
            return
        with tempfile.TemporaryFile() as copy:
            shutil.copyfileobj(file, copy, BUFFER_BYTES)
            copy.seek(0)
            yield cast(BinaryIO, copy)


def _shape(kind: pyarrow.DataType) -> Any:
    """Describe a column for `find_key_paths`: a mapping if it has fields, else whether it holds text."""
    from pyarrow import types

    if types.is_struct(kind):
        return {field.name: _shape(field.type) for field in kind}
    if types.is_dictionary(kind):
        return _shape(kind.value_type)
    return types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind)


def _check_text_column(record: dict[str, Any], key_path: KeyPath, path: Path) -> None:
    value: Any = record
    for key in key_path:
        value = value[key]
    if value is not True:
        raise DataError(
            f"the column {'.'.join(key_path)!r} does not hold text",
            where=path,
            fix="choose another column",
        )
