"""Search strategies: from a recipe's [search] to the search that it describes. Source tokens in, hypotheses out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from pydantic import ValidationError

from regard.config.schema import SearchConfig
from regard.contract import Decoder, Memory, Seq2Seq
from regard.data.batch import pad
from regard.decoding.beam import beam_search
from regard.decoding.beam_state import BeamSettings
from regard.decoding.diverse import diverse_beam_search
from regard.decoding.exact import exact_search
from regard.decoding.greedy import greedy_search
from regard.decoding.hypothesis import Hypothesis
from regard.decoding.length_penalty import LengthPenalty, average, forbid_empty, gnmt
from regard.decoding.logits_processors import (
    CoveragePenalty,
    ForbiddenPhrases,
    ForcedPrefix,
    LogitsProcessor,
    LogitsProcessorList,
    NoRepeatNGram,
)
from regard.decoding.lookahead import lookahead_search
from regard.decoding.required_terms import RequiredTerm, RequiredTerms, TokenClasses
from regard.decoding.sampling import SamplingParams, sample
from regard.decoding.shortlist import Shortlist, ShortlistDecoder, ShortlistMemory
from regard.errors import ConfigError, DecodingError, suggest
from regard.plugins.registry import WithPlugins
from regard.special_tokens import EOS

MAX_ROWS = 2048  # hypotheses of a sentence kept at a time; each takes a row of the decoder's batch


@dataclass(frozen=True)
class TokenConstraints:
    """Phrases and terms that a target must and must not contain, how it begins, and what must not follow, as tokens.

    Attributes:
        require: Phrases that it must contain.
        forbid: Phrases that it must not contain.
        prefix: How it begins.
        terms: Terms of each of which it must contain a form.
        classes: Where words begin and end, for `terms`; the same for all sentences of a batch.
        not_next: Tokens that must not follow the prefix.
    """

    require: tuple[tuple[int, ...], ...] = ()
    forbid: tuple[tuple[int, ...], ...] = ()
    prefix: tuple[int, ...] = ()
    terms: tuple[RequiredTerm, ...] = ()
    classes: TokenClasses = field(default_factory=TokenClasses, repr=False)
    not_next: frozenset[int] = field(default=frozenset(), repr=False)

    @property
    def required_tokens(self) -> list[int]:
        """The tokens that the target may need."""
        forms = [form for term in self.terms for form in term.all_forms]
        return [token for phrase in (*self.require, *forms, self.prefix) for token in phrase]

    @property
    def required_terms(self) -> list[RequiredTerm]:
        """The terms, and the phrases as terms with one form."""
        return [*self.terms, *(RequiredTerm((phrase,)) for phrase in self.require)]


@dataclass(frozen=True)
class SearchInput:
    """A source sentence without EOS, the constraints on its target, and the seed of its samples."""

    source: Sequence[int]
    constraints: TokenConstraints = TokenConstraints()
    seed: int = 0


@dataclass(frozen=True)
class Batch:
    """What a strategy searches: encoded sentences, and how."""

    decoder: Decoder[Any]
    memory: Memory
    limits: Sequence[int]
    seeds: Sequence[int]
    config: SearchConfig
    top_beams: int
    processor: LogitsProcessor | None
    with_attention: bool


@dataclass(frozen=True)
class Strategy:
    """A search strategy.

    Attributes:
        search: Returns the hypotheses of each sentence of a batch, best first.
        rows: Returns how many hypotheses of a sentence it keeps at a time, given the config and `top_beams`.
        max_results: Returns how many translations of a sentence it can give, given the config and `top_beams`.
        rows_option: The option that determines the number of rows.
        has_processors: Whether it supports constraints and other logits processors.
    """

    search: Callable[[Batch], list[list[Hypothesis]]]
    rows: Callable[[SearchConfig, int], int] = lambda config, top_beams: config.beam_size
    max_results: Callable[[SearchConfig, int], int] = lambda config, top_beams: config.beam_size
    rows_option: str = "beam_size"
    has_processors: bool = False


def length_limit(source_length: int, config: SearchConfig) -> int:
    """Return how many tokens a translation may have, EOS included: `max_length_factor * S + max_length_addend`."""
    return int(config.max_length_factor * source_length) + config.max_length_addend


def rows_per_sentence(config: SearchConfig, top_beams: int = 1) -> int:
    """Return how many hypotheses of a sentence the search keeps at a time, each in a row of the decoder's batch."""
    return _strategy_of(config).rows(config, top_beams)


def override_search(config: SearchConfig, options: Mapping[str, Any], top_beams: int) -> SearchConfig:
    """Return a [search] with other values for some keys; None keeps the value.

    Raises:
        ConfigError: If there is no such option. The message names the nearest one.
        DecodingError: If a value is out of range, the search would keep more than MAX_ROWS hypotheses of a sentence,
            or it cannot return `top_beams` translations.
    """
    for option in options:
        if option not in SearchConfig.model_fields:
            raise ConfigError(f"there is no search option `{option}`", fix=suggest(option, SearchConfig.model_fields))
    changes = {option: value for option, value in options.items() if value is not None}
    try:
        config = SearchConfig.model_validate({**config.model_dump(), **changes})
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        option = ".".join(str(part) for part in first["loc"]) or "search"
        raise DecodingError(f"{option}: {first['msg']}", fix="give a valid value") from None
    _check_rows(config, top_beams)
    most = _strategy_of(config).max_results(config, top_beams)
    if not 1 <= top_beams <= most:
        raise DecodingError(
            f"top_beams is {top_beams}, but {config.strategy} search finds {most}",
            fix=f"set top_beams to at least 1 and at most {most}"
            + (", or raise beam_size" if most > 1 or config.strategy == "beam" else ""),
        )
    return config


def _check_rows(config: SearchConfig, top_beams: int) -> None:
    if (rows := rows_per_sentence(config, top_beams)) > MAX_ROWS:
        number = f"{rows:,}" if rows < 10**12 else "more than 10^12"
        raise DecodingError(
            f"{config.strategy} search would keep {number} hypotheses of a sentence at a time; "
            f"the limit is {MAX_ROWS:,}",
            fix=f"lower {_strategy_of(config).rows_option}",
        )


@torch.inference_mode()
def search(
    model: Seq2Seq,
    inputs: Sequence[SearchInput],
    config: SearchConfig,
    *,
    top_beams: int,
    with_attention: bool,
    shortlist: Shortlist | None = None,
) -> list[list[Hypothesis]]:
    """Return for each sentence between one and `top_beams` hypotheses, best first; for MBR, all its candidates.

    With a shortlist, targets consist of its tokens and those of the constraints, whatever the config says. Raises
    DecodingError if the strategy does not support the constraints.
    """
    device = next(model.parameters()).device
    memory = model.encode(pad([list(sentence.source) for sentence in inputs], last=EOS).to(device))
    options: dict[str, Any] = {"top_beams": top_beams, "with_attention": with_attention}
    if shortlist is None:
        return _search(model.decoder, memory, inputs, config, **options)
    required = [sentence.constraints.required_tokens for sentence in inputs]
    batch = shortlist.choose([sentence.source for sentence in inputs], required, model.decoder.vocabulary_size)
    tokens = batch.tokens.tolist()
    positions = {token: position for position, token in enumerate(tokens)}
    results = _search(
        ShortlistDecoder(model.decoder, batch.tokens.to(device)),
        ShortlistMemory.of(memory, batch),
        [replace(sentence, constraints=_as_positions(sentence.constraints, positions)) for sentence in inputs],
        config,
        **options,
    )
    return [
        [replace(best, tokens=tuple(tokens[position] for position in best.tokens)) for best in hypotheses]
        for hypotheses in results
    ]


def _as_positions(constraints: TokenConstraints, positions: Mapping[int, int]) -> TokenConstraints:
    """Return constraints on positions in a shortlist. A forbidden phrase with a token outside it cannot occur."""
    forbid = (phrase for phrase in constraints.forbid if all(token in positions for token in phrase))

    def convert(phrases: Iterable[tuple[int, ...]]) -> tuple[tuple[int, ...], ...]:
        return tuple(tuple(positions[token] for token in phrase) for phrase in phrases)

    terms = (
        RequiredTerm(convert(term.forms), convert(term.at_start), convert(term.after_punctuation), term.is_word)
        for term in constraints.terms
    )
    continuing, punctuation, not_next = (
        frozenset(positions[token] for token in tokens if token in positions)
        for tokens in (constraints.classes.continuing, constraints.classes.punctuation, constraints.not_next)
    )
    (prefix,) = convert([constraints.prefix])
    classes = TokenClasses(continuing, punctuation)
    return TokenConstraints(convert(constraints.require), convert(forbid), prefix, tuple(terms), classes, not_next)


def _search(
    decoder: Decoder[Any],
    memory: Memory,
    inputs: Sequence[SearchInput],
    config: SearchConfig,
    *,
    top_beams: int,
    with_attention: bool,
) -> list[list[Hypothesis]]:
    strategy = _strategy_of(config)
    limits = [length_limit(len(sentence.source), config) for sentence in inputs]
    processor = _processor(config, [sentence.constraints for sentence in inputs])
    if processor is not None and not strategy.has_processors:
        raise DecodingError(
            f"strategy {config.strategy!r} does not support constraints, coverage_penalty or no_repeat",
            fix="leave them out, or use strategy=beam" + (" or candidates=beam" if config.strategy == "mbr" else ""),
        )
    seeds = [sentence.seed for sentence in inputs]
    return strategy.search(Batch(decoder, memory, limits, seeds, config, top_beams, processor, with_attention))


def _processor(config: SearchConfig, constraints: Sequence[TokenConstraints]) -> LogitsProcessor | None:
    processors: list[LogitsProcessor] = []
    if any(sentence.prefix for sentence in constraints):
        not_next = [sentence.not_next for sentence in constraints]
        processors.append(ForcedPrefix([sentence.prefix for sentence in constraints], not_next))
    if any(sentence.forbid for sentence in constraints):
        processors.append(ForbiddenPhrases([sentence.forbid for sentence in constraints]))
    if any(sentence.require or sentence.terms for sentence in constraints):
        classes = next((sentence.classes for sentence in constraints if sentence.terms), TokenClasses())
        processors.append(RequiredTerms([sentence.required_terms for sentence in constraints], classes))
    if config.no_repeat:
        processors.append(NoRepeatNGram(config.no_repeat))
    if config.coverage_penalty:
        processors.append(CoveragePenalty(config.coverage_penalty))
    return LogitsProcessorList(processors) if processors else None


def _penalty(config: SearchConfig) -> LengthPenalty:
    return _norm(config) if config.allow_empty else forbid_empty(_norm(config))


def _norm(config: SearchConfig) -> LengthPenalty:
    return (average if config.length_norm == "average" else gnmt)(config.length_penalty)


def _beam(batch: Batch) -> list[list[Hypothesis]]:
    """Search with a beam; a beam of size 1 without processors is greedy search."""
    if batch.config.beam_size == 1 and batch.processor is None:
        results = greedy_search(
            batch.decoder,
            batch.memory,
            batch.limits,
            penalty=_norm(batch.config),
            with_attention=batch.with_attention,
        )
        return [[best] for best in results]
    return beam_search(
        batch.decoder,
        batch.memory,
        batch.limits,
        BeamSettings(
            beam_size=batch.config.beam_size,
            penalty=_penalty(batch.config),
            top_beams=batch.top_beams,
            patience=batch.config.patience,
        ),
        processor=batch.processor,
        with_attention=batch.with_attention,
    )


def _diverse(batch: Batch) -> list[list[Hypothesis]]:
    results = diverse_beam_search(
        batch.decoder,
        batch.memory,
        batch.limits,
        BeamSettings(beam_size=batch.config.beam_size, penalty=_penalty(batch.config), patience=batch.config.patience),
        groups=batch.config.groups,
        strength=batch.config.diversity,
        with_attention=batch.with_attention,
    )
    return [hypotheses[: batch.top_beams] for hypotheses in results]


def _lookahead(batch: Batch) -> list[list[Hypothesis]]:
    results = lookahead_search(
        batch.decoder,
        batch.memory,
        batch.limits,
        depth=batch.config.lookahead_depth,
        width=batch.config.lookahead_width,
        penalty=_norm(batch.config),
        with_attention=batch.with_attention,
    )
    return [[best] for best in results]


def _exact(batch: Batch) -> list[list[Hypothesis]]:
    """Search exactly, with the result of beam search as the initial hypothesis."""
    results = exact_search(
        batch.decoder,
        batch.memory,
        batch.limits,
        penalty=_penalty(batch.config),
        initial=[best for best, *_ in _beam(replace(batch, top_beams=1))],
        max_steps=batch.config.exact_steps,
        with_attention=batch.with_attention,
    )
    return [[best] for best in results]


def _sample(batch: Batch) -> list[list[Hypothesis]]:
    config = batch.config
    return sample(
        batch.decoder,
        batch.memory,
        batch.limits,
        samples=batch.top_beams,
        params=SamplingParams(config.temperature, config.top_k, config.top_p),
        seeds=batch.seeds,
        with_attention=batch.with_attention,
    )


_STRATEGIES = {
    "beam": Strategy(_beam, has_processors=True),
    "diverse": Strategy(_diverse),
    "lookahead": Strategy(
        _lookahead,
        rows=lambda config, top_beams: int(config.lookahead_width ** min(config.lookahead_depth - 1, 64)),
        max_results=lambda config, top_beams: 1,
        rows_option="lookahead_width or lookahead_depth",
    ),
    "exact": Strategy(_exact, max_results=lambda config, top_beams: 1),
    "sample": Strategy(
        _sample,
        rows=lambda config, top_beams: top_beams,
        max_results=lambda config, top_beams: top_beams,
        rows_option="top_beams",
    ),
    "mbr": Strategy(
        lambda batch: _sample(replace(batch, top_beams=batch.config.samples)),
        rows=lambda config, top_beams: config.samples,
        max_results=lambda config, top_beams: 1,
        rows_option="samples",
    ),
}

STRATEGIES: Mapping[str, Strategy] = WithPlugins("searches", _STRATEGIES)

_MBR_OF_BEAM = Strategy(  # mbr with candidates=beam
    lambda batch: _beam(replace(batch, top_beams=batch.config.beam_size)),
    max_results=lambda config, top_beams: 1,
    has_processors=True,
)


def _strategy_of(config: SearchConfig) -> Strategy:
    if config.strategy == "mbr" and config.candidates == "beam":
        return _MBR_OF_BEAM
    return STRATEGIES[config.strategy]
