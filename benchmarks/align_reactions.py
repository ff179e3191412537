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
import random
import re
from functools import partial
from itertools import permutations
from multiprocessing import Pool
from pathlib import Path
from typing import Any

from common import check_folder, count, exit_on_error, read_pair, write_gzip

from regard.errors import DataError

ATOM = re.compile(r"\[[^\]]+\]|Br|Cl|%[0-9][0-9]|.")
EDIT_WEIGHTS = (5, 1, 5)  # of an insertion, deletion and substitution: much of a product is not in one reactant
MAX_PERMUTED = 4  # more reactants stay in the order of the corpus
RANDOM_ORDERS = 40


def align_versions(job: tuple[str, str, str], versions: int, seed: int) -> list[tuple[str, str]]:
    """Return the versions of a pair.

    Args:
        job: The place of the pair, the line of the product, and the line of the reactants.
        versions: How many to return. The first has the product as it is.
        seed: Seed of the random orders.

    Raises:
        DataError: A molecule is not valid.
    """
    where, source, reactants = job
    tag, _, product = source.rpartition(" ")
    start = f"{tag} " if tag else ""
    rng = random.Random(f"{seed} {source} {reactants}")
    try:
        pairs = [(source, _align(product, reactants, rng))]
        for _ in range(versions - 1):
            rooted = _from_random_atom(product, rng)
            pairs.append((start + rooted, _align(rooted, reactants, rng)))
    except DataError as error:
        raise DataError(error.message, where=where) from None
    return pairs


def _align(product: str, reactants: str, rng: random.Random) -> str:
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
    from rdkit import Chem, RDLogger

    RDLogger.DisableLog("rdApp.*")  # it prints what is raised here
    molecule = Chem.MolFromSmiles(smiles)
    if molecule is None or not molecule.GetNumAtoms():
        raise DataError(f"{smiles!r} is not a molecule")
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    parser.add_argument("out", type=Path, metavar="OUT")
    parser.add_argument("--versions", type=count, default=2, help="of each training pair (default: 2)")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    folder, out = check_folder(arguments.folder), arguments.out
    sides = {
        split: read_pair(folder / f"{split}.product.gz", folder / f"{split}.reactants.gz") for split in ("train", "dev")
    }
    out.mkdir(parents=True, exist_ok=True)
    for split, (products, reactants) in sides.items():
        align = partial(align_versions, versions=arguments.versions if split == "train" else 1, seed=arguments.seed)
        places = (f"{folder / split}, line {line}" for line in range(1, len(products) + 1))
        with Pool() as pool:
            jobs = zip(places, products, reactants, strict=True)
            by_version = zip(*pool.imap(align, jobs, chunksize=200), strict=True)
            pairs = [pair for version in by_version for pair in version]
        write_gzip(out / f"{split}.product.gz", (source for source, _ in pairs))
        write_gzip(out / f"{split}.reactants.gz", (target for _, target in pairs))
        print(f"{split}: {len(pairs):,} pairs")


if __name__ == "__main__":
    with exit_on_error():
        main()
