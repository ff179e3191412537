"""Languages, as the names of files tell them."""

from __future__ import annotations

import re
from pathlib import Path

_LANGUAGE = re.compile(r"[a-z]{2,3}([-_]([A-Z]{2}|[A-Z][a-z]{3}))?")
_NO_LANGUAGE = (  # though written like one
    *("bin", "bpe", "csv", "dat", "dev", "gz", "hyp", "lc", "low", "new", "old", "out"),
    *("raw", "ref", "src", "tc", "tgt", "tmp", "tok", "trg", "tsv", "txt", "xz", "zip", "zst"),
)


def languages_of(*paths: str | Path) -> tuple[str, str]:
    """Those that the names of both files end in, or that of the one with both sides: `memory.en-de.tmx`."""
    if len(paths) == 2:
        return language_of(paths[0]), language_of(paths[1])
    for part in reversed(Path(paths[0]).name.split(".")[1:]):
        languages = part.split("-")
        if len(languages) == 2 and all(map(_LANGUAGE.fullmatch, languages)):
            return languages[0], languages[1]
    return "", ""


def language_of(path: str | Path) -> str:
    """The language that a file's name ends in: `train.en`, `train.de.gz`, `news.pt-BR.txt`; else nothing."""
    parts = Path(path).name.split(".")[1:]
    named = [part for part in parts if part not in _NO_LANGUAGE and _LANGUAGE.fullmatch(part)]
    return named[-1] if named else ""
