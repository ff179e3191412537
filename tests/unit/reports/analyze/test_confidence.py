"""What `regard analyze` measures of a run's confidence."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from tests.unit.inference.test_confidence import calibrated
from tests.unit.reports.untrained import translator as untrained

from regard.evaluation.ranking import area_under_roc
from regard.reports.analyze.confidence import measure_confidence

SOURCES = ["one", "two three", "a half", "three", "e", "one two", "half a", "nnn"]


def test_calibration_and_ranking_of_translations_and_words() -> None:
    translator = calibrated(2)
    translations = translator.translate(SOURCES, with_confidence=True, split_sentences=False)
    references = [best.text if index % 2 else "xyz" for index, best in enumerate(translations)]
    chrf = [100.0 if index % 2 else 0.0 for index in range(len(SOURCES))]
    measured = measure_confidence(translator, translations, SOURCES, references, chrf)
    assert measured is not None
    with_words = [index for index, best in enumerate(translations) if best.words]
    assert measured.sentence.calibration.tokens == len(with_words) > 2
    assert measured.sentence.calibration.accuracy == np.mean([index % 2 for index in with_words])
    confidence = np.array([translations[index].confidence for index in with_words], dtype=float)
    is_right = np.array([index % 2 == 1 for index in with_words])
    assert measured.sentence.auc == pytest.approx(area_under_roc(confidence, is_right))
    assert measured.spearman is not None
    words = [word.confidence for best in translations for word in best.words]
    assert measured.word.calibration.tokens == len(words)
    assert measured.word.calibration.confidence == pytest.approx(np.mean(words))
    right = sum(len(best.words) for index, best in enumerate(translations) if index % 2)
    assert measured.word.calibration.accuracy == pytest.approx(right / len(words))
    assert measured.right == "its chrF is at least 50"


def test_what_cannot_be_measured_is_none() -> None:
    translator = calibrated(2)
    translations = translator.translate(SOURCES, with_confidence=True, split_sentences=False)
    wrong = measure_confidence(translator, translations, SOURCES, ["xyz"] * len(SOURCES), [0.0] * len(SOURCES))
    assert wrong is not None
    assert (wrong.sentence.auc, wrong.word.raw_auc, wrong.spearman) == (None, None, None)
    assert measure_confidence(untrained(2), translations, SOURCES, SOURCES, [0.0] * len(SOURCES)) is None
    bare = [replace(best, words=()) for best in translations]
    assert measure_confidence(translator, bare, SOURCES, SOURCES, [0.0] * len(SOURCES)) is None


@pytest.mark.parametrize("change", ["🙂 {}".format, str.upper])
def test_sources_are_read_as_in_translation(change: Callable[[str], str]) -> None:
    translator = calibrated(2)
    sources = ["two three", "a half", "one two", "half a"]
    translations = translator.translate(sources, strategy="exact", with_confidence=True, split_sentences=False)
    plain, changed = (
        measure_confidence(translator, translations, texts, sources, [0.0] * len(sources))
        for texts in (sources, list(map(change, sources)))
    )
    assert plain is not None and changed is not None
    assert changed.sentence.raw_error == pytest.approx(plain.sentence.raw_error)
