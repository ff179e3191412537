from __future__ import annotations

import math

import numpy as np
import pytest

from regard.errors import DataError
from regard.evaluation.calibration import calibration


def test_a_case_worked_by_hand() -> None:
    # bin (0.1, 0.2]: 0.2 wrong. (0.4, 0.5]: 0.45 right, 0.5 wrong. (0.9, 1]: 0.95, 1, 1, all right
    found = calibration(np.array([0.2, 0.45, 0.5, 0.95, 1.0, 1.0]), np.array([False, True, False, True, True, True]))
    assert found.error == pytest.approx((1 * 0.2 + 2 * abs(0.475 - 0.5) + 3 * abs(2.95 / 3 - 1)) / 6)
    assert [(one.low, one.tokens, one.accuracy) for one in found.bins] == [(0.1, 1, 0), (0.4, 2, 0.5), (0.9, 3, 1)]
    assert found.confidence == pytest.approx(4.1 / 6)
    assert found.tokens == 6 and found.accuracy == pytest.approx(4 / 6)


def test_as_a_plain_transcription_of_its_definition_has_it() -> None:
    dice = np.random.default_rng(3)
    sure = dice.random(500).astype(np.float32)
    right = dice.random(500) < sure**2
    total = 0.0
    for number in range(7):
        inside = [n for n in range(500) if number / 7 < sure[n] <= (number + 1) / 7]
        if inside:
            gap = math.fsum(float(sure[n]) for n in inside) - sum(bool(right[n]) for n in inside)
            total += abs(gap) / 500
    assert calibration(sure, right, bins=7).error == pytest.approx(total)


def test_who_is_as_right_as_sure_has_no_error() -> None:
    sure = np.repeat([0.25, 0.75], 400)
    right = np.tile([True, False, False, False], 100).tolist() + np.tile([True, True, True, False], 100).tolist()
    assert calibration(sure, np.array(right)).error == pytest.approx(0)
    assert calibration(np.ones(4), np.zeros(4, dtype=bool)).error == 1
    assert calibration(np.array([0.0]), np.array([False])).bins[0].low == 0


@pytest.mark.parametrize("wrong", [[-0.5], [1.5], [math.nan], [], [0.5, 0.5]])
def test_what_is_no_probability_is_refused(wrong: list[float]) -> None:
    with pytest.raises(DataError):
        calibration(np.array(wrong), np.array([True]))
