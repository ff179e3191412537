"""The shapes that `Translator.translate` and `Translator.stream` return."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests.unit.reports.untrained import translator

from regard.attention.maps import compute_attention_maps
from regard.errors import ConfigError

SOURCES = ["one", "two three", "a half"]


def test_a_string_gives_one_translation_and_an_iterable_a_list() -> None:
    small = translator(1)
    translations = small.translate(SOURCES)
    assert [translation.alternatives for translation in translations] == [(), (), ()]
    assert small.translate("two three") == small.translate(["two three"])[0]
    assert small.translate(source for source in SOURCES) == translations
    assert small.translate([]) == []


def test_stream_yields_translations_one_by_one() -> None:
    small = translator(1)
    stream = small.stream(iter(SOURCES))
    assert next(stream) == small.translate(SOURCES)[0]
    assert len(list(stream)) == 2


def test_alternatives_are_the_next_best_translations() -> None:
    best = translator(1, beam_size=4).translate("two three", top_beams=3)
    assert len(best.alternatives) == 2
    assert best.n_best == (best, *best.alternatives)
    scores = [translation.score for translation in best.n_best]
    assert scores == sorted(scores, reverse=True)
    assert [translation.alternatives for translation in best.alternatives] == [(), ()]
    alone = translator(1, beam_size=4).translate("two three")
    assert replace(best, alternatives=()).text == alone.text


def test_an_unknown_option_names_the_nearest_one() -> None:
    options: dict[str, Any] = {"beamsize": 4}
    with pytest.raises(ConfigError, match=r"unknown option `beamsize`(?s:.*)did you mean `beam_size`"):
        translator(1).translate("one", **options)
    more: dict[str, Any] = {"top_beam": 4}
    with pytest.raises(ConfigError, match=r"unknown option `top_beam`(?s:.*)did you mean `top_beams`"):
        translator(1).translate("one", **more)
    with pytest.raises(ConfigError, match="beam_size"):
        translator(1).with_search(**options)


def test_capitals_are_translated_as_normal_text() -> None:
    small = translator(1)
    text = small.translate("two three").text  # the vocabulary has no capitals
    shouted = small.translate("TWO THREE")
    assert (shouted.text, text.upper()) == (text.upper(), shouted.text)
    assert text != text.upper()
    lowered = compute_attention_maps(small, "two three", shouted.ids)
    assert compute_attention_maps(small, "TWO THREE", shouted.ids).source == lowered.source
