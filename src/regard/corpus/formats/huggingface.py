"""Hugging Face datasets, from the hub or a local folder, streamed row by row.

Needs the library `datasets`, an optional dependency: pip install "regard[datasets]". It must be version 4 or later,
which does not run code that comes with a dataset.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from regard.corpus.corpus import Pair, Skipped
from regard.corpus.formats.records import KeyPaths, extract_pair, find_key_paths
from regard.corpus.formats.sides import Sides
from regard.errors import DataError


def read_dataset(name: str, config: str | None, split: str, sides: Sides) -> Iterator[Pair | Skipped]:
    """Yield the pairs of a split; the line is the row, from 1. Raises DataError."""
    where = f"{name} ({split})"
    try:
        import datasets
    except ImportError:
        raise DataError(
            "reading Hugging Face datasets needs the library `datasets`, which is not installed",
            where=where,
            fix='pip install "regard[datasets]"',
        ) from None
    if name.startswith((".", "/", "~")) and not Path(name).is_dir():
        raise DataError("there is no such folder", where=where, fix="check the path in data.dataset")
    key_paths: KeyPaths | None = None
    try:
        rows = datasets.load_dataset(name, config, split=split, streaming=True)
        for number, row in enumerate(rows, start=1):
            key_paths = key_paths or find_key_paths(row, sides, where)
            yield extract_pair(row, key_paths, number)
    except DataError:
        raise
    except ConnectionError:
        raise DataError(
            "the hub cannot be reached, or has no dataset of this name",
            where=where,
            fix="check the network and the name, or give a local folder",
        ) from None
    except Exception as error:  # from any of the libraries that `datasets` uses
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        raise DataError(
            f"the dataset cannot be read: {reason}",
            where=where,
            fix="check data.dataset, data.dataset_config and data.dataset_split",
        ) from None
