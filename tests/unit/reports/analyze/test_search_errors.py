from __future__ import annotations

import math
from typing import Any

import pytest
from tests.unit.reports.untrained import translator

from regard.reports.analyze.search_errors import BY_PROBABILITY, draw_sample, measure_search_errors

SOURCES = ["one", "two three", "a half", "three", "one two", "and"]


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_counts_agree_with_both_searches(seed: int) -> None:
    untrained = translator(seed, beam_size=1, length_penalty=1.0)
    translations = untrained.translate(SOURCES)
    errors = measure_search_errors(untrained, SOURCES, translations, range(len(SOURCES)))
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
    errors = [
        measure_search_errors(untrained, SOURCES, untrained.translate(SOURCES), range(len(SOURCES))).errors
        for untrained in (narrow, wide)
    ]
    assert errors[1] <= errors[0] and errors[0] > 0


def test_options_that_exact_search_lacks_are_ignored() -> None:
    untrained = translator(no_repeat=2, coverage_penalty=0.2)
    translations = untrained.translate(SOURCES[:1])
    assert measure_search_errors(untrained, SOURCES, translations, [0]).sentences == 1
    assert BY_PROBABILITY["length_penalty"] == 0


def test_a_sample_is_ordered_and_reproducible() -> None:
    assert draw_sample(3, 20) == [0, 1, 2]
    assert draw_sample(1000, 20) == draw_sample(1000, 20) == sorted(set(draw_sample(1000, 20)))
    assert math.isclose(len(draw_sample(1000, 20)), 20)
