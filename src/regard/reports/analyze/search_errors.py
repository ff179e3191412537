"""Search errors: how often exact search finds a more probable translation than beam search (Stahlberg and Byrne 2019).

Both rank hypotheses by probability alone. With a length penalty, exact search rarely proves the best hypothesis, and
the best one is rarely empty.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from regard.inference.options import TranslateOptions
from regard.inference.translator import Translation, Translator
from regard.reports.analyze.progress import ProgressHook, no_progress
from regard.terms.glossary_files import NO_GLOSSARY

SEED = 1
TOLERANCE = 1e-4  # nats: batches differ in rounding
UNCONSTRAINED: TranslateOptions = {"glossary": NO_GLOSSARY, "keep_numbers": False, "split_sentences": False}
BY_PROBABILITY: TranslateOptions = {
    **UNCONSTRAINED,
    "length_penalty": 0.0,
    "allow_empty": True,
    "no_repeat": 0,
    "coverage_penalty": 0.0,
}


@dataclass(frozen=True)
class MissedTranslation:
    """A sentence for which beam search missed the best known translation. Scores are log-probabilities in nats."""

    index: int
    beam: str
    beam_score: float
    best: str
    best_score: float


@dataclass(frozen=True)
class SearchErrors:
    """Beam search compared with exact search, on a sample of sentences.

    Attributes:
        beam_size: Beam size of beam search.
        steps: Prefixes that exact search tries for each sentence at most.
        sentences: Sentences of the sample.
        errors: Sentences for which something more probable than the beam's best is known.
        optimal: Sentences for which the beam's best is proved to be the most probable. For the remaining sentences it
            is unknown.
        proved: Sentences, with errors or not, whose most probable translation is known.
        empty: Those of them whose most probable translation is empty.
        less_probable: Sentences whose translation by the run's own search is less probable than the best known.
        misses: The errors.
    """

    beam_size: int
    steps: int
    sentences: int
    errors: int
    optimal: int
    proved: int
    empty: int
    less_probable: int
    misses: tuple[MissedTranslation, ...]

    @property
    def unknown(self) -> int:
        """Sentences for which it is unknown whether beam search found the most probable translation."""
        return self.sentences - self.errors - self.optimal


def draw_sample(count: int, size: int) -> list[int]:
    """Return `size` random indices below `count` in increasing order, or all of them; always the same."""
    return sorted(random.Random(SEED).sample(range(count), min(count, size)))


def measure_search_errors(
    translator: Translator,
    sources: Sequence[str],
    indices: Sequence[int],
    track: ProgressHook = no_progress,
) -> SearchErrors:
    """Translate the sources at these indices by beam search, by exact search, and by the run's own search.

    No search uses the default glossary of the run or keeps numbers: both change which translations are possible.

    Args:
        translator: Gives beam_size and exact_steps.
        sources: All source sentences.
        indices: The sentences to search exactly.
        track: Shows progress.
    """
    misses: list[MissedTranslation] = []
    optimal = proved = empty = less_probable = 0
    for index in track("searching exactly", indices, len(indices)):
        beam, best = (_search(translator, sources[index], strategy) for strategy in ("beam", "exact"))
        is_error = best.finished and (not beam.finished or _is_more_probable(best, beam))
        if is_error:
            misses.append(MissedTranslation(index, beam.text, beam.log_probability, best.text, best.log_probability))
        optimal += not is_error and best.proved is True
        proved += best.proved is True
        empty += best.proved is True and not best.text
        own_options: TranslateOptions = {**UNCONSTRAINED, "first_line": index}
        own = translator.translate(sources[index], **own_options)
        less_probable += best.finished and _is_more_probable(best, own)
    return SearchErrors(
        beam_size=translator.search.beam_size,
        steps=translator.search.exact_steps,
        sentences=len(indices),
        errors=len(misses),
        optimal=optimal,
        proved=proved,
        empty=empty,
        less_probable=less_probable,
        misses=tuple(misses),
    )


def _is_more_probable(first: Translation, second: Translation) -> bool:
    return first.log_probability > second.log_probability + TOLERANCE


def _search(translator: Translator, source: str, strategy: str) -> Translation:
    options: TranslateOptions = {**BY_PROBABILITY, "strategy": strategy}
    return translator.translate(source, **options)
