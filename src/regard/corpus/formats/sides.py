"""Which two sides are wanted of a file that has several."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Sides:
    """Source and target, as a file's format tells them apart; empty: by what the file itself says.

    Languages (TMX, XLIFF) are matched leniently: see `speaks`. Columns (TSV, CSV) have names, or numbers from 1; keys
    (JSONL, Parquet, Hugging Face) have names, and `translation.en` is a key in a key.
    """

    source_language: str = ""
    target_language: str = ""
    source_column: str = ""
    target_column: str = ""


def matches_language(said: str, wanted: str) -> bool:
    """Whether a language code is the wanted one, or one of its kind: `en-US`, `en_GB` and `EN` are `en`."""
    one, other = (code.strip().replace("_", "-").lower() for code in (said, wanted))
    return one == other or one.startswith(f"{other}-")


def direction(sides: Sides, source: str, target: str) -> Literal["forward", "backward", ""]:
    """Whether the languages of a file, as far as it tells them, are those asked for: so, swapped, or not at all."""
    wanted = (sides.source_language, sides.target_language)
    forward, backward = _agreed((source, target), wanted), _agreed((target, source), wanted)
    if max(forward, backward) < 0:
        return ""
    return "forward" if forward >= backward else "backward"


def _agreed(said: tuple[str, str], wanted: tuple[str, str]) -> int:
    """How many of two languages are known to be those wanted; -1 where one is known to be another."""
    known = [matches_language(one, other) for one, other in zip(said, wanted, strict=True) if one and other]
    return sum(known) if all(known) else -1
