from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from tests.unit.training.toy import settings, trainer

from regard.runs.preflight import disk_space_warning, estimate_checkpoint_bytes, format_bytes, format_probes, free_bytes


@pytest.mark.parametrize("window", [1, 3])
def test_checkpoint_size_is_as_estimated(window: int) -> None:
    run, seen = trainer(settings(average_checkpoints=window))
    run.run()
    weights = sum(weight.numel() * weight.element_size() for weight in run.model.parameters())
    random = seen.saved[-1].training.tensors["random/cpu"].numel()
    tensors = seen.saved[-1].training.tensors.values()
    written = weights + sum(tensor.numel() * tensor.element_size() for tensor in tensors) - random
    assert estimate_checkpoint_bytes(run.model, run.config) == pytest.approx(written, rel=0.01)


def test_free_space_is_that_of_the_nearest_existing_folder(tmp_path: Path) -> None:
    assert free_bytes(tmp_path / "not" / "yet") == pytest.approx(shutil.disk_usage(tmp_path).free, rel=0.2)


def test_lack_of_disk_space_gives_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage: Any = type("Usage", (), {"free": 3_000})
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    assert disk_space_warning(tmp_path, 1_000) is None
    warning = disk_space_warning(tmp_path, 1_001)
    assert warning is not None
    for part in ("3 checkpoints", "3 kB are free", str(tmp_path), "free some space"):
        assert part in warning


def test_probes_are_described_in_one_line() -> None:
    run, _ = trainer(settings())
    line = format_probes(run.train_step.probe(run.loader.largest()))
    assert "pair of at most 7 and 7 tokens" in line
    assert "in use" in line


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        (12, "12 bytes"),
        (999, "999 bytes"),
        (1_234_567, "1.23 MB"),
        (999_700_000, "1 GB"),
        (98_700_000_000, "98.7 GB"),
        (2e15, "2e+03 TB"),
    ],
)
def test_format_bytes(count: float, expected: str) -> None:
    assert format_bytes(count) == expected
