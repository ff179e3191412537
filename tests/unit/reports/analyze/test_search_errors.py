from __future__ import annotations

import math
from typing import Any

import pytest
from tests.unit.reports.untrained import translator

from regard.inference.options import TranslateOptions
from regard.inference.terms import RunTerms
from regard.reports.analyze.search_errors import BY_PROBABILITY, draw_sample, measure_search_errors
from regard.terms.glossary import Glossary

SOURCES = ["one", "two three", "a half", "three", "one two", "and"]


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_counts_agree_with_both_searches(seed: int) -> None:
    untrained = translator(seed, beam_size=1, length_penalty=1.0)
    translations = untrained.translate(SOURCES)
    errors = measure_search_errors(untrained, SOURCES, range(len(SOURCES)))
    plain: dict[str, Any] = {"length_penalty": 0.0, "allow_empty": True}
    beams = [untrained.translate(source, strategy="beam", **plain) for source in SOURCES]
    bests = [untrained.translate(source, strategy="exact", **plain) for source in SOURCES]
    missed = [beam.tokens != best.tokens for beam, best in zip(beams, bests, strict=True)]
    assert errors.sentences == len(SOURCES)
    assert errors.errors == sum(missed) == len(errors.misses)
    assert errors.proved == sum(best.proved is True for best in bests)
    assert errors.optimal == sum(best.proved is True and not far for best, far in zip(bests, missed, strict=True))
    assert errors.errors + errors.optimal <= errors.sentences
    for miss in errors.misses:
        assert miss.best_score > miss.beam_score or not beams[miss.index].finished
        assert (miss.beam, miss.best) == (beams[miss.index].text, bests[miss.index].text)
    less = [best.log_probability > own.log_probability + 1e-4 for own, best in zip(translations, bests, strict=True)]
    assert errors.less_probable == sum(map(bool.__and__, less, [best.finished for best in bests]))


def test_a_wide_beam_has_fewer_errors() -> None:
    narrow, wide = (translator(2, beam_size=size) for size in (1, 30))
    errors = [measure_search_errors(untrained, SOURCES, range(len(SOURCES))).errors for untrained in (narrow, wide)]
    assert errors[1] <= errors[0] and errors[0] > 0


def test_options_that_exact_search_lacks_are_ignored() -> None:
    untrained = translator(no_repeat=2, coverage_penalty=0.2)
    assert measure_search_errors(untrained, SOURCES, [0]).sentences == 1
    assert BY_PROBABILITY["length_penalty"] == 0


def test_the_searches_require_no_terms_and_keep_no_numbers() -> None:
    plain = translator(2)
    expected = measure_search_errors(plain, SOURCES, range(len(SOURCES)))
    constrained = translator(2, keep_numbers=True)
    glossary = Glossary.of([("one", "ein"), ("two", "and"), ("three", "Satz"), ("half", "three")])
    constrained.terms = RunTerms(constrained.tokenizers, default=glossary)
    assert any("term" in best.marks or "ein" in best.text for best in constrained.translate(SOURCES))
    assert measure_search_errors(constrained, SOURCES, range(len(SOURCES))) == expected


def test_samples_of_the_runs_own_search_are_those_of_their_lines() -> None:
    sampler = translator(2, strategy="sample")
    own = sampler.translate(SOURCES)
    exact: TranslateOptions = {**BY_PROBABILITY, "strategy": "exact"}
    bests = [sampler.translate(source, **exact) for source in SOURCES]
    less = [
        best.finished and best.log_probability > drawn.log_probability + 1e-4
        for drawn, best in zip(own, bests, strict=True)
    ]
    assert measure_search_errors(sampler, SOURCES, range(len(SOURCES))).less_probable == sum(less) > 0


def test_a_sample_is_ordered_and_reproducible() -> None:
    assert draw_sample(3, 20) == [0, 1, 2]
    assert draw_sample(1000, 20) == draw_sample(1000, 20) == sorted(set(draw_sample(1000, 20)))
    assert math.isclose(len(draw_sample(1000, 20)), 20)
