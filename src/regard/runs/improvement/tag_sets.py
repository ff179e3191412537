"""The tags of a run that is improved, and those that its corrections get.

A run that was trained with tags has a set of them for each of its languages or domains. Everywhere in an improvement
the tags of a pair are part of its source; see regard.corpus.tagged.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from regard.config.data import DataConfig
from regard.corpus.declared_languages import declared_languages
from regard.corpus.formats.compressed import format_suffix
from regard.corpus.formats.sides import Sides, matches_language
from regard.corpus.language_codes import languages_from_names
from regard.corpus.language_pairs import corpus_languages
from regard.errors import ConfigError

FORMATS_WITH_LANGUAGES: Final = (".sqlite", ".tmx", ".xlf", ".xliff")


@dataclass(frozen=True)
class TagSet:
    """Tags before each source, and the languages of the corpora that have them; empty codes are unknown."""

    tags: tuple[str, ...] = ()
    source_language: str = ""
    target_language: str = ""

    def __str__(self) -> str:
        return " ".join(f"--tag {tag}" for tag in self.tags) or "no tag"

    def has_languages(self, source: str, target: str) -> bool:
        """Return whether these can be its languages. Empty codes match any."""
        pairs = ((self.source_language, source), (self.target_language, target))
        return all(matches_language(own, code) or matches_language(code, own) for own, code in pairs if own and code)


def tag_sets(data: DataConfig) -> tuple[TagSet, ...]:
    """Return the tag sets of the corpora of a recipe, in its order. Without tags, there is one."""
    languages: dict[tuple[str, ...], list[tuple[str, str]]] = {}
    for corpus in data.corpora or (data,):
        languages.setdefault(corpus.tags, []).append(corpus_languages(data, corpus))
    return tuple(
        TagSet(tags, *(_only(codes) for codes in zip(*pairs, strict=True))) for tags, pairs in languages.items()
    )


def _only(codes: Iterable[str]) -> str:
    unique = set(codes)
    return unique.pop() if len(unique) == 1 else ""


def choose_tag_sets(sets: Sequence[TagSet], file: Path, sides: Sides, tags: Sequence[str]) -> list[TagSet]:
    """Return the tag sets that the pairs of a file may have. With several, each pair has those of its languages.

    Args:
        sets: The tag sets of the run.
        file: The file.
        sides: The languages that are requested.
        tags: The tags that are requested.

    Raises:
        ConfigError: The run does not have the tags or the languages, or it is not clear which tags to choose.
        DataError: The file is a PO file and cannot be read.
    """
    if tags:
        chosen = [known for known in sets if known.tags == tuple(tags)]
        if not chosen:
            problem = f"the run was not trained with {TagSet(tuple(tags))}"
            raise ConfigError(problem, where="--tag", fix=f"choose {_list(sets)}" if sets[0].tags else "leave it out")
        return [_with_languages(chosen[0], sides)]
    if len(sets) == 1:
        return [_with_languages(sets[0], sides)]
    named = languages_from_names(file)
    declared = declared_languages(file, sides) if format_suffix(file) == ".po" else ("", "")
    source, target = (
        requested or in_file or in_name
        for requested, in_file, in_name in zip(
            (sides.source_language, sides.target_language), declared, named, strict=True
        )
    )
    candidates = [known for known in sets if known.has_languages(source, target)]
    if not candidates:
        problem = f"the run has no tags for {source or 'any language'} to {target or 'any language'}"
        raise ConfigError(problem, where=file, fix=f"choose {_list(sets)}, or other languages")
    if len(candidates) == 1:
        return [_with_languages(candidates[0], sides)]
    pairs = [(known.source_language, known.target_language) for known in candidates]
    if format_suffix(file) in FORMATS_WITH_LANGUAGES and len(set(pairs)) == len(pairs) and all(map(all, pairs)):
        return candidates
    if without_tags := [known for known in candidates if not known.tags]:  # as `regard translate` without --tag
        return [_with_languages(without_tags[0], sides)]
    problem = "it is not clear which tags the pairs have"
    has_targets = len({target for _, target in pairs}) == len(pairs)
    fix = f"choose {_list(candidates)}" + (", or give --target-language" if has_targets else "")
    raise ConfigError(problem, where=file, fix=fix)


def _with_languages(chosen: TagSet, sides: Sides) -> TagSet:
    return replace(
        chosen,
        source_language=sides.source_language or chosen.source_language,
        target_language=sides.target_language or chosen.target_language,
    )


def _list(sets: Sequence[TagSet]) -> str:
    return ", ".join(str(known) for known in sets[:-1]) + f" or {sets[-1]}" if len(sets) > 1 else str(sets[0])
