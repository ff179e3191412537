"""Hugging Face datasets from local folders, without network access."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pyarrow
import pytest
from pyarrow import parquet

import regard
from regard.config.data import DataConfig
from regard.config.recipe import resolve_paths
from regard.corpus.corpus import Corpus
from regard.corpus.paths import open_corpora
from regard.errors import DataError

datasets = pytest.importorskip("datasets", reason="needs the extra `datasets`")

ROWS = [{"id": number, "translation": {"en": f"a {number}", "de": f"ein {number}"}} for number in range(5)]


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)


def folder(path: Path, kind: str, rows: list[dict[str, Any]] = ROWS, split: str = "train") -> Path:
    (path / "pairs").mkdir(exist_ok=True)
    if kind == "parquet":
        parquet.write_table(pyarrow.Table.from_pylist(rows), path / "pairs" / f"{split}.parquet")
    else:
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (path / "pairs" / f"{split}.jsonl").write_text(text, encoding="utf-8")
    return path / "pairs"


def opened(path: Path | str, **options: str) -> tuple[Corpus, Corpus | None]:
    languages = {"source_language": "en", "target_language": "de"}
    return open_corpora(DataConfig.model_validate({"dataset": str(path), **languages, **options}), seed=1)


@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
def test_a_folder_is_read_by_its_splits(tmp_path: Path, kind: str) -> None:
    folder(tmp_path, kind, split="train")
    train, dev = opened(folder(tmp_path, kind, ROWS[:2], "validation"), dev_split="validation")
    assert dev is not None
    assert [(pair.source, pair.target, pair.line) for pair in train] == [
        (f"a {n}", f"ein {n}", n + 1) for n in range(5)
    ]
    assert [pair.source for pair in dev] == ["a 0", "a 1"]
    assert len(list(train)) == 5  # and again
    assert (train.name, dev.name) == ("pairs (train)", "pairs (validation)")


def test_columns_and_rows_without_text(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [{"q": "a", "b": {"c": "x"}}, {"q": None, "b": {"c": "y"}}, {"q": "b", "b": {"c": ""}}]
    train, dev = opened(folder(tmp_path, "jsonl", rows), source_column="q", target_column="b.c")
    assert [(pair.source, pair.target) for pair in train] == [("a", "x")]
    assert train.skipped.reasons() == {"the source is missing": [2], "the target is blank": [3]}
    assert dev is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dataset_split": "trian"}, "cannot be read: .*trian"),
        ({"dataset_config": "xx"}, "cannot be read: .*xx"),
        ({"source_column": "id", "target_column": "x"}, "no key 'x'; there are 'id', 'translation.en'"),
    ],
)
def test_missing_splits_configs_and_columns(tmp_path: Path, options: dict[str, str], message: str) -> None:
    path = folder(tmp_path, "jsonl")
    with pytest.raises(DataError, match=message) as caught:
        list(opened(path, **options)[0])
    assert str(path) in str(caught.value.where)


def test_a_corrupt_file_and_a_missing_folder(tmp_path: Path) -> None:
    path = folder(tmp_path, "jsonl")
    (path / "train.jsonl").write_text('{"translation": {"en": "a", "de": "b"}}\n{broken\n', encoding="utf-8")
    with pytest.raises(DataError, match="cannot be read"):
        list(opened(path)[0])
    with pytest.raises(DataError, match="no such folder"):
        list(opened(tmp_path / "missing")[0])


def test_code_in_a_dataset_is_never_run(tmp_path: Path) -> None:
    path = folder(tmp_path, "jsonl")
    (path / "pairs.py").write_text(f"import pathlib; pathlib.Path({str(tmp_path / 'ran')!r}).touch()", encoding="utf-8")
    try:
        list(opened(path)[0])
    except DataError as error:
        assert "scripts are no longer supported" in str(error)
    assert not (tmp_path / "ran").exists()


def test_without_a_network_the_hub_cannot_be_reached() -> None:
    with pytest.raises(DataError, match="the hub cannot be reached"):
        list(opened("missing/dataset")[0])


def test_without_the_library_the_error_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = folder(tmp_path, "jsonl")
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(DataError, match=r'pip install "regard\[datasets\]"'):
        list(opened(path)[0])


@pytest.mark.parametrize(
    "table",
    [
        {"dataset": "x", "file": "y.tsv"},
        {"dataset_split": "train", "file": "y.tsv"},
        {"dev_split": "dev", "file": "y.tsv"},
        {"dataset": "x", "dev_split": "dev", "dev_file": "y.tsv"},
    ],
)
def test_a_dataset_cannot_be_combined_with_files(table: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"give only one|require `dataset`"):
        DataConfig.model_validate(table)


def test_a_folder_next_to_a_recipe_and_a_name_on_the_hub(tmp_path: Path) -> None:
    folder(tmp_path, "jsonl")
    for name, expected in (("pairs", str(tmp_path / "pairs")), ("opus_books", "opus_books")):
        text = f'[data]\ndataset = "{name}"\n[model]\narchitecture = "modern"\npreset = "tiny"\n'
        (tmp_path / "x.toml").write_text(text, encoding="utf-8")
        config = regard.read_recipe(tmp_path / "x.toml")
        assert config.data.dataset == expected
        assert resolve_paths(config) == config
