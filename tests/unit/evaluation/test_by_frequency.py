from __future__ import annotations

import pytest

from regard.errors import DataError
from regard.evaluation.by_frequency import by_frequency, words
from regard.evaluation.metrics import bleu_metric

COUNTS = {"the": 5000, "cat": 100, "sat": 99, "mat": 1, "rug": 4}


def test_a_case_worked_by_hand() -> None:
    found = by_frequency(
        [["the", "the", "cat", "sat", "qat"], ["rug"]],
        [["the", "cat", "cat", "mat", "zat"], ["the", "rug", "mat"]],
        COUNTS,
    )
    rows = {one.least: (one.most, one.meant, one.said, one.matched) for one in found}
    assert rows == {
        0: (0, 1, 1, 0),  # zat, qat
        1: (1, 2, 0, 0),  # mat twice, never said
        2: (4, 1, 1, 1),  # rug
        5: (9, 0, 0, 0),
        10: (99, 0, 1, 0),  # sat
        100: (999, 2, 1, 1),  # cat: meant twice, said once
        1000: (None, 2, 2, 1),  # the: the second sentence's is not said there
    }
    cat = next(one for one in found if one.least == 100)
    assert (cat.precision, cat.recall) == (1, 0.5)
    assert cat.f1 == pytest.approx(2 / 3)
    mat = next(one for one in found if one.least == 1)
    assert (mat.precision, mat.recall, mat.f1) == (0, 0, 0)


def test_words_are_those_that_bleu_counts() -> None:
    assert words("Nein, danke.", bleu_metric(["a b c d e"])) == ["Nein", ",", "danke", "."]
    assert words("猫が", bleu_metric(["猫がいる"], target_language="ja")) == ["猫", "が"]


def test_unequal_counts_are_told() -> None:
    with pytest.raises(DataError, match="there are 1 hypotheses and 2 references"):
        by_frequency([["a"]], [["a"], ["b"]], {})
    with pytest.raises(DataError):
        by_frequency([], [], {})
