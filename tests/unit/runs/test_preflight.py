from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from tests.unit.training.toy import settings, trainer

from regard.runs.preflight import checkpoint_bytes, free_bytes, in_bytes, lacks_room, told


@pytest.mark.parametrize("window", [1, 3])
def test_a_checkpoint_is_about_as_large_as_foretold(window: int) -> None:
    run, seen = trainer(settings(average_checkpoints=window))
    run.run()
    kept = sum(weight.numel() * weight.element_size() for weight in run.model.parameters())
    random = seen.saved[-1].training.tensors["random/cpu"].numel()
    tensors = seen.saved[-1].training.tensors.values()
    written = kept + sum(tensor.numel() * tensor.element_size() for tensor in tensors) - random
    assert checkpoint_bytes(run.model, run.config) == pytest.approx(written, rel=0.01)


def test_room_is_that_of_the_nearest_folder_above(tmp_path: Path) -> None:
    assert free_bytes(tmp_path / "not" / "yet") == pytest.approx(shutil.disk_usage(tmp_path).free, rel=0.2)


def test_a_lack_of_room_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage: Any = type("Usage", (), {"free": 3_000})
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    assert lacks_room(tmp_path, 1_000) is None
    warning = lacks_room(tmp_path, 1_001)
    assert warning is not None
    for part in ("3 checkpoints", "3 kB are free", str(tmp_path), "make room"):
        assert part in warning


def test_what_was_tried_is_one_line() -> None:
    run, _ = trainer(settings())
    line = told(run.train_step.probe(run.loader.largest()))
    assert "pair of at most 7 and 7 tokens" in line
    assert "in use" in line


@pytest.mark.parametrize(
    ("count", "expected"),
    [(12, "12 bytes"), (1_234_567, "1.23 MB"), (98_700_000_000, "98.7 GB"), (2e15, "2e+03 TB")],
)
def test_bytes_are_short(count: float, expected: str) -> None:
    assert in_bytes(count) == expected
