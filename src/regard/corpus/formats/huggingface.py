"""Datasets of Hugging Face, from the hub or a local folder, streamed: nothing but the rows in hand is kept.

The library `datasets` reads them, which is an extra: pip install "regard[datasets]". From version 4 on, which that
asks for, it runs no code that comes with a dataset.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from regard.corpus.corpus import Pair, Skipped
from regard.corpus.formats.records import KeyPath, extract_pair, find_key_paths
from regard.corpus.formats.sides import Sides
from regard.errors import DataError


def read_dataset(name: str, config: str | None, split: str, sides: Sides) -> Iterator[Pair | Skipped]:
    """The pairs of a split; the line is the row, from 1. Raises DataError."""
    where = f"{name} ({split})"
    try:
        import datasets
    except ImportError:
        raise DataError(
            "`datasets`, which reads it, is not installed", where=where, fix='pip install "regard[datasets]"'
        ) from None
    if name.startswith((".", "/", "~")) and not Path(name).is_dir():
        raise DataError("there is no such folder", where=where, fix="check the path in data.dataset")
    ways: tuple[KeyPath, KeyPath] | None = None
    try:
        rows = datasets.load_dataset(name, config, split=split, streaming=True)
        for number, row in enumerate(rows, start=1):
            ways = ways or find_key_paths(row, sides, where)
            yield extract_pair(row, *ways, number)
    except DataError:
        raise
    except ConnectionError:
        raise DataError(
            "the hub cannot be reached, or has no dataset of this name",
            where=where,
            fix="check the network and the name, or name a folder",
        ) from None
    except Exception as error:  # of any of the libraries by which `datasets` reads files and the hub
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        raise DataError(
            f"the dataset cannot be read: {reason}",
            where=where,
            fix="check data.dataset, data.dataset_config and data.dataset_split",
        ) from None
