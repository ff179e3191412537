"""From a recipe's [search] to the search that it asks for: sources as tokens in, hypotheses out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from pydantic import ValidationError

from regard.config.schema import SearchConfig
from regard.contract import Decoder, Memory, Seq2Seq
from regard.data.batch import pad
from regard.decoding.beam import beam_search
from regard.decoding.diverse import diverse_beam_search
from regard.decoding.exact import exact_search
from regard.decoding.greedy import greedy
from regard.decoding.hypothesis import Hypothesis
from regard.decoding.length_penalty import LengthPenalty, average, gnmt, without_empty
from regard.decoding.logits_processors import Coverage, Forbid, ForcedPrefix, Guide, Guides, NoRepeat, Require
from regard.decoding.lookahead import lookahead
from regard.decoding.sampling import Drawing, sample
from regard.decoding.shortlist import Shortlist, ShortlistDecoder, ShortlistMemory
from regard.errors import DecodingError
from regard.special_tokens import EOS

MOST_ROWS = 2048  # hypotheses of one sentence, each of which takes a row of the decoder's batch


@dataclass(frozen=True)
class Wish:
    """What one target must and must not have in it, and how it begins, as tokens."""

    require: tuple[tuple[int, ...], ...] = ()
    forbid: tuple[tuple[int, ...], ...] = ()
    prefix: tuple[int, ...] = ()


@dataclass(frozen=True)
class Sentence:
    """A source without its EOS, what is wished of its target, and the seed of its draws."""

    source: Sequence[int]
    wish: Wish = Wish()
    seed: int = 0


def length_limit(source_length: int, config: SearchConfig) -> int:
    """Return how many tokens a translation may have, EOS included: `max_length_factor * S + max_length_addend`."""
    return int(config.max_length_factor * source_length) + config.max_length_addend


def rows_of(config: SearchConfig, top_beams: int = 1) -> int:
    """Return how many hypotheses the search for one sentence keeps at a time, each in a row of the decoder's batch."""
    if config.strategy == "lookahead":
        rows: int = config.lookahead_width ** min(config.lookahead_depth - 1, 64)
        return rows
    if config.strategy == "sample":
        return top_beams
    return config.samples if config.strategy == "mbr" and config.candidates == "samples" else config.beam_size


def changed(config: SearchConfig, changes: Mapping[str, Any], top_beams: int) -> SearchConfig:
    """Return a [search] with other values for some keys; None changes nothing.

    Raises DecodingError for a value that a key cannot have, for more hypotheses than MOST_ROWS, and where the search
    does not find `top_beams` translations.
    """
    given = {key: value for key, value in changes.items() if value is not None}
    try:
        config = SearchConfig.model_validate({**config.model_dump(), **given})
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        what = ".".join(str(part) for part in first["loc"]) or "search"
        raise DecodingError(f"{what}: {first['msg']}", fix="give a value that it can have") from None
    _check_rows(config, top_beams)
    most = {"lookahead": 1, "exact": 1, "mbr": 1, "sample": top_beams}.get(config.strategy, config.beam_size)
    if not 1 <= top_beams <= most:
        raise DecodingError(
            f"top_beams is {top_beams}, where {config.strategy} search finds {most}",
            fix=f"let 1 <= top_beams <= {most}" + (", or make beam_size larger" if most > 1 else ""),
        )
    return config


def _check_rows(config: SearchConfig, top_beams: int) -> None:
    if (rows := rows_of(config, top_beams)) > MOST_ROWS:
        number = f"{rows:,}" if rows < 10**12 else "more than 10^12"
        keys = {"lookahead": "lookahead_width or lookahead_depth", "sample": "top_beams"}
        key = keys.get(config.strategy, "beam_size" if rows == config.beam_size else "samples")
        raise DecodingError(
            f"{config.strategy} search would keep {number} hypotheses of a sentence at a time; "
            f"the limit is {MOST_ROWS:,}",
            fix=f"lower {key}",
        )


@torch.inference_mode()
def search(
    model: Seq2Seq,
    sentences: Sequence[Sentence],
    config: SearchConfig,
    *,
    top_beams: int,
    with_attention: bool,
    shortlist: Shortlist | None = None,
) -> list[list[Hypothesis]]:
    """For each sentence at least one hypothesis and at most `top_beams`, best first; for mbr all its candidates.

    With a shortlist, of its tokens and those that are wished alone, whatever the config says. Raises DecodingError
    where a search is asked for what it cannot do.
    """
    device = next(model.parameters()).device
    memory = model.encode(pad([list(one.source) for one in sentences], last=EOS).to(device))
    if shortlist is None:
        return _search(model.decoder, memory, sentences, config, top_beams=top_beams, with_attention=with_attention)
    wished = [[token for phrase in (*one.wish.require, one.wish.prefix) for token in phrase] for one in sentences]
    choice = shortlist.choose([one.source for one in sentences], wished, model.decoder.vocabulary_size)
    tokens = choice.tokens.tolist()
    places = {token: place for place, token in enumerate(tokens)}
    found = _search(
        ShortlistDecoder(model.decoder, choice.tokens.to(device)),
        ShortlistMemory.of(memory, choice),
        [replace(one, wish=_placed(one.wish, places)) for one in sentences],
        config,
        top_beams=top_beams,
        with_attention=with_attention,
    )
    return [[replace(one, tokens=tuple(tokens[place] for place in one.tokens)) for one in some] for some in found]


def _placed(wish: Wish, places: Mapping[int, int]) -> Wish:
    """The same by the places of tokens; what is forbidden and has none cannot be said anyway."""
    forbid = (phrase for phrase in wish.forbid if all(token in places for token in phrase))
    require, forbidden = (
        tuple(tuple(places[token] for token in phrase) for phrase in phrases) for phrases in (wish.require, forbid)
    )
    return Wish(require, forbidden, tuple(places[token] for token in wish.prefix))


def _search(
    decoder: Decoder[Any],
    memory: Memory,
    sentences: Sequence[Sentence],
    config: SearchConfig,
    *,
    top_beams: int,
    with_attention: bool,
) -> list[list[Hypothesis]]:
    limits = [length_limit(len(one.source), config) for one in sentences]
    guide = _guide(config, [one.wish for one in sentences])
    listed = config.strategy == "mbr" and config.candidates == "beam"
    if config.strategy == "beam" or listed:
        count = config.beam_size if listed else top_beams
        return _beam(decoder, memory, limits, config, guide=guide, top_beams=count, with_attention=with_attention)
    if guide is not None:
        raise DecodingError(
            f"the strategy {config.strategy!r} knows no constraints, coverage penalty or no_repeat",
            fix="leave them out, or take the strategy beam"
            + (" or candidates=beam" if config.strategy == "mbr" else ""),
        )
    if config.strategy == "exact":
        return _exact(decoder, memory, limits, config, with_attention=with_attention)
    if config.strategy == "lookahead":
        depth, width = config.lookahead_depth, config.lookahead_width
        ones = lookahead(
            decoder, memory, limits, depth=depth, width=width, penalty=_norm(config), with_attention=with_attention
        )
        return [[one] for one in ones]
    if config.strategy == "diverse":
        found = diverse_beam_search(
            decoder,
            memory,
            limits,
            beam_size=config.beam_size,
            groups=config.groups,
            strength=config.diversity,
            penalty=_penalty(config),
            with_attention=with_attention,
        )
        return [some[:top_beams] for some in found]
    drawing = Drawing(config.temperature, config.top_k, config.top_p)
    samples = config.samples if config.strategy == "mbr" else top_beams
    seeds = [one.seed for one in sentences]
    return sample(decoder, memory, limits, samples=samples, drawing=drawing, seeds=seeds, with_attention=with_attention)


def _beam(
    decoder: Decoder[Any],
    memory: Memory,
    limits: Sequence[int],
    config: SearchConfig,
    *,
    guide: Guide | None,
    top_beams: int,
    with_attention: bool,
) -> list[list[Hypothesis]]:
    if config.beam_size == 1 and guide is None:
        ones = greedy(decoder, memory, limits, penalty=_norm(config), with_attention=with_attention)
        return [[one] for one in ones]
    return beam_search(
        decoder,
        memory,
        limits,
        beam_size=config.beam_size,
        top_beams=top_beams,
        penalty=_penalty(config),
        guide=guide,
        with_attention=with_attention,
    )


def _penalty(config: SearchConfig) -> LengthPenalty:
    return _norm(config) if config.allow_empty else without_empty(_norm(config))


def _norm(config: SearchConfig) -> LengthPenalty:
    return (average if config.length_norm == "average" else gnmt)(config.length_penalty)


def _exact(
    decoder: Decoder[Any], memory: Memory, limits: Sequence[int], config: SearchConfig, *, with_attention: bool
) -> list[list[Hypothesis]]:
    """One hypothesis a sentence: what beam search finds, unless there is a better one."""
    first = _beam(decoder, memory, limits, config, guide=None, top_beams=1, with_attention=with_attention)
    found = exact_search(
        decoder,
        memory,
        limits,
        penalty=_penalty(config),
        found=[best for best, *_ in first],
        max_steps=config.exact_steps,
        with_attention=with_attention,
    )
    return [[one] for one in found]


def _guide(config: SearchConfig, wishes: Sequence[Wish]) -> Guide | None:
    guides: list[Guide] = []
    if any(wish.prefix for wish in wishes):
        guides.append(ForcedPrefix([wish.prefix for wish in wishes]))
    if any(wish.forbid for wish in wishes):
        guides.append(Forbid([wish.forbid for wish in wishes]))
    if any(wish.require for wish in wishes):
        guides.append(Require([wish.require for wish in wishes]))
    if config.no_repeat:
        guides.append(NoRepeat(config.no_repeat))
    if config.coverage_penalty:
        guides.append(Coverage(config.coverage_penalty))
    return Guides(guides) if guides else None
