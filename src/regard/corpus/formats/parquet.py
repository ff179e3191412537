"""Parquet: rows with columns, of which two are the sides (see regard.corpus.formats.records), read some rows at a time.

pyarrow reads it, which is an extra: pip install "regard[parquet]".
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

BATCH_ROWS = 1024  # in memory at once
BUFFER_BYTES = 1 << 20  # bytes of a column read at once


def read_parquet(path: Path, sides: Sides) -> Iterator[Pair | Skipped]:
    """The pairs of a Parquet file; the line is the row, from 1. Raises DataError."""
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise DataError(
            "pyarrow, which reads Parquet, is not installed", where=path, fix='pip install "regard[parquet]"'
        ) from None
    with _seekable(path) as file:
        try:
            table = parquet.ParquetFile(file, buffer_size=BUFFER_BYTES, pre_buffer=False)
            record = {field.name: _shape(field.type) for field in table.schema_arrow}
            ways = find_key_paths(record, sides, str(path))
            for way in ways:
                _refuse_no_text(record, way, path)
            row = 0
            for batch in table.iter_batches(BATCH_ROWS, columns=[".".join(way) for way in ways], use_threads=False):
                for values in batch.to_pylist():
                    row += 1
                    yield extract_pair(values, *ways, row)
        except (pyarrow.ArrowException, OSError, ValueError) as error:
            reason = " ".join(str(error).split())[:200]
            raise DataError(f"the Parquet file cannot be read: {reason}", where=path, fix="write it again") from None


@contextmanager
def _seekable(path: Path) -> Iterator[BinaryIO]:
    """The file, or a copy of it on disk, unpacked: Parquet is read from its end."""
    with open_decompressed(path) as file:
        if path.suffix not in COMPRESSED_SUFFIXES:
            yield file
            return
        with tempfile.TemporaryFile() as unpacked:
            shutil.copyfileobj(file, unpacked, BUFFER_BYTES)
            unpacked.seek(0)
            yield cast(BinaryIO, unpacked)


def _shape(kind: pyarrow.DataType) -> Any:
    """What `find_sides` wants to know of a column: a mapping where it has fields, else whether it has text."""
    from pyarrow import types

    if types.is_struct(kind):
        return {field.name: _shape(field.type) for field in kind}
    if types.is_dictionary(kind):
        return _shape(kind.value_type)
    return types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind)


def _refuse_no_text(record: dict[str, Any], way: KeyPath, path: Path) -> None:
    value: Any = record
    for key in way:
        value = value[key]
    if value is not True:
        raise DataError(
            f"the column {'.'.join(way)!r} has no text", where=path, fix="give other columns for source and target"
        )
