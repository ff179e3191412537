"""Write the reactions of USPTO-50k without the spaces that separate their characters.

    regard data get uspto50k
    python benchmarks/prepare_reactions.py data/uspto50k OUT

reads FOLDER/{train,dev,test}.{product,reactants}.gz and writes files of the same names to OUT. A line such as
`<RX_1> C C O C ( = O ) C l` becomes `<RX_1> CCOC(=O)Cl`: the class of the reaction, a space, and SMILES that a
tokenizer can cut into atoms (`tokenizer.kind = "pattern"`) or into learned pieces (`"bpe"`).
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path

from common import check_folder, exit_on_error, read, write_gzip

from regard.errors import DataError

FILES = [f"{split}.{side}.gz" for split in ("train", "dev", "test") for side in ("product", "reactants")]
_CLASS = re.compile(r"<RX_[0-9]+> ")


def join_characters(line: str, where: str) -> str:
    """Return a line without the spaces between its characters; the class before them stays.

    Raises:
        DataError: The line is not made of single characters with spaces between them; `where` names it.
    """
    tag = match.group() if (match := _CLASS.match(line)) else ""
    characters = line.removeprefix(tag).split(" ")
    if any(len(character) != 1 for character in characters):
        raise DataError("the line is not made of single characters with spaces between them", where=where)
    return tag + "".join(characters)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    parser.add_argument("out", type=Path, metavar="OUT")
    arguments = parser.parse_args()
    check_folder(arguments.folder)
    arguments.out.mkdir(parents=True, exist_ok=True)
    for file in FILES:
        path = arguments.folder / file
        lines = [join_characters(line, f"{path}:{number}") for number, line in enumerate(read(path), start=1)]
        write_gzip(arguments.out / file, lines)
        print(f"{file}: {len(lines):,} lines")


if __name__ == "__main__":
    with exit_on_error():
        main()
