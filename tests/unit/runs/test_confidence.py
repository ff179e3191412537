"""When confidence is fitted at the end of training, and that a failure does not end it."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from tests.unit.reports.untrained import translator as untrained

from regard.checkpoints.run_folder import RunFolder
from regard.config.schema import DataConfig, RunConfig
from regard.errors import CheckpointError, DataError
from regard.evaluation.estimator import Estimator
from regard.inference.confidence import ConfidenceModel
from regard.inference.translator import Translator
from regard.models.transformer2017 import Config
from regard.runs import confidence
from regard.runs.confidence import Calibrated, calibrate, calibrate_finished, load_dev_pairs

PAIRS = [("one", "eins")] * 120


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunFolder:
    """A finished run whose confidence is fitted in no time."""
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "metrics.json").write_text(json.dumps({"chrf": 40.0}))
    monkeypatch.setattr(confidence, "calibrate", lambda *_, **__: "fitted")
    return RunFolder(tmp_path)


def finish(run: RunFolder, pairs: int = 120) -> list[str]:
    lines: list[str] = []
    calibrate_finished(run, PAIRS[:pairs], "cpu", lines.append)
    return lines


def test_it_is_fitted_once_and_only_on_enough_good_translations(run: RunFolder) -> None:
    assert finish(run) == ["fitted"]
    assert finish(run, 99) == []
    (run.path / "confidence.json").write_text("{}")
    assert finish(run)[0].startswith("confidence: not fitted (a value is missing")
    (run.path / "confidence.json").unlink()
    (run.path / "metrics.json").write_text(json.dumps({"chrf": 12.0}))
    assert finish(run) == []


@pytest.mark.parametrize("error", [CheckpointError("the disk is full"), RuntimeError("the disk is full\nmore")])
def test_a_failure_does_not_make_training_fail(
    run: RunFolder, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> Calibrated:
        raise error

    monkeypatch.setattr(confidence, "calibrate", fail)
    assert finish(run) == [f"confidence: not fitted (the disk is full); try `regard calibrate {run.path}`"]


def test_a_fit_that_cannot_be_read_again_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    invalid = Estimator(math.nan, (1.0,) * 4, (), 120, 0.5)
    model = ConfidenceModel(invalid, invalid)
    (tmp_path / "config.json").write_text("{}")
    monkeypatch.setattr(confidence, "load_config", lambda _: RunConfig(data=DataConfig(corpus="dates"), model=Config()))
    monkeypatch.setattr(Translator, "load", lambda *_, **__: untrained(1))
    monkeypatch.setattr(confidence, "fit_confidence", lambda *_, **__: model)
    with pytest.raises(DataError, match="no confidence can be fitted"):
        calibrate(tmp_path, [("one", "one")] * 120, device="cpu")
    assert not (tmp_path / "confidence.json").exists()


def test_the_dev_set_is_read_from_the_data_of_a_run(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    path = tmp_path / "data" / "prepared.json"
    with pytest.raises(DataError, match="no dev set"):
        load_dev_pairs(tmp_path)
    path.write_text(json.dumps({"dev": [["one", "eins"]]}))
    assert load_dev_pairs(tmp_path) == (("one", "eins"),)
    path.write_text("{}")
    with pytest.raises(DataError, match="cannot be read"):
        load_dev_pairs(tmp_path)
