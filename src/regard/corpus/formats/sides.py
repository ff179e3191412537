"""Select the two sides of a file that has several columns or languages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Sides:
    """Requested source and target; empty values are inferred from the file.

    Languages (TMX, XLIFF) are matched leniently, see `matches_language`. Columns (TSV, CSV) are names, or numbers
    counted from 1. Columns of records (JSONL, Parquet, Hugging Face) are keys; `translation.en` is a nested key.
    `source_column` may name several columns, with commas between them, see regard.corpus.source_columns.
    """

    source_language: str = ""
    target_language: str = ""
    source_column: str = ""
    target_column: str = ""


def matches_language(code: str, language: str) -> bool:
    """Return whether a code is that of a language or of a variety of it: `en-US`, `en_GB` and `EN` match `en`."""
    code, language = (text.strip().replace("_", "-").lower() for text in (code, language))
    return code == language or code.startswith(f"{language}-")


def direction(sides: Sides, source: str, target: str) -> Literal["forward", "backward", ""]:
    """Return whether the languages of a file are those requested, those requested but swapped, or others.

    An empty language of the file is unknown and matches any other.
    """
    requested = (sides.source_language, sides.target_language)
    forward, backward = _count_matches((source, target), requested), _count_matches((target, source), requested)
    if max(forward, backward) < 0:
        return ""
    return "forward" if forward >= backward else "backward"


def _count_matches(codes: tuple[str, str], requested: tuple[str, str]) -> int:
    """Return how many of the known languages match those requested; -1 if one does not match."""
    pairs = zip(codes, requested, strict=True)
    matches = [matches_language(code, language) for code, language in pairs if code and language]
    return sum(matches) if all(matches) else -1
