"""Parquet: rows with columns, of which two are the sides (see regard.corpus.formats.records), read in batches.

Needs pyarrow, an optional dependency: pip install "regard[parquet]".
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from regard.corpus.corpus import Pair, Skipped
from regard.corpus.formats.compressed import COMPRESSED_SUFFIXES, open_decompressed
from regard.corpus.formats.records import KeyPath, extract_pair, find_key_paths
from regard.corpus.formats.sides import Sides
from regard.errors import DataError

if TYPE_CHECKING:
    import pyarrow

BATCH_ROWS = 1024  # rows in memory
BUFFER_BYTES = 1 << 20  # read from a column at once


def read_parquet(path: Path, sides: Sides) -> Iterator[Pair | Skipped]:
    """Yield the pairs of a Parquet file; the line is the row, from 1. Raises DataError."""
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise DataError(
            "reading Parquet needs pyarrow, which is not installed", where=path, fix='pip install "regard[parquet]"'
        ) from None
    with _seekable(path) as file:
        try:
            table = parquet.ParquetFile(file, buffer_size=BUFFER_BYTES, pre_buffer=False)
            record = {field.name: _shape(field.type) for field in table.schema_arrow}
            key_paths = find_key_paths(record, sides, str(path))
            for key_path in key_paths:
                _check_text_column(record, key_path, path)
            row = 0
            for batch in table.iter_batches(
                BATCH_ROWS, columns=[".".join(key_path) for key_path in key_paths], use_threads=False
            ):
                for values in batch.to_pylist():
                    row += 1
                    yield extract_pair(values, *key_paths, row)
        except (pyarrow.ArrowException, OSError, ValueError) as error:
            reason = " ".join(str(error).split())[:200]
            raise DataError(f"the Parquet file cannot be read: {reason}", where=path, fix="write it again") from None


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
            fix="choose other columns for source and target",
        )
