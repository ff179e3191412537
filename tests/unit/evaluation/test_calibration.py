from __future__ import annotations

import math

import numpy as np
import pytest

from regard.errors import DataError
from regard.evaluation.calibration import compute_calibration


def test_error_matches_a_hand_computed_case() -> None:
    # bin (0.1, 0.2]: 0.2 wrong. (0.4, 0.5]: 0.45 right, 0.5 wrong. (0.9, 1]: 0.95, 1, 1, all right
    calibration = compute_calibration(
        np.array([0.2, 0.45, 0.5, 0.95, 1.0, 1.0]), np.array([False, True, False, True, True, True])
    )
    assert calibration.error == pytest.approx((1 * 0.2 + 2 * abs(0.475 - 0.5) + 3 * abs(2.95 / 3 - 1)) / 6)
    assert [(part.low, part.tokens, part.accuracy) for part in calibration.bins] == [
        (0.1, 1, 0),
        (0.4, 2, 0.5),
        (0.9, 3, 1),
    ]
    assert calibration.confidence == pytest.approx(4.1 / 6)
    assert calibration.tokens == 6 and calibration.accuracy == pytest.approx(4 / 6)


def test_error_matches_its_definition() -> None:
    generator = np.random.default_rng(3)
    probabilities = generator.random(500).astype(np.float32)
    is_correct = generator.random(500) < probabilities**2
    total = 0.0
    for number in range(7):
        inside = [n for n in range(500) if number / 7 < probabilities[n] <= (number + 1) / 7]
        if inside:
            gap = math.fsum(float(probabilities[n]) for n in inside) - sum(bool(is_correct[n]) for n in inside)
            total += abs(gap) / 500
    assert compute_calibration(probabilities, is_correct, bins=7).error == pytest.approx(total)


def test_a_calibrated_model_has_no_error() -> None:
    probabilities = np.repeat([0.25, 0.75], 400)
    is_correct = np.tile([True, False, False, False], 100).tolist() + np.tile([True, True, True, False], 100).tolist()
    assert compute_calibration(probabilities, np.array(is_correct)).error == pytest.approx(0)
    assert compute_calibration(np.ones(4), np.zeros(4, dtype=bool)).error == 1
    assert compute_calibration(np.array([0.0]), np.array([False])).bins[0].low == 0


@pytest.mark.parametrize("wrong", [[-0.5], [1.5], [math.nan], [], [0.5, 0.5]])
def test_invalid_probabilities_are_rejected(wrong: list[float]) -> None:
    with pytest.raises(DataError):
        compute_calibration(np.array(wrong), np.array([True]))
