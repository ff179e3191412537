"""How good a run's confidence is on the test set: whether it is calibrated, and whether it ranks right above wrong."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from regard.evaluation.calibration import Calibration, compute_calibration
from regard.evaluation.ranking import area_under_roc, spearman
from regard.inference.confidence import match, right_translation, score_translations
from regard.inference.translator import Translation, Translator


@dataclass(frozen=True)
class ConfidenceLevel:
    """The quality of the confidence of N translations, or of their words.

    Attributes:
        calibration: Calibration of the confidence.
        auc: The probability that a right one has more confidence than a wrong one; None if all are right, or none.
        raw_error: Calibration error of the model's own probability: of a word, or the mean of a translation's tokens.
        raw_auc: The same as `auc` for the model's own probability.
    """

    calibration: Calibration
    auc: float | None
    raw_error: float
    raw_auc: float | None


@dataclass(frozen=True)
class ConfidenceQuality:
    """The quality of a run's confidence.

    Attributes:
        sentence: Of translations.
        word: Of words.
        spearman: Rank correlation of confidence and chrF; None if one of them is constant.
        raw_spearman: The same of the mean log-probability of the tokens.
        right: When a translation is right, as a phrase.
    """

    sentence: ConfidenceLevel
    word: ConfidenceLevel
    spearman: float | None
    raw_spearman: float | None
    right: str


def measure_confidence(
    translator: Translator,
    translations: Sequence[Translation],
    sources: Sequence[str],
    references: Sequence[str],
    chrf: Sequence[float],
) -> ConfidenceQuality | None:
    """Measure the confidence of translations, which have it; None if the model has not learned it, or no word is there.

    Args:
        translator: The model.
        translations: Its translations, with confidence.
        sources: Their sources.
        references: Their references.
        chrf: The chrF of each.
    """
    model = translator.confidence
    places = [place for place, best in enumerate(translations) if best.words and not best.parts]
    if model is None or not places:
        return None
    target = translator.tokenizers.target
    pairs = [(translator.prepare(sources[place]).encode(), translations[place]) for place in places]
    scored = {places[index]: item for index, item in score_translations(translator.model, target, pairs)}
    confidence = np.array([translations[place].confidence for place in places], dtype=np.float64)
    means = np.array([scored[place].tokens.mean() for place in places])
    is_right = np.array(
        [
            right_translation(translations[place].text, references[place], exact=model.exact, chrf=model.chrf)
            for place in places
        ]
    )
    words = np.array([word.confidence for place in places for word in translations[place].words])
    word_probabilities = np.exp(np.concatenate([scored[place].words for place in places]))
    right_words = np.concatenate([match(scored[place], references[place]) for place in places])
    quality = np.array([chrf[place] for place in places])
    return ConfidenceQuality(
        sentence=_measure_level(confidence, np.exp(means), is_right),
        word=_measure_level(words, word_probabilities, right_words),
        spearman=_or_none(spearman(confidence, quality)),
        raw_spearman=_or_none(spearman(means, quality)),
        right="it equals the reference" if model.exact else f"its chrF is at least {model.chrf:g}",
    )


def _measure_level(confidence: np.ndarray, raw: np.ndarray, is_right: np.ndarray) -> ConfidenceLevel:
    return ConfidenceLevel(
        compute_calibration(confidence, is_right),
        _or_none(area_under_roc(confidence, is_right)),
        compute_calibration(raw, is_right).error,
        _or_none(area_under_roc(raw, is_right)),
    )


def _or_none(value: float) -> float | None:
    return None if math.isnan(value) else value
