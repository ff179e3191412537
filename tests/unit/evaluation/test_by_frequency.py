from __future__ import annotations

import pytest

from regard.errors import DataError
from regard.evaluation.by_frequency import by_frequency, split_words
from regard.evaluation.metrics import bleu_metric

COUNTS = {"the": 5000, "cat": 100, "sat": 99, "mat": 1, "rug": 4}


def test_scores_match_a_hand_computed_case() -> None:
    classes = by_frequency(
        [["the", "the", "cat", "sat", "qat"], ["rug"]],
        [["the", "cat", "cat", "mat", "zat"], ["the", "rug", "mat"]],
        COUNTS,
    )
    rows = {row.min_count: (row.max_count, row.in_references, row.in_hypotheses, row.matched) for row in classes}
    assert rows == {
        0: (0, 1, 1, 0),  # zat, qat
        1: (1, 2, 0, 0),  # mat twice in the references
        2: (4, 1, 1, 1),  # rug
        5: (9, 0, 0, 0),
        10: (99, 0, 1, 0),  # sat
        100: (999, 2, 1, 1),  # cat: twice in the references, once in the hypotheses
        1000: (None, 2, 2, 1),  # the: the second sentence has it only in the reference
    }
    cat = next(row for row in classes if row.min_count == 100)
    assert (cat.precision, cat.recall) == (1, 0.5)
    assert cat.f1 == pytest.approx(2 / 3)
    mat = next(row for row in classes if row.min_count == 1)
    assert (mat.precision, mat.recall, mat.f1) == (0, 0, 0)


def test_words_are_split_as_bleu_does() -> None:
    assert split_words("Nein, danke.", bleu_metric(["a b c d e"])) == ["Nein", ",", "danke", "."]
    assert split_words("猫が", bleu_metric(["猫がいる"], target_language="ja")) == ["猫", "が"]


def test_unequal_numbers_of_lines_are_rejected() -> None:
    with pytest.raises(DataError, match="there are 1 hypotheses and 2 references"):
        by_frequency([["a"]], [["a"], ["b"]], {})
    with pytest.raises(DataError):
        by_frequency([], [], {})
