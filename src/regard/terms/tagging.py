"""Inline term tags: wanted target terms next to source terms (Dinu et al. 2019, Bergmanis and Pinnis 2021).

The source `the <term> window manager <as> Fensterverwaltung </term> quits` asks for Fensterverwaltung, in whatever form
the sentence needs. In training, terms are drawn from aligned words of the corpus, in a form of the word that is not
always that of the sentence, so that the model learns to inflect.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np

from regard.data.batch import Ids
from regard.terms.spans import TermSpan, TermSpans
from regard.terms.word_forms import WordForms
from regard.tokenizers.base import Tokenizers
from regard.tokenizers.tagged import TaggedTokenizer

MARKERS: Final = ("term", "as", "/term")  # written as tags: <term>, <as>, </term>
EXACT = 0.5  # probability that a wanted term is given as it is in the target
MORE_TERMS = 0.5  # probability of another term in a sentence, after each
MAX_TERMS = 4  # of a sentence
LOWER = 0.8  # probability that the first word of a target is given as it is written inside of sentences

Pairs = Sequence[tuple[Ids, Ids]]


@dataclass(frozen=True)
class WantedTerm:
    """A term in a source: the span of its tokens, and the ids of the wanted target term."""

    start: int
    end: int
    target: tuple[int, ...]


def has_markers(tokenizers: Tokenizers) -> bool:
    """Return whether a run was trained with term tags."""
    source = tokenizers.source
    return isinstance(source, TaggedTokenizer) and set(MARKERS) <= set(source.tags)


class TermTagger:
    """Puts tags around terms in the ids of a source."""

    def __init__(self, tokenizers: Tokenizers) -> None:
        source = tokenizers.source
        assert isinstance(source, TaggedTokenizer)  # see `has_markers`
        self._begin, self._as, self._end = (source.inner.size + source.tags.index(marker) for marker in MARKERS)
        self._encode = source.inner.encode

    def encode(self, term: str) -> tuple[int, ...]:
        """Return the ids of a wanted target term."""
        return tuple(self._encode(term))

    def tag(self, source: Ids, terms: Sequence[WantedTerm]) -> list[int]:
        """Return the ids of a source with tags around these terms, which do not overlap."""
        return list(self.tag_with_origins(source, terms)[0])

    def tag_with_origins(self, source: Ids, terms: Sequence[WantedTerm]) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Return the ids with tags, and for each of them the position in `source` that it belongs to."""
        ids = list(map(int, source))
        origins = list(range(len(ids)))
        for term in sorted(terms, key=lambda term: -term.start):
            added = [self._as, *term.target, self._end]
            ids[term.start : term.end] = [self._begin, *ids[term.start : term.end], *added]
            origins[term.start : term.end] = [term.start, *range(term.start, term.end), *[term.end - 1] * len(added)]
        return tuple(ids), tuple(origins)


class TermSampler:
    """Tags terms in a random share of the pairs of a batch.

    Args:
        tokenizers: Tokenizers with `MARKERS`.
        spans: The terms of the training pairs.
        forms: The forms of target words.
        share: The share of pairs with tags.
        max_length: A source that would have more tokens stays as it is.
    """

    def __init__(
        self, tokenizers: Tokenizers, spans: TermSpans, forms: WordForms, share: float, max_length: int
    ) -> None:
        self._tagger = TermTagger(tokenizers)
        self._decode = tokenizers.target.decode
        self._spans = spans
        self._forms = forms
        self._share = share
        self._max_length = max_length
        self._encoded = lru_cache(1 << 16)(self._tagger.encode)

    def __call__(self, pairs: Pairs, indices: Sequence[int | None], seed: Sequence[int]) -> Pairs:
        """Return the pairs with tags; the result depends only on the pairs, their indices and the seed.

        A pair without an index is not one of the training pairs, and gets no tags.
        """
        draws = random.Random(int(np.random.default_rng([*seed, 1]).integers(2**63)))
        return [
            (source, target)
            if draws.random() >= self._share or index is None
            else (self._tag(source, target, index, draws), target)
            for (source, target), index in zip(pairs, indices, strict=True)
        ]

    def _tag(self, source: Ids, target: Ids, index: int, draws: random.Random) -> Ids:
        spans = self._spans.of(index)
        draws.shuffle(spans)
        chosen: list[TermSpan] = []
        for span in spans:
            if any(span.overlaps(earlier) for earlier in chosen):
                continue
            chosen.append(span)
            if len(chosen) == MAX_TERMS or draws.random() >= MORE_TERMS:
                break
        terms = [
            WantedTerm(span.start, span.end, self._encoded(self._wanted_form(target, span, draws))) for span in chosen
        ]
        tagged = self._tagger.tag(source, terms)
        return tagged if len(tagged) <= self._max_length else source

    def _wanted_form(self, target: Ids, span: TermSpan, draws: random.Random) -> str:
        """Return the target of a term as it is, or another form of its word."""
        text = self._decode([int(id) for id in target[span.target_start : span.target_end]])
        forms = self._forms.forms(text) if " " not in text else (text,)
        is_exact, is_lower, choice = draws.random() < EXACT, draws.random() < LOWER, draws.random()
        if len(forms) > 1 and not is_exact:
            return forms[1 + int(choice * (len(forms) - 1))]
        if span.target_start == 0 and is_lower:
            return next((form for form in forms[1:] if form.casefold() == text.casefold()), text)
        return text
