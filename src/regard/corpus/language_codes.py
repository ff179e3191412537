"""Codes of languages, and where file names have them."""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path

_LANGUAGE = re.compile(r"[a-z]{2,3}([-_]([A-Z]{2}|[A-Z][a-z]{3}))?")
_NOT_LANGUAGES = (  # though they look like codes
    *("bin", "bpe", "csv", "dat", "dev", "gz", "hyp", "lc", "low", "new", "old", "out"),
    *("raw", "ref", "src", "tc", "tgt", "tmp", "tok", "trg", "tsv", "txt", "xz", "zip", "zst"),
)


@lru_cache(256)
def base_code(language: str) -> str:
    """Return a code without country and script, in lower case: `de` for `de_AT`."""
    return language.strip().replace("_", "-").partition("-")[0].lower()


def languages_from_names(*paths: str | Path) -> tuple[str, str]:
    """Return the languages in the names of two files, or of one file with both sides: `memory.en-de.tmx`."""
    if len(paths) == 2:
        return language_from_name(paths[0]), language_from_name(paths[1])
    for part in reversed(Path(paths[0]).name.split(".")[1:]):
        languages = part.split("-")
        if len(languages) == 2 and all(map(_LANGUAGE.fullmatch, languages)):
            return languages[0], languages[1]
    return "", ""


def language_from_name(path: str | Path) -> str:
    """Return the language at the end of a file name (`train.en`, `train.de.gz`, `news.pt-BR.txt`), or `""`."""
    parts = Path(path).name.split(".")[1:]
    languages = [part for part in parts if part not in _NOT_LANGUAGES and _LANGUAGE.fullmatch(part)]
    return languages[-1] if languages else ""
