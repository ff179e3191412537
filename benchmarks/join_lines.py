"""Join neighbouring lines of a corpus in ../shared/data into one of long sources.

    python benchmarks/join_lines.py verses|captions OUT

writes OUT/{train,dev,test}.LANGUAGE: each segment is a run of neighbouring lines, as many as chance says: one to
three verses of one chapter (English and Spanish), or one to four captions (German and English, tokenised). Test and
dev go over their lines once; training goes over them PASSES times, with other cuts each time.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from common import read, told

DATA = Path(__file__).parents[2] / "shared" / "data"
PASSES = {"train": 2, "dev": 1, "test": 1}


@dataclass(frozen=True)
class Corpus:
    """A file's name by split and language (or `ref`, whose lines name the verses), and how many lines are joined."""

    name: str
    splits: dict[str, str]
    languages: tuple[str, str]
    most: int
    references: bool = False


CORPORA = {
    "verses": Corpus(
        "bible-en-es/{split}.{language}.gz", {name: name for name in PASSES}, ("en", "es"), most=3, references=True
    ),
    "captions": Corpus(
        "multi30k/tok/{split}.lc.norm.tok.{language}.gz",
        {"train": "train", "dev": "val", "test": "test_2016_flickr"},
        ("de", "en"),
        most=4,
    ),
}


def side(corpus: Corpus, split: str, language: str) -> list[str]:
    return read(DATA / corpus.name.format(split=corpus.splits[split], language=language))


def joined(pairs: list[tuple[str, str]], most: int, dice: random.Random) -> Iterator[tuple[str, ...]]:
    """Runs of one to `most` pairs, cut by chance."""
    while pairs:
        run, pairs = pairs[: (size := dice.randint(1, most))], pairs[size:]
        yield tuple(" ".join(pair[side] for pair in run) for side in (0, 1))


def groups(corpus: Corpus, split: str) -> list[list[tuple[str, str]]]:
    """The pairs, those together that may be joined."""
    pairs = list(zip(*(side(corpus, split, language) for language in corpus.languages), strict=True))
    if not corpus.references:
        return [pairs]
    verses = zip(side(corpus, split, "ref"), pairs, strict=True)
    return [[pair for _, pair in group] for _, group in groupby(verses, key=lambda one: one[0].rpartition(".")[0])]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", choices=CORPORA)
    parser.add_argument("out", type=Path)
    arguments = parser.parse_args()
    corpus, out = CORPORA[arguments.corpus], arguments.out
    out.mkdir(parents=True, exist_ok=True)
    dice = random.Random(1)
    for split, passes in PASSES.items():
        parts = groups(corpus, split)
        segments = [one for _ in range(passes) for part in parts for one in joined(part, corpus.most, dice)]
        for place, language in enumerate(corpus.languages):
            text = "".join(segment[place] + "\n" for segment in segments)
            (out / f"{split}.{language}").write_text(text, encoding="utf-8")
        longer = sum(len(segment[0].split()) > 30 for segment in segments)
        print(f"{split}: {len(segments):,} segments, {longer:,} of them with more than 30 source words")


if __name__ == "__main__":
    with told():
        main()
