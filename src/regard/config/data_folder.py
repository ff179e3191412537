"""Where `data/...` is: the folder of corpora that `regard data get` fills."""

from __future__ import annotations

import os
from itertools import pairwise
from pathlib import Path

VARIABLE = "REGARD_DATA"
FOLDER = "data"


def data_folder() -> Path:
    """Return the folder of corpora: the one that REGARD_DATA names, or else `data` in the working folder."""
    return Path(os.environ.get(VARIABLE) or FOLDER)


def find_data_file(path: str | Path, folder: Path = Path()) -> Path:
    """Return where a file is.

    A path that begins with `data/` is looked for in the folder that REGARD_DATA names, in the folder of the recipe, in
    the folder above it, and in the working folder; the first that exists is returned.

    Args:
        path: The file. If it is absolute, or does not begin with `data/`, the result is `folder / path`.
        folder: The folder of the recipe that names the path; the working folder for other paths.
    """
    path = Path(path)
    if path.parts[:1] != (FOLDER,):
        return folder / path
    rest = Path(*path.parts[1:])
    places = [folder / path, *([folder / ".." / path, path] if folder.parts else [])]
    if os.environ.get(VARIABLE):
        places.insert(0, data_folder() / rest)
    return next((place for place in places if place.exists()), places[0])


def how_to_download(path: Path) -> str | None:
    """Return how to get a missing file `data/NAME/...`; None for files elsewhere."""
    names = [folder for parent, folder in pairwise(path.parts[:-1]) if parent == FOLDER]
    if not names:
        return None
    return (
        f"if it is one of `regard data list`, `regard data get {names[-1]}` downloads it; otherwise the "
        f"recipe says how to make it; {VARIABLE} may name the folder that has it"
    )
