"""The column of a table with the labels of its pairs."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from regard.corpus.formats.label_column import read_label_column
from regard.errors import DataError


def write(path: Path, text: str) -> Path:
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


@pytest.mark.parametrize(
    ("name", "text", "column", "labels"),
    [
        ("a.tsv", "source\tdomain\ttarget\na\tlaw\tb\nc\t news \td\n", "domain", {2: "law", 3: "news"}),
        ("a.tsv.gz", "a\tb\t1\nc\td\ne\tf\t\n", "3", {1: "1", 3: ""}),
        ("a.csv", 'source,target,"domain"\na,"b\nc","la""w"\nd,e,news\n', "domain", {2: 'la"w', 4: "news"}),
        ("a.csv", 'a,b,"x,y"\n', "3", {1: "x,y"}),
        ("a.jsonl", '{"a": {"b": "law"}}\n\n{"a": {"b": 7}}\n{"x": 1}\n', "a.b", {1: "law", 3: "7"}),
    ],
)  # fmt: skip
def test_labels_by_line(name: str, text: str, column: str, labels: dict[int, str], tmp_path: Path) -> None:
    assert read_label_column(write(tmp_path / name, text), column) == labels


def test_labels_of_rows(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    path = tmp_path / "a.parquet"
    parquet.write_table(pyarrow.table({"source": ["a", "b"], "domain": ["law", None]}), path)
    assert read_label_column(path, "domain") == {1: "law", 2: ""}
    with pytest.raises(DataError, match="there is no key 'topic'") as caught:
        read_label_column(path, "topic")
    assert caught.value.fix == "change --label-column"


@pytest.mark.parametrize(
    ("name", "text", "column", "message"),
    [
        ("a.tsv", "source\ttarget\n", "domain", "there is no column 'domain'; the first line has 'source', 'target'"),
        ("a.tsv", "a\tb\n", "3", "a.tsv:1: there is no column 3; there are columns 1 to 2"),
        ("a.tsv", "a\tb\n", "0", "there is no column 0"),
        ("a.tsv", "", "3", "the file is empty"),
        ("a.jsonl", '{"source": "a"}\n', "domain", "a.jsonl:1: there is no key 'domain'"),
        ("a.jsonl", '{"domain": ["a"]}\n', "domain", "a.jsonl:1: 'domain' is not text"),
        ("a.jsonl", '{"domain": "\\ud83d"}\n', "domain", "a.jsonl:1: 'domain' is not text"),
        ("a.tmx", "", "domain", "a .tmx file has no columns"),
    ],
)  # fmt: skip
def test_unclear_labels_are_rejected(name: str, text: str, column: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        read_label_column(write(tmp_path / name, text), column)
    assert message in str(caught.value)
