"""Languages, as the names of files tell them."""

from __future__ import annotations

import re
from pathlib import Path

_LANGUAGE = re.compile(r"[a-z]{2,3}([-_]([A-Z]{2}|[A-Z][a-z]{3}))?")
_NO_LANGUAGE = (  # though written like one
    *("bin", "bpe", "csv", "dat", "dev", "gz", "hyp", "lc", "low", "new", "old", "out"),
    *("raw", "ref", "src", "tc", "tgt", "tmp", "tok", "trg", "tsv", "txt", "xz", "zip", "zst"),
)


def languages_from_names(*paths: str | Path) -> tuple[str, str]:
    """Those that the names of both files end in, or that of the one with both sides: `memory.en-de.tmx`."""
    if len(paths) == 2:
        return language_from_name(paths[0]), language_from_name(paths[1])
    for part in reversed(Path(paths[0]).name.split(".")[1:]):
        languages = part.split("-")
        if len(languages) == 2 and all(map(_LANGUAGE.fullmatch, languages)):
            return languages[0], languages[1]
    return "", ""


def language_from_name(path: str | Path) -> str:
    """The language that a file's name ends in: `train.en`, `train.de.gz`, `news.pt-BR.txt`; else nothing."""
    parts = Path(path).name.split(".")[1:]
    named = [part for part in parts if part not in _NO_LANGUAGE and _LANGUAGE.fullmatch(part)]
    return named[-1] if named else ""
