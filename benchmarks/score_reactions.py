"""Compare proposed reactants with those of a test set as molecules: two SMILES of the same molecules are equal.

    .venv/bin/python -m pip install rdkit
    regard translate runs/uspto50k --beam-size 10 --top-beams 10 --input test.product.gz > proposals.txt
    .venv/bin/python benchmarks/score_reactions.py proposals.txt test.reactants.gz

prints how often the reference is among the first 1, 3, 5 and 10 different proposals, and how many proposals are not
valid. PROPOSALS has the same number of lines for each line of REFERENCE, best first.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from common import exit_on_error, read

from regard.errors import DataError

RANKS = (1, 3, 5, 10)


def canonical(smiles: str) -> str | None:
    """Return the canonical SMILES of molecules separated by dots, in alphabetical order, or None if one is invalid."""
    from rdkit import Chem, RDLogger

    RDLogger.DisableLog("rdApp.*")
    molecules = [Chem.MolFromSmiles(part) if part else None for part in smiles.strip().split(".")]
    if any(molecule is None for molecule in molecules):
        return None
    return ".".join(sorted(Chem.MolToSmiles(molecule) for molecule in molecules))


def rank(proposals: list[str | None], reference: str) -> int | None:
    """Return the place of the reference among different valid proposals, from 1, or None if it is not among them."""
    different = dict.fromkeys(smiles for smiles in proposals if smiles is not None)
    return next((place for place, smiles in enumerate(different, start=1) if smiles == reference), None)


def read_references(path: Path) -> list[str]:
    """Return canonical references. Raise DataError for a line that is not of molecules."""
    references = []
    for number, line in enumerate(read(path), start=1):
        if (smiles := canonical(line)) is None:
            raise DataError(f"{line!r} is not of molecules", where=f"{path}:{number}")
        references.append(smiles)
    return references


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("proposals", type=Path, metavar="PROPOSALS")
    parser.add_argument("reference", type=Path, metavar="REFERENCE")
    arguments = parser.parse_args()
    proposals, references = read(arguments.proposals), read_references(arguments.reference)
    per_line, rest = divmod(len(proposals), len(references))
    if rest or not per_line:
        raise DataError(
            f"the file has {len(proposals):,} lines, which is no multiple of the {len(references):,} of the reference",
            where=arguments.proposals,
        )
    molecules = list(map(canonical, proposals))
    groups = [molecules[start : start + per_line] for start in range(0, len(molecules), per_line)]
    places = [rank(group, reference) for group, reference in zip(groups, references, strict=True)]
    invalid = sum(group[0] is None for group in groups)
    print(f"reactions  {len(references):,}; {invalid / len(references):.2%} of first proposals are not molecules")
    for limit in RANKS:
        if limit <= per_line:
            share = sum(place is not None and place <= limit for place in places) / len(places)
            print(f"top {limit:<6} {100 * share:.2f}")


if __name__ == "__main__":
    with exit_on_error():
        main()
