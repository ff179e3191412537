"""Prepare historical spellings as Bollmann (2019) did, so that results compare with his.

    regard data get historical-spelling
    python benchmarks/prepare_spelling.py data/historical-spelling OUT --tokens 25000

reads FOLDER/NAME.{train,dev,test}.tsv.gz and writes files of the same names to OUT. A line holds a historical word and
its modern spelling. Both are normalized to NFC and lowercased. Dropped are empty lines, which end sentences, lines
without text in one column, and lines where a column is only punctuation. If both columns are the same, their digits
become zeros. Of the training set the first `--tokens` of the remaining lines are kept.

Source: M. Bollmann, "A Large-Scale Comparison of Historical Text Normalization Systems", NAACL 2019, section 4. Unlike
there, spaces within a word stay spaces.
"""

from __future__ import annotations

import argparse
import re
import unicodedata
from pathlib import Path

from common import count, exit_on_error, read, write_gzip

from regard.errors import DataError

SPLITS = ("train", "dev", "test")
_DIGIT = re.compile("[0-9]")


def prepare_line(line: str, where: str) -> tuple[str, str] | None:
    """Return both columns of a line as the model sees them; None if the line is dropped.

    Raises:
        DataError: The line has more than two columns; `where` names it.
    """
    columns = [unicodedata.normalize("NFC", column.strip()).lower() for column in line.split("\t")]
    if len(columns) < 2 or not all(columns) or any(map(is_punctuation, columns)):
        return None
    if len(columns) > 2:
        raise DataError(f"the line has {len(columns)} columns instead of two", where=where)
    historical, modern = columns
    if historical == modern:
        historical = modern = _DIGIT.sub("0", historical)
    return historical, modern


def is_punctuation(text: str) -> bool:
    """Return whether every character has a Unicode category of punctuation (P)."""
    return all(unicodedata.category(character).startswith("P") for character in text)


def prepare_file(path: Path) -> list[tuple[str, str]]:
    """Return the remaining lines of a file. Raises DataError."""
    pairs = (prepare_line(line, f"{path}:{number}") for number, line in enumerate(read(path), start=1))
    return [pair for pair in pairs if pair]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    parser.add_argument("out", type=Path, metavar="OUT")
    parser.add_argument("--tokens", type=count, default=25_000, help="size of each training set (default: 25000)")
    arguments = parser.parse_args()
    names = sorted(path.name.removesuffix(".train.tsv.gz") for path in arguments.folder.glob("*.train.tsv.gz"))
    if not names:
        raise DataError("the folder contains no NAME.train.tsv.gz", where=arguments.folder)
    arguments.out.mkdir(parents=True, exist_ok=True)
    for name in names:
        sizes = []
        for split in SPLITS:
            file = f"{name}.{split}.tsv.gz"
            pairs = prepare_file(arguments.folder / file)[: arguments.tokens if split == "train" else None]
            write_gzip(arguments.out / file, map("\t".join, pairs))
            sizes.append(f"{split} {len(pairs):,}")
        print(f"{name}: {', '.join(sizes)} words")


if __name__ == "__main__":
    with exit_on_error():
        main()
