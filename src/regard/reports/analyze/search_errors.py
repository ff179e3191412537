"""How often beam search misses what is most probable to the model, told by exact search (Stahlberg and Byrne 2019).

Both go by probability alone: with a length penalty the best is proved far more seldom, and seldom is no text at all.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from regard.inference.translator import SearchOptions, Translation, Translator
from regard.reports.analyze.progress import Watch, unwatched

SEED = 1
CLOSE = 1e-4  # nats; the same hypothesis may be scored a little differently in another batch
PLAIN: SearchOptions = {"length_penalty": 0.0, "allow_empty": True, "no_repeat": 0, "coverage_penalty": 0.0}


@dataclass(frozen=True)
class Miss:
    """A sentence whose beam ended with other than the best that is known: both texts and log-probabilities, nats."""

    place: int
    beam: str
    beam_score: float
    best: str
    best_score: float


@dataclass(frozen=True)
class SearchErrors:
    """Of a sample, what beam search found against the best that exact search did, by probability.

    errors: sentences of which something more probable than the beam's best is known. right: those of which it is
        proved that nothing is. The others of `sentences` are not told, within `steps` prefixes each.
    proved: sentences, errors or not, of which the most probable of all is known. empty: of these, those of which it
        is no text at all.
    below: sentences whose translation by the run's own search is less probable than the best that is known.
    misses: the errors.
    """

    beam_size: int
    steps: int
    sentences: int
    errors: int
    right: int
    proved: int
    empty: int
    below: int
    misses: tuple[Miss, ...]


def sample_of(count: int, most: int) -> list[int]:
    """At most so many of so many places, each as likely as another, in their order; always the same."""
    return sorted(random.Random(SEED).sample(range(count), min(count, most)))


def search_errors(
    translator: Translator,
    sources: Sequence[str],
    translations: Sequence[Translation],
    places: Sequence[int],
    watch: Watch = unwatched,
) -> SearchErrors:
    """Both searches of the sources at these places, one after another, by the recipe's beam_size and exact_steps.

    translations: of all sources, by the run's own search.
    """
    misses: list[Miss] = []
    right = proved = empty = below = 0
    for place in watch("searching exactly", places, len(places)):
        beam, best = (_best(translator, sources[place], strategy) for strategy in ("beam", "exact"))
        missed = best.finished and (not beam.finished or _above(best, beam))
        if missed:
            misses.append(Miss(place, beam.text, beam.log_probability, best.text, best.log_probability))
        right += not missed and best.proved is True
        proved += best.proved is True
        empty += best.proved is True and not best.text
        below += best.finished and _above(best, translations[place])
    return SearchErrors(
        beam_size=translator.search.beam_size,
        steps=translator.search.exact_steps,
        sentences=len(places),
        errors=len(misses),
        right=right,
        proved=proved,
        empty=empty,
        below=below,
        misses=tuple(misses),
    )


def _above(one: Translation, other: Translation) -> bool:
    return one.log_probability > other.log_probability + CLOSE


def _best(translator: Translator, source: str, strategy: str) -> Translation:
    options: SearchOptions = {**PLAIN, "strategy": strategy}
    return translator.translate(source, split_sentences=False, **options)
