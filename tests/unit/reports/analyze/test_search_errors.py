from __future__ import annotations

import math
from typing import Any

import pytest
from tests.unit.reports.small import translator

from regard.reports.analyze.search_errors import PLAIN, sample_of, search_errors

SOURCES = ["one", "two three", "a half", "three", "one two", "and"]


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_counts_are_those_of_both_searches_sentence_by_sentence(seed: int) -> None:
    ours = translator(seed, beam_size=1, length_penalty=1.0)
    said = list(ours.translate(SOURCES))
    found = search_errors(ours, SOURCES, said, range(len(SOURCES)))
    plain: dict[str, Any] = {"length_penalty": 0.0, "allow_empty": True}
    beams = [ours.translate(source, strategy="beam", **plain) for source in SOURCES]
    bests = [ours.translate(source, strategy="exact", **plain) for source in SOURCES]
    missed = [beam.tokens != best.tokens for beam, best in zip(beams, bests, strict=True)]
    assert found.sentences == len(SOURCES)
    assert found.errors == sum(missed) == len(found.misses)
    assert found.proved == sum(best.proved is True for best in bests)
    assert found.right == sum(best.proved is True and not far for best, far in zip(bests, missed, strict=True))
    assert found.errors + found.right <= found.sentences
    for miss in found.misses:
        assert miss.best_score > miss.beam_score or not beams[miss.place].finished
        assert (miss.beam, miss.best) == (beams[miss.place].text, bests[miss.place].text)
    less = [best.log_probability > one.log_probability + 1e-4 for one, best in zip(said, bests, strict=True)]
    assert found.below == sum(map(bool.__and__, less, [best.finished for best in bests]))


def test_a_wide_beam_misses_nothing_that_a_narrow_one_finds() -> None:
    narrow, wide = (translator(2, beam_size=size) for size in (1, 30))
    errors = [
        search_errors(ours, SOURCES, list(ours.translate(SOURCES)), range(len(SOURCES))).errors
        for ours in (narrow, wide)
    ]
    assert errors[1] <= errors[0] and errors[0] > 0


def test_a_search_that_exact_search_cannot_do_is_left_out() -> None:
    ours = translator(no_repeat=2, coverage_penalty=0.2)
    said = list(ours.translate(SOURCES[:1]))
    assert search_errors(ours, SOURCES, said, [0]).sentences == 1
    assert PLAIN["length_penalty"] == 0


def test_a_sample_is_in_order_and_the_same_again() -> None:
    assert sample_of(3, 20) == [0, 1, 2]
    assert sample_of(1000, 20) == sample_of(1000, 20) == sorted(set(sample_of(1000, 20)))
    assert math.isclose(len(sample_of(1000, 20)), 20)
