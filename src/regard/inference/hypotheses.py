"""From the text and the constraints of a line to tokens, and from the hypotheses of a search to translations."""

from __future__ import annotations

from collections.abc import Sequence

from regard.decoding.hypothesis import Hypothesis
from regard.decoding.strategies import SearchInput, TokenConstraints
from regard.evaluation.degenerate_output import COMPARED, find_degeneration
from regard.inference.lines import Line
from regard.inference.terms import RunTerms, TaggedSource
from regard.inference.translation import Translation
from regard.special_tokens import EOS
from regard.text.model_input import ModelInput
from regard.tokenizers.base import Tokenizers
from regard.tokenizers.columns import count_columns
from regard.tokenizers.words import WordMap, encode_prefix


def tag_source(line: Line, tokenizers: Tokenizers, terms: RunTerms) -> TaggedSource:
    """Return the source of a line as tokens, with tags around its terms if the line asks for it."""
    source = tokenizers.source.encode(line.text)
    return terms.tag(source, line.text, line.constraints.terms if line.tags_terms else ())


def search_input(line: Line, source: TaggedSource, tokenizers: Tokenizers, terms: RunTerms, seed: int) -> SearchInput:
    """Return what the search gets for a line."""
    target, constraints = tokenizers.target, line.constraints
    require, forbid = (
        tuple(tuple(target.encode(phrase)) for phrase in phrases if phrase.strip())
        for phrases in (constraints.require, constraints.forbid)
    )
    prefix, not_next = encode_prefix(target, constraints.prefix, line.place)
    line_seed = seed * 1_000_003 + line.number + line.part * 2_147_483_647
    required = terms.constraints(constraints.terms if line.requires_terms else ())
    return SearchInput(
        source.tokens, TokenConstraints(require, forbid, prefix, not_next=not_next, **required), line_seed % 2**63
    )


def read_hypotheses(
    hypotheses: Sequence[Hypothesis], source: TaggedSource, line: ModelInput, tokenizers: Tokenizers
) -> list[Translation]:
    """Return hypotheses as text, with the emoji and the capitals of their source."""
    return [_read(source.without_tags(hypothesis), source.original, line, tokenizers) for hypothesis in hypotheses]


def _read(hypothesis: Hypothesis, source: Sequence[int], line: ModelInput, tokenizers: Tokenizers) -> Translation:
    attention = None
    links: tuple[tuple[int, int], ...] = ()
    if hypothesis.attention is not None:
        attention = hypothesis.attention.float().cpu().numpy()
        links = WordMap.from_ids(tokenizers, source, hypothesis.tokens).link_words(attention)
    decoded = tokenizers.target.decode(hypothesis.tokens)
    restored = line.insert(decoded, links)
    tokens = tuple(tokenizers.target.pieces(hypothesis.tokens))
    finished = hypothesis.finished
    marks = find_degeneration(line.text, decoded, tokens, finished=finished, languages=line.languages)
    if count_columns(tokenizers.source) > 1:
        marks = tuple(mark for mark in marks if mark not in COMPARED)
    return Translation(
        text=restored.text,
        score=hypothesis.score,
        log_probability=hypothesis.log_probability,
        tokens=tokens,
        source_tokens=tuple(tokenizers.source.pieces([*source, EOS])),
        attention=attention,
        alignment=restored.align(links),
        finished=finished,
        marks=marks,
        proved=hypothesis.proved,
        ids=tuple(hypothesis.tokens),
        token_log_probabilities=hypothesis.token_log_probabilities,
        restored=restored.inserted,
    )
