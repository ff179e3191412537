"""Confidence of translations and words: the same for all searches, and no translation changes."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from tests.unit.reports.untrained import translator as untrained

from regard.errors import DataError, DecodingError
from regard.evaluation.estimator import Estimator
from regard.inference.confidence import (
    LOWEST,
    ConfidenceModel,
    fit_confidence,
    follow_spans,
    match_words,
    right_translation,
    score_translations,
)
from regard.inference.translation import Translation
from regard.inference.translator import Translator
from regard.tokenizers.words import word_spans

SOURCES = ["one two three", "a half", "", "one! 😀 two", "three\nhalf one"]
MODEL = ConfidenceModel(
    Estimator(0.0, (1.0, 0.0, 1.0, 0.1), (), 100, 0.5), Estimator(1.0, (0.5, 0.0, 0.0, 1.0, 0.0), (), 100, 0.5)
)
SEARCHES: dict[str, dict[str, Any]] = {
    "beam": {},
    "greedy": {"beam_size": 1},
    "several": {"top_beams": 2},
    "with attention": {"with_attention": True},
    "diverse": {"strategy": "diverse", "groups": 2},
    "exact": {"strategy": "exact"},
    "sample": {"strategy": "sample", "top_beams": 2},
    "mbr": {"strategy": "mbr", "samples": 4},
    "lookahead": {"strategy": "lookahead"},
}


def calibrated(seed: int = 1) -> Translator:
    translator = untrained(seed)
    translator.confidence = MODEL
    return translator


def scores(translator: Translator, translation: Translation, source: str) -> list[float]:
    pairs = [(translator.tokenizers.source.encode(source), translation)]
    (_, scored), *_ = score_translations(translator.model, translator.tokenizers.target, pairs)
    return [float(value) for value in scored.tokens]


@pytest.mark.parametrize("name", SEARCHES)
def test_every_search_has_confidence_and_is_not_affected(name: str) -> None:
    translator, options = calibrated(), SEARCHES[name]
    plain = translator.translate(SOURCES, **options)
    sure = translator.translate(SOURCES, with_confidence=True, **options)
    for before, after in zip(plain, sure, strict=True):
        for bare, translation in zip(before.n_best, after.n_best, strict=True):
            assert (bare.text, bare.score, bare.ids) == (translation.text, translation.score, translation.ids)
            assert bare.confidence is None
            assert translation.confidence is not None
            assert 0 < translation.confidence <= 1
            words = [translation.text[word.start : word.end] for word in translation.words]
            text = "".join(translation.text.split()).replace("😀", "")  # an emoji of the source is not a word
            assert "".join("".join(words).split()).replace("😀", "") == text * bool(translation.ids)
    assert sure[2].confidence == 1
    alone = [translator.translate(source, with_confidence=True, **options) for source in SOURCES]
    if options.get("strategy") not in ("sample", "mbr"):  # samples depend on the number of the line
        for single, batched in zip(alone, sure, strict=True):
            assert single.confidence == pytest.approx(batched.confidence, abs=1e-5)
    translation = sure[0]  # what the search returns is what teacher forcing computes
    forced = replace(translation, token_log_probabilities=(), finished=True)
    expected = scores(translator, forced, SOURCES[0])[: len(translation.ids) + translation.finished]
    actual = scores(translator, translation, SOURCES[0])[: len(expected)]
    assert actual == pytest.approx(expected, abs=1e-4)


def test_a_divided_text_is_as_sure_as_its_least_sure_segment() -> None:
    best = calibrated().translate("one two.\nthree", with_confidence=True, split_sentences=True)
    assert len(best.parts) == 2
    assert best.confidence == min(part.translation.confidence or 0 for part in best.parts)
    assert sum(len(part.translation.words) for part in best.parts) == len(best.words)
    start = best.parts[1].target[0]
    shifted = [(word.start - start, word.end - start, word.confidence) for word in best.words if word.start >= start]
    assert shifted == list(best.parts[1].translation.words)


def test_too_little_confidence_leaves_a_segment_in_the_source_language() -> None:
    translator = calibrated()
    values = [
        part.translation.confidence for part in translator.translate("one two.\nthree", with_confidence=True).parts
    ]
    assert None not in values
    low, high = sorted(value for value in values if value is not None)
    best = translator.translate("one two.\nthree", min_confidence=(low + high) / 2)
    withheld = [part.translation.is_withheld for part in best.parts]
    assert sorted(withheld) == [False, True]
    assert best.is_withheld
    part = best.parts[withheld.index(True)]
    assert best.text[slice(*part.target)] == "one two.\nthree"[slice(*part.source)]
    assert translator.translate("one", min_confidence=0.0).text == translator.translate("one").text
    for value in (-0.1, 1.5, math.nan):
        with pytest.raises(DecodingError, match="min_confidence"):
            translator.translate("one", min_confidence=value)


def test_without_calibration_the_error_names_the_command() -> None:
    with pytest.raises(DecodingError, match="regard calibrate RUN"):
        untrained(1).translate("one", with_confidence=True)


def test_a_translation_without_an_end_is_improbable() -> None:
    translator = calibrated()
    cut = Translation("ab", 0.0, 0.0, ids=(5, 6), token_log_probabilities=(-0.1, -99.0), finished=False)
    assert scores(translator, cut, "one") == [-0.1, LOWEST, LOWEST]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Ein Hund , ja!", ["Ein", "Hund", ",", "ja!"]),
        ("彼は走る。ABC語", ["彼", "は", "走", "る。", "ABC", "語"]),
        ("ที่นี่", ["ที่", "นี่"]),
        ("", []),
    ],
)
def test_words_of_a_text(text: str, words: list[str]) -> None:
    assert [text[slice(*span)] for span in word_spans(text)] == words


def test_spans_follow_emoji_and_capitals() -> None:
    decoded = "ein hund."
    for text, words in (
        ("EIN 😀 HUND.", ["EIN", "HUND."]),
        ("ein hund 😀.", ["ein", "hund 😀."]),
        (decoded, ["ein", "hund."]),
    ):
        assert [text[slice(*span)] for span in follow_spans(decoded, text, word_spans(decoded))] == words


def test_a_word_is_right_if_the_shortest_edit_keeps_it() -> None:
    words = ["Ein", "Hund", "rennt", "schnell,", "."]
    assert match_words(words, "Ein Mann rennt, schnell").tolist() == [True, False, True, True, False]
    assert match_words(words, "").tolist() == [False] * 5
    assert right_translation("Ein Hund.", "Ein Hund.", exact=True, chrf=50)
    assert not right_translation("Ein Hund", "Ein Hund.", exact=True, chrf=50)
    assert right_translation("Ein Hund", "Ein Hund.", exact=False, chrf=50)


def test_what_is_fitted_ranks_and_is_stored() -> None:
    translator = untrained(1)
    sources = ["one two three"[: 3 + index % 9] for index in range(120)]
    translations = translator.translate(sources, strategy="sample", split_sentences=False)
    pairs = [
        (translator.tokenizers.source.encode(source), best) for source, best in zip(sources, translations, strict=True)
    ]
    scored = [item for _, item in score_translations(translator.model, translator.tokenizers.target, pairs)]
    means = np.array([item.tokens.mean() for item in scored])
    references = [
        item.translation.text if mean > np.median(means) else "xyz" for item, mean in zip(scored, means, strict=True)
    ]
    model = fit_confidence(scored, references)
    values = np.array([model.annotate(item).confidence for item in scored])
    assert values[means > np.median(means)].mean() > values[means <= np.median(means)].mean() + 0.3
    assert ConfidenceModel.from_json(model.to_json()) == model
    with pytest.raises(DataError, match="at least 100"):
        fit_confidence(scored[:99], references[:99])


def test_words_are_not_found_in_restored_text() -> None:
    decoded = "Der Hund isst hier."
    text = "Der https://x.org/Hund/isst Hund 7 isst hier."
    start = text.index("https")
    restored = [(start, text.index(" Hund ")), (text.index("7"), text.index("7") + 1)]
    spans = follow_spans(decoded, text, word_spans(decoded), restored)
    assert [text[slice(*span)] for span in spans] == ["Der", "Hund", "isst", "hier."]
    spans = follow_spans("ein hund.", "EIN HUND 😀 7.", [(0, 3), (4, 9)], [(9, 12)])
    assert spans == [(0, 3), (4, 8)]


def test_restored_spans_are_those_of_the_emoji_of_the_whole_line() -> None:
    best = calibrated().translate("🙂 one two.\nthree 😀 half", with_confidence=True, split_sentences=True)
    assert len(best.parts) == 2
    assert [best.text[slice(*span)] for span in best.restored] == ["🙂", "😀"]
