from __future__ import annotations

from pathlib import Path

import pytest
from tests.unit.reports.small import run_with_data

from regard.errors import DataError
from regard.evaluation.metrics import bleu_metric
from regard.reports.analyze import training_counts as module
from regard.reports.analyze.training_counts import training_words

METRIC = bleu_metric(["one two three four"])
TARGETS = ["ein Satz", "ein kleiner Satz", "three and a half, and one"]


def test_words_are_counted_as_bleu_counts_them(tmp_path: Path) -> None:
    found = training_words(run_with_data(tmp_path, TARGETS), METRIC)
    assert found.counts["ein"] == found.counts["Satz"] == found.counts["and"] == 2
    assert found.counts["half"] == found.counts["kleiner"] == 1
    assert found.counts["zwei"] == 0
    assert (found.pairs, found.of) == (3, 3)


def test_of_many_pairs_some_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_TRAINING_PAIRS", 2)
    found = training_words(run_with_data(tmp_path, TARGETS), METRIC)
    assert (found.pairs, found.of) == (2, 3)
    assert found.counts["ein"] == 1 and found.counts["half"] == 1


def test_a_run_without_its_data_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="the training data of the run is not there"):
        training_words(tmp_path, METRIC)
