"""Options of the search and of `Translator.translate`, as keyword arguments."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypedDict

from regard.config.schema import SearchConfig
from regard.errors import ConfigError, suggest
from regard.inference.terms import GlossaryMethod, TermOptions
from regard.inference.translation import Constraints
from regard.terms.glossary import Glossary
from regard.text.segments import Division


class SearchOptions(TypedDict, total=False):
    """Search options that override the recipe's [search]. `SearchConfig` describes each key."""

    strategy: str
    beam_size: int
    length_penalty: float
    length_norm: Literal["gnmt", "average"]
    patience: float
    max_length_factor: float
    max_length_addend: int
    allow_empty: bool
    coverage_penalty: float
    no_repeat: int
    groups: int
    diversity: float
    lookahead_depth: int
    lookahead_width: int
    exact_steps: int
    candidates: Literal["samples", "beam"]
    samples: int
    temperature: float
    top_k: int
    top_p: float
    seed: int
    shortlist: bool


class TranslateOptions(SearchOptions, total=False):
    """All options of `Translator.translate` and `Translator.stream`: those of the search, and these.

    Attributes:
        top_beams: How many translations to return for each line. The best one holds the others as `alternatives`.
        batch_size: The most lines in one batch; more does not change a translation, only the speed.
        with_attention: Whether to return attention weights and word alignments.
        constraints: For each line, what its translation must and must not contain.
        fallback: Search options for a second try at lines whose best translation looks degenerate. The translation
            with fewer marks is kept.
        first_line: The number of the first line, from 0. The random numbers of sampling depend on it.
        split_sentences: Whether to translate a line sentence by sentence; None: see `Translator.division`.
        glossary: A glossary or its file (.tsv, .csv or .tbx); None: `glossary.tsv`, `.csv` or `.tbx` in the folder of
            the run, if there is one; "none": no glossary.
        glossary_method: How its terms get into translations: by `tags` in the source, by constrained `search`, by
            `both`, or `auto`: `both` if the run was trained with terms, else `search`.
    """

    top_beams: int
    batch_size: int
    with_attention: bool
    constraints: Iterable[Constraints] | None
    fallback: SearchOptions | None
    first_line: int
    split_sentences: bool | None
    glossary: Glossary | Path | str | None
    glossary_method: GlossaryMethod


def refuse_unknown(options: Iterable[str]) -> None:
    """Raise ConfigError for an option that `Translator.translate` does not have. The message names the nearest one."""
    valid = TranslateOptions.__annotations__
    for name in options:
        if name not in valid:
            raise ConfigError(f"unknown option `{name}`", fix=suggest(name, valid))


@dataclass(frozen=True)
class ResolvedOptions:
    """Options of `Translator.translate` after those of the recipe are filled in."""

    search: SearchConfig
    fallback: SearchConfig | None
    top_beams: int
    batch_size: int
    with_attention: bool
    division: Division
    terms: TermOptions = field(default_factory=TermOptions)
