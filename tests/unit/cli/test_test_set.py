from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from regard.cli import test_set
from regard.cli.test_set import LABELS, TestSetFiles
from regard.corpus.formats.sides import Sides
from regard.corpus.paths import CorpusPaths
from regard.errors import DataError


def read(folder: Path, sources: str, references: str, monkeypatch: pytest.MonkeyPatch, columns: int = 0) -> list[str]:
    """Return both sides of each pair of a test set, joined by ` | `."""
    paths = folder / "test.en", folder / "test.de"
    for path, text in zip(paths, (sources, references), strict=True):
        path.write_text(text)
    config = SimpleNamespace(tokenizer=SimpleNamespace(source_columns=["column"] * columns))
    monkeypatch.setattr(test_set, "_load_config", lambda run: config)
    pairs, _ = TestSetFiles(CorpusPaths(*paths, labels=LABELS), Sides()).pairs(folder)
    assert [pair.line for pair in pairs] == list(range(1, len(pairs) + 1))
    return [f"{pair.source} | {pair.target}" for pair in pairs]


def test_plain_lines_are_stripped_as_pairs_of_other_files_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pairs = read(tmp_path, " one \ntwo\t\n \n", "eins \n\tzwei\u00a0\n\n", monkeypatch)
    assert pairs == ["one | eins", "two | zwei", " | "]


def test_a_blank_column_is_found_before_lines_are_stripped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert read(tmp_path, " go\tV;PST \n", "went\n", monkeypatch, columns=2) == ["go\tV;PST | went"]
    with pytest.raises(DataError, match="column 2 of the source is blank"):
        read(tmp_path, "go\t\n", "went\n", monkeypatch, columns=2)
