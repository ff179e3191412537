"""A dry run prints what a run will take, and leaves no files."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

import pytest
from tests.end_to_end.helpers import Files, call, file_bytes, recipe, refused


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of temporary folders."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def test_a_dry_run_prints_estimates_and_leaves_no_files(files: Files, tmp_path: Path, scratch: Path) -> None:
    recipe(files)
    before = file_bytes(files.folder)
    finished = call("train", files / "tiny.toml", "--out", tmp_path / "run", "--dry-run")
    assert finished.code == 0, finished.err
    rows = dict(re.findall(r"^(\w[\w ]+?)  +(.*)$", finished.err, re.MULTILINE))
    assert rows["pairs"] == "1,200 for training, 100 for dev"
    assert rows["vocabulary"] == "15"
    assert re.fullmatch(r"transformer2017: [\d,]{6} parameters", rows["model"])
    batches = re.match(r"(\d+) batches, (\d+) steps", rows["an epoch"])
    assert batches is not None
    assert batches[1] == batches[2]
    assert re.search(r"pairs of at most \d and \d tokens: \d\.\d+ s", rows["a large batch"])
    assert re.fullmatch(r"at most [\d.]+ [MG]B", rows["memory"])
    assert "for all 240 steps" in rows["training"]
    assert "every 60 steps" in rows["validation"]
    assert re.search(r"^[\d.]+ kB, written in .*3 are kept, [\d.]+ [kM]B; [\d.]+ [GT]B are free", rows["checkpoint"])
    assert not (tmp_path / "run").exists()
    assert not list(scratch.glob("regard-dry-run-*"))
    assert file_bytes(files.folder) == before


def test_a_dry_run_counts_epochs(files: Files, tmp_path: Path, scratch: Path) -> None:
    recipe(files)
    batches = {"train.pairs_per_batch=100": "12", "train.pairs_per_batch=2000": "1"}
    for setting, steps in batches.items():
        limits = ("--set", setting, "--set", "train.max_epochs=1", "--set", "train.max_steps=1000")
        finished = call("train", files / "tiny.toml", "--out", tmp_path / "run", "--dry-run", *limits)
        assert finished.code == 0, finished.err
        assert f"for all {steps} steps (train.max_epochs=1) with their checkpoints" in finished.err


def test_a_failing_dry_run_leaves_no_files(files: Files, tmp_path: Path, scratch: Path) -> None:
    recipe(files)
    options = ("--out", tmp_path / "run", "--dry-run", "--set", "data.max_length=1")
    refused(call("train", files / "tiny.toml", *options), "raise data.max_length")
    assert not (tmp_path / "run").exists()
    assert not list(scratch.glob("regard-dry-run-*"))


def test_a_run_starts_with_a_preflight_check(files: Files, tmp_path: Path) -> None:
    recipe(files)
    finished = call("train", files / "tiny.toml", "--out", tmp_path / "run", "--set", "train.max_steps=1")
    assert re.search(r"the largest batches fit: \d+ pairs of at most", finished.err)
