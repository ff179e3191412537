from __future__ import annotations

from pathlib import Path

import pytest
from tests.unit.reports.untrained import run_with_data

from regard.errors import DataError
from regard.evaluation.metrics import bleu_metric
from regard.reports.analyze import training_counts
from regard.reports.analyze.training_counts import count_training_words

METRIC = bleu_metric(["one two three four"])
TARGETS = ["ein Satz", "ein kleiner Satz", "three and a half, and one"]


def test_words_are_split_as_bleu_does(tmp_path: Path) -> None:
    words = count_training_words(run_with_data(tmp_path, TARGETS), METRIC)
    assert words.counts["ein"] == words.counts["Satz"] == words.counts["and"] == 2
    assert words.counts["half"] == words.counts["kleiner"] == 1
    assert words.counts["zwei"] == 0
    assert (words.pairs_counted, words.pairs) == (3, 3)


def test_a_part_of_many_pairs_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training_counts, "MAX_TRAINING_PAIRS", 2)
    words = count_training_words(run_with_data(tmp_path, TARGETS), METRIC)
    assert (words.pairs_counted, words.pairs) == (2, 3)
    assert words.counts["ein"] == 1 and words.counts["half"] == 1


def test_a_run_without_data_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="the run has no training data"):
        count_training_words(tmp_path, METRIC)
