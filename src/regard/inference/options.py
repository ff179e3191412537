"""Options of the search and of `Translator.translate`, as keyword arguments."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypedDict

from regard.config.schema import SearchConfig
from regard.errors import ConfigError, DecodingError, suggest
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
    keep_numbers: bool
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
        with_confidence: Whether to return the confidence of each translation and of its words.
        min_confidence: A segment whose best translation has less confidence stays untranslated; None: no segment does.
            Confidence is then returned, too.
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
    with_confidence: bool
    min_confidence: float | None


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
    with_confidence: bool = False
    min_confidence: float | None = None
    terms: TermOptions = field(default_factory=TermOptions)


def resolve_options(
    options: TranslateOptions,
    settings: Callable[[SearchOptions, int], SearchConfig],
    division: Callable[[bool | None], Division],
    terms: Callable[[Glossary | Path | str | None, GlossaryMethod], TermOptions],
) -> ResolvedOptions:
    """Return all options but `constraints` and `first_line`, which must be removed before.

    Args:
        options: The options, which are taken apart.
        settings: Returns the [search] with changes that can return a number of translations.
        division: Returns how texts are divided.
        terms: Returns how the terms of a glossary are translated.

    Raises:
        ConfigError: There is no such option.
        DataError: The glossary cannot be read.
        DecodingError: Options contradict each other, or the model lacks what they need.
    """
    top_beams, batch_size = options.pop("top_beams", 1), options.pop("batch_size", 64)
    with_attention = options.pop("with_attention", False)
    fallback, divided = options.pop("fallback", None), division(options.pop("split_sentences", None))
    min_confidence = options.pop("min_confidence", None)
    with_confidence = options.pop("with_confidence", False) or min_confidence is not None
    term_options = terms(options.pop("glossary", None), options.pop("glossary_method", "auto"))
    search: SearchOptions = options  # what is left
    config = settings(search, top_beams)
    if batch_size < 1:
        raise DecodingError(f"batch_size is {batch_size}", fix="set it to at least 1")
    if min_confidence is not None and not 0 <= min_confidence <= 1:
        raise DecodingError(f"min_confidence is {min_confidence}", fix="set it to a probability, 0 to 1")
    second = None if fallback is None else settings({**search, **fallback}, top_beams)
    return ResolvedOptions(
        config, second, top_beams, batch_size, with_attention, divided, with_confidence, min_confidence, term_options
    )
