from __future__ import annotations

from dataclasses import asdict

import numpy as np
import pytest

from regard.evaluation.calibration import compute_calibration
from regard.evaluation.estimator import Estimator, fit_estimator
from regard.evaluation.ranking import area_under_roc, spearman


def examples(count: int, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Return features of which only the first matters, and which examples are right."""
    generator = np.random.default_rng(seed)
    features = generator.normal(size=(count, 3)) * [1, 5, 0] + [0, 3, 2]
    probability = 1 / (1 + np.exp(-(2 * features[:, 0] - 0.5)))
    return features, generator.random(count) < probability


@pytest.mark.parametrize("count", [1000, 5000])
def test_probabilities_are_calibrated_on_other_examples(count: int) -> None:
    estimator = fit_estimator(*examples(count))
    assert bool(estimator.curve) == (count >= 2000)
    features, is_right = examples(20_000, seed=2)
    calibration = compute_calibration(estimator.predict(features), is_right)
    assert calibration.error < 0.03
    assert abs(calibration.confidence - calibration.accuracy) < 0.03
    assert area_under_roc(estimator.predict(features), is_right) > 0.86
    assert estimator.weights[2] == 0


def test_a_greater_feature_never_gives_a_smaller_probability() -> None:
    features, is_right = examples(3000)
    estimator = fit_estimator(-features, is_right)
    assert min(estimator.weights) >= 0
    free = fit_estimator(-features, is_right, is_free=(0,))
    assert free.weights[0] < -1
    grid = np.zeros((50, 3))
    grid[:, 0] = np.linspace(-9, 9, 50)
    steps = np.diff(fit_estimator(features, is_right).predict(grid))
    assert (steps >= 0).all()


@pytest.mark.parametrize("is_right", [True, False])
def test_examples_that_are_all_right_or_all_wrong(is_right: bool) -> None:
    features, _ = examples(200)
    probabilities = fit_estimator(features, np.full(200, is_right)).predict(features)
    assert np.isfinite(probabilities).all()
    assert (abs(probabilities - is_right) < 0.1).all()


def test_a_row_does_not_depend_on_the_others() -> None:
    estimator = fit_estimator(*examples(2500))
    features, _ = examples(40, seed=3)
    alone = [estimator.predict(row[None])[0] for row in features]
    assert estimator.predict(features).tolist() == alone


def test_json_gives_the_same_estimator_and_refuses_others() -> None:
    estimator = fit_estimator(*examples(2500))
    table = asdict(estimator)
    assert Estimator.from_json(table, 3) == estimator
    for changes in (
        {"weights": [1.0, 2.0]},
        {"bias": float("nan")},
        {"bias": None},
        {"curve": [[0.0, 0.5], [0.5, 0.2]]},
        {"curve": [[0.0, 2.0]]},
        {"right": 3},
    ):
        with pytest.raises((TypeError, ValueError)):
            Estimator.from_json({**table, **changes}, 3)


@pytest.mark.parametrize("value", [0.1, 0.3, 0.7, 1.3])
def test_what_is_fitted_on_equal_features_can_be_read_again(value: float) -> None:
    features, rows = np.full((2950, 3), value), np.arange(2950)  # groups of 29 and 30: their means differ by rounding
    is_right = rows % 29 < rows * 29 // 2950
    estimator = fit_estimator(features, is_right)
    assert Estimator.from_json(asdict(estimator), 3) == estimator
    assert (np.diff(estimator.curve, axis=0) >= 0).all()


def test_ranking_by_hand() -> None:
    values, is_right = np.array([0.1, 0.4, 0.4, 0.9]), np.array([False, False, True, True])
    assert area_under_roc(values, is_right) == (0.5 + 1 + 1 + 1) / 4
    assert np.isnan(area_under_roc(values, np.ones(4, bool)))
    assert spearman(values, values**3) == pytest.approx(1)
    assert spearman(values, -values) == pytest.approx(-1)
    assert spearman(np.array([1.0, 2, 3, 4]), np.array([1.0, 3, 2, 4])) == pytest.approx(0.8)
    assert np.isnan(spearman(values, np.ones(4)))
