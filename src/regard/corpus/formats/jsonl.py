"""JSONL: a JSON object a line, of which two keys are the sides (see regard.corpus.formats.records)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from regard.corpus.corpus import Pair, Skipped
from regard.corpus.formats.plain import read_lines
from regard.corpus.formats.records import KeyPath, extract_pair, find_key_paths
from regard.corpus.formats.sides import Sides
from regard.errors import DataError


def read_jsonl(path: Path, sides: Sides) -> Iterator[Pair | Skipped]:
    """The pairs of a JSONL file; empty lines are left aside. Raises DataError where a line is no object."""
    ways: tuple[KeyPath, KeyPath] | None = None
    for number, line in enumerate(read_lines(path), start=1):
        if not line.strip():
            yield Skipped("the line is empty", number)
            continue
        record = _record(line, f"{path}:{number}")
        ways = ways or find_key_paths(record, sides, f"{path}:{number}")
        yield extract_pair(record, *ways, number)


def _record(line: str, where: str) -> dict[str, object]:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise DataError(f"this is no JSON: {error}", where=where, fix="write a JSON object a line") from None
    if not isinstance(record, dict):
        raise DataError("this is JSON, but no object", where=where, fix='write a line as {"source": "", "target": ""}')
    return record
