"""JSONL: one JSON object per line, of which two keys are the sides (see regard.corpus.formats.records)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from regard.corpus.corpus import Pair, Skipped
from regard.corpus.formats.plain import read_lines
from regard.corpus.formats.records import KeyPaths, extract_pair, find_key_paths
from regard.corpus.formats.sides import Sides
from regard.errors import DataError


def read_jsonl(path: Path, sides: Sides) -> Iterator[Pair | Skipped]:
    """Yield the pairs of a JSONL file; skip empty lines. Raise DataError for a line that is not an object."""
    key_paths: KeyPaths | None = None
    for number, line in enumerate(read_lines(path), start=1):
        if not line.strip():
            yield Skipped("the line is empty", number)
            continue
        record = parse_record(line, f"{path}:{number}")
        key_paths = key_paths or find_key_paths(record, sides, f"{path}:{number}")
        yield extract_pair(record, key_paths, number)


def parse_record(line: str, where: str) -> dict[str, object]:
    """Return the object of a line. Raise DataError if the line is not JSON, or not an object."""
    try:
        record = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise DataError(f"this is not JSON: {error}", where=where, fix="write one JSON object per line") from None
    if not isinstance(record, dict):
        raise DataError(
            "this is JSON, but not an object", where=where, fix='write a line as {"source": "", "target": ""}'
        )
    return record
