"""Write each reactant of USPTO-50k so that its SMILES resembles that of the product, for training only.

    .venv/bin/python -m pip install rdkit rapidfuzz
    .venv/bin/python benchmarks/align_reactions.py FOLDER OUT --versions 2

reads {train,dev}.{product,reactants}.gz as `prepare_reactions.py` writes them, and writes files of the same names to
OUT. A molecule has many SMILES; a canonical one may begin at another atom as soon as one bond differs, so that a model
must learn to reorder before it can learn to react. Here the reactants' SMILES are those, of all starting atoms and of
some random orders, with the fewest edits from the product's, and their order is that of the fewest edits as well
(compare "Root-aligned SMILES", Zhong et al. 2022, who align by numbered atoms, which this corpus does not have).

Version 1 of a training pair has the product as it is; each further one begins at a random atom of it. The dev set has
version 1 alone. Score with `score_reactions.py`, which compares molecules and not their spelling.
"""

from __future__ import annotations

import argparse
import gzip
import random
import re
from itertools import permutations
from multiprocessing import Pool
from pathlib import Path
from typing import Any

from common import count, exit_on_error, fail, read_pair

from regard.errors import DataError

ATOM = re.compile(r"\[[^\]]+\]|Br|Cl|%[0-9][0-9]|.")
EDIT_WEIGHTS = (5, 1, 5)  # of an insertion, deletion and substitution: much of a product is not in one reactant
MAX_PERMUTED = 4  # more reactants stay in the order of the corpus
RANDOM_ORDERS = 40


class Aligner:
    """Chooses SMILES of reactants that resemble a product's.

    Attributes:
        versions: How often each pair is written.
        seed: Seed of the random orders.
    """

    def __init__(self, versions: int, seed: int) -> None:
        self.versions = versions
        self.seed = seed

    def __call__(self, job: tuple[int, str, str]) -> list[tuple[str, str]]:
        """Return the versions of a pair: its number, the line of the product, and that of the reactants."""
        number, source, reactants = job
        tag, _, product = source.rpartition(" ")
        start = f"{tag} " if tag else ""
        rng = random.Random(f"{self.seed} {number}")
        pairs = [(source, self._align(product, reactants, rng))]
        for _ in range(self.versions - 1):
            rooted = _from_random_atom(product, rng)
            pairs.append((start + rooted, self._align(rooted, reactants, rng)))
        return pairs

    def _align(self, product: str, reactants: str, rng: random.Random) -> str:
        from rapidfuzz.distance import Levenshtein

        tokens = ATOM.findall(product)

        def edits(smiles: str) -> int:
            return int(Levenshtein.distance(tokens, ATOM.findall(smiles), weights=EDIT_WEIGHTS))

        molecules = [min(_spellings(molecule, rng), key=edits) for molecule in reactants.split(".")]
        if len(molecules) > MAX_PERMUTED:
            return ".".join(molecules)
        orders = [".".join(order) for order in permutations(molecules)]
        return min(orders, key=lambda smiles: Levenshtein.distance(tokens, ATOM.findall(smiles)))


def _molecule(smiles: str) -> Any:
    from rdkit import Chem

    if (molecule := Chem.MolFromSmiles(smiles)) is None:
        raise DataError(f"{smiles} is not a molecule")
    return molecule


def _from_random_atom(smiles: str, rng: random.Random) -> str:
    from rdkit import Chem

    molecule = _molecule(smiles)
    return str(Chem.MolToSmiles(molecule, rootedAtAtom=rng.randrange(molecule.GetNumAtoms())))


def _spellings(smiles: str, rng: random.Random) -> list[str]:
    """Return SMILES of a molecule: the one given first, so that it stays if none is closer to the product."""
    from rdkit import Chem

    molecule = _molecule(smiles)
    atoms = range(molecule.GetNumAtoms())
    rooted = [Chem.MolToSmiles(molecule, rootedAtAtom=atom) for atom in atoms]
    in_order = [Chem.MolToSmiles(molecule, rootedAtAtom=atom, canonical=False) for atom in atoms]
    seed = rng.randrange(1, 1 << 30)
    return [smiles, *rooted, *in_order, *Chem.MolToRandomSmilesVect(molecule, RANDOM_ORDERS, randomSeed=seed)]


def write(path: Path, lines: list[str]) -> None:
    path.write_bytes(gzip.compress("".join(f"{line}\n" for line in lines).encode(), mtime=0))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    parser.add_argument("out", type=Path, metavar="OUT")
    parser.add_argument("--versions", type=count, default=2, help="of each training pair (default: 2)")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    folder, out = arguments.folder, arguments.out
    if not folder.is_dir():
        raise DataError("there is no such folder", where=folder)
    sides = {
        split: read_pair(folder / f"{split}.product.gz", folder / f"{split}.reactants.gz") for split in ("train", "dev")
    }
    out.mkdir(parents=True, exist_ok=True)
    for split, (products, reactants) in sides.items():
        align = Aligner(arguments.versions if split == "train" else 1, arguments.seed)
        with Pool() as pool:
            jobs = zip(range(len(products)), products, reactants, strict=True)
            versions = list(zip(*pool.imap(align, jobs, chunksize=200), strict=True))
        pairs = [pair for version in versions for pair in version]
        write(out / f"{split}.product.gz", [source for source, _ in pairs])
        write(out / f"{split}.reactants.gz", [target for _, target in pairs])
        print(f"{split}: {len(pairs):,} pairs")


if __name__ == "__main__":
    with exit_on_error():
        try:
            main()
        except ModuleNotFoundError as error:
            fail(f"{error.name} is not installed; run: python -m pip install rdkit rapidfuzz")
