"""A dry run says what a run will take, and leaves nothing."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

import pytest
from tests.end_to_end.helpers import Files, call, file_bytes, recipe, refused


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary folders go."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def test_it_says_what_a_run_takes_and_leaves_nothing(files: Files, tmp_path: Path, scratch: Path) -> None:
    recipe(files)
    before = file_bytes(files.folder)
    done = call("train", files / "tiny.toml", "--out", tmp_path / "run", "--dry-run")
    assert done.code == 0, done.err
    told = dict(re.findall(r"^(\w[\w ]+?)  +(.*)$", done.err, re.MULTILINE))
    assert told["pairs"] == "1,200 for training, 100 for dev"
    assert told["vocabulary"] == "15"
    assert re.fullmatch(r"transformer2017: [\d,]{6} parameters", told["model"])
    batches = re.match(r"(\d+) batches, (\d+) steps", told["an epoch"])
    assert batches is not None
    assert batches[1] == batches[2]
    assert re.search(r"pairs of at most \d and \d tokens: \d\.\d+ s", told["a large batch"])
    assert re.fullmatch(r"at most [\d.]+ [MG]B", told["memory"])
    assert "for all 240 steps" in told["training"]
    assert "every 60 steps" in told["validation"]
    assert re.search(r"^[\d.]+ kB, written in .*3 are kept, [\d.]+ [kM]B; [\d.]+ [GT]B are free", told["checkpoint"])
    assert not (tmp_path / "run").exists()
    assert list(scratch.iterdir()) == []
    assert file_bytes(files.folder) == before


def test_what_is_wrong_is_told_and_nothing_left_either(files: Files, tmp_path: Path, scratch: Path) -> None:
    recipe(files)
    options = ("--out", tmp_path / "run", "--dry-run", "--set", "data.max_length=1")
    refused(call("train", files / "tiny.toml", *options), "raise data.max_length")
    assert not (tmp_path / "run").exists()
    assert list(scratch.iterdir()) == []


def test_a_run_begins_with_what_it_will_take(files: Files, tmp_path: Path) -> None:
    recipe(files)
    done = call("train", files / "tiny.toml", "--out", tmp_path / "run", "--set", "train.max_steps=1")
    assert re.search(r"the largest batches fit: \d+ pairs of at most", done.err)
