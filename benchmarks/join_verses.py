"""Join neighbouring verses of ../shared/data/bible-en-es into a corpus of long sources.

    python benchmarks/join_verses.py OUT

writes OUT/{train,dev,test}.{en,es}: each segment is one to three verses that follow one another in one
chapter. Test and dev go over their verses once; training goes over its verses PASSES times, with other
cuts each time, so that sources of 10 to 80 words are all frequent.
"""

from __future__ import annotations

import argparse
import gzip
import random
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

DATA = Path(__file__).parents[2] / "shared" / "data" / "bible-en-es"
PASSES = {"train": 2, "dev": 1, "test": 1}
MOST_VERSES = 3
LANGUAGES = ("en", "es")

Verse = tuple[str, str, str]  # Book.chapter.verse, English, Spanish


def read(path: Path) -> list[str]:
    """The lines of a gzip text, split at line feeds alone."""
    with gzip.open(path, "rt", encoding="utf-8", newline="\n") as file:
        return [line.rstrip("\n") for line in file]


def joined(verses: list[Verse], dice: random.Random) -> Iterator[tuple[str, ...]]:
    """Runs of one to MOST_VERSES verses, cut by chance, none across two chapters."""
    for _, group in groupby(verses, key=lambda verse: verse[0].rpartition(".")[0]):
        chapter = list(group)
        while chapter:
            run = chapter[: dice.randint(1, MOST_VERSES)]
            chapter = chapter[len(run) :]
            yield tuple(" ".join(verse[side] for verse in run) for side in (1, 2))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    out: Path = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    dice = random.Random(1)
    for split, passes in PASSES.items():
        parts = [read(DATA / f"{split}.{part}.gz") for part in ("ref", *LANGUAGES)]
        verses: list[Verse] = list(zip(*parts, strict=True))
        pairs = [pair for _ in range(passes) for pair in joined(verses, dice)]
        for side, language in enumerate(LANGUAGES):
            text = "".join(pair[side] + "\n" for pair in pairs)
            (out / f"{split}.{language}").write_text(text, encoding="utf-8")
        longest = sum(len(pair[0].split()) > 30 for pair in pairs)
        print(f"{split}: {len(pairs):,} pairs, {longest:,} of them with more than 30 source words")


if __name__ == "__main__":
    main()
