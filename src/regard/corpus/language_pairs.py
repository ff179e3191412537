"""The pairs of languages that the corpora of a recipe have, and the tags that choose between them."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Final

from regard.config.data import CorpusConfig, DataConfig

if TYPE_CHECKING:
    from babel import Locale

UNKNOWN: Final = "und"  # ISO 639: the language is undetermined


def language_pairs(data: DataConfig) -> list[tuple[str, str, tuple[str, ...]]]:
    """Return source language, target language and source tags of each pair. A tag can name the target language."""
    unique: dict[tuple[str, str, tuple[str, ...]], None] = {}
    for corpus in data.corpora or (data,):
        source, target = corpus_languages(data, corpus)
        unique[_code(source), _code(target), corpus.tags] = None
    return list(unique)


def corpus_languages(data: DataConfig, corpus: CorpusConfig) -> tuple[str, str]:
    """Return the language codes of source and target of a corpus, as the recipe writes them; empty if unknown."""
    tag_language = next((tag for tag in corpus.tags if language_name(tag) != tag), "")
    source = corpus.source_language or data.source_language
    return source, corpus.target_language or tag_language or data.target_language


def _code(language: str) -> str:
    return language.replace("_", "-").lower() or UNKNOWN


@cache
def _english() -> Locale:
    from babel import Locale

    return Locale.parse("en")


def language_name(code: str) -> str:
    """Return the English name of a language, or the code itself if it is not known."""
    base, _, rest = code.partition("-")
    name = _english().languages.get(base)
    if name is None:
        return code
    return f"{name} ({rest.upper()})" if rest else str(name)


def is_known(code: str) -> bool:
    """Return whether a code, as `language_pairs` returns them, is that of a language."""
    return code != UNKNOWN and language_name(code) != code
