"""Join neighbouring lines of a corpus into longer segments.

    python benchmarks/join_lines.py verses|captions OUT

writes OUT/{train,dev,test}.LANGUAGE. Each segment joins a random number of neighbouring lines: one to three verses of
the same chapter (English and Spanish), or one to four captions (German and English, tokenized). Test and dev sets are
read once. The training set is read PASSES["train"] times, with new segment boundaries each time.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from common import corpus_folder, exit_on_error, read

PASSES = {"train": 2, "dev": 1, "test": 1}


@dataclass(frozen=True)
class Corpus:
    """A corpus and how to join its lines.

    Attributes:
        folder: The name of the folder of the corpus.
        name: The path of a file in it, by split and language. The language `ref` is a file with the reference of each
            verse.
        splits: The name of each split in the corpus.
        languages: The source and the target language.
        max_lines: The largest number of lines in a segment.
        references: Whether the corpus has verse references; segments then do not cross chapters.
    """

    folder: str
    name: str
    splits: dict[str, str]
    languages: tuple[str, str]
    max_lines: int
    references: bool = False


CORPORA = {
    "verses": Corpus(
        "bible-en-es",
        "{split}.{language}.gz",
        {name: name for name in PASSES},
        ("en", "es"),
        max_lines=3,
        references=True,
    ),
    "captions": Corpus(
        "multi30k",
        "tok/{split}.lc.norm.tok.{language}.gz",
        {"train": "train", "dev": "val", "test": "test_2016_flickr"},
        ("de", "en"),
        max_lines=4,
    ),
}


def read_side(corpus: Corpus, split: str, language: str) -> list[str]:
    return read(corpus_folder(corpus.folder) / corpus.name.format(split=corpus.splits[split], language=language))


def join_pairs(pairs: list[tuple[str, str]], max_lines: int, rng: random.Random) -> Iterator[tuple[str, ...]]:
    """Yield segments of one to `max_lines` pairs, with random boundaries."""
    while pairs:
        segment, pairs = pairs[: (size := rng.randint(1, max_lines))], pairs[size:]
        yield tuple(" ".join(pair[side] for pair in segment) for side in (0, 1))


def groups(corpus: Corpus, split: str) -> list[list[tuple[str, str]]]:
    """Return the pairs in groups; segments do not cross groups."""
    pairs = list(zip(*(read_side(corpus, split, language) for language in corpus.languages), strict=True))
    if not corpus.references:
        return [pairs]
    verses = zip(read_side(corpus, split, "ref"), pairs, strict=True)
    return [[pair for _, pair in group] for _, group in groupby(verses, key=lambda verse: verse[0].rpartition(".")[0])]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", choices=CORPORA)
    parser.add_argument("out", type=Path)
    arguments = parser.parse_args()
    corpus, out = CORPORA[arguments.corpus], arguments.out
    out.mkdir(parents=True, exist_ok=True)
    rng = random.Random(1)
    for split, passes in PASSES.items():
        parts = groups(corpus, split)
        segments = [
            segment for _ in range(passes) for part in parts for segment in join_pairs(part, corpus.max_lines, rng)
        ]
        for side, language in enumerate(corpus.languages):
            text = "".join(segment[side] + "\n" for segment in segments)
            (out / f"{split}.{language}").write_text(text, encoding="utf-8")
        longer = sum(len(segment[0].split()) > 30 for segment in segments)
        print(f"{split}: {len(segments):,} segments, {longer:,} of them with more than 30 source words")


if __name__ == "__main__":
    with exit_on_error():
        main()
