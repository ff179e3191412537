"""JSONL and Parquet: which keys are the sides, and records without them."""

from __future__ import annotations

import gzip
import json
import sys
from pathlib import Path
from typing import Any

import pyarrow
import pytest
from pyarrow import parquet

from regard.corpus.bilingual_file import BilingualFile
from regard.corpus.formats.sides import Sides
from regard.errors import DataError

Record = dict[str, Any]
BOTH = pytest.mark.parametrize("suffix", ["jsonl", "parquet"])


def corpus(path: Path, records: list[Record], **sides: str) -> BilingualFile:
    if path.suffix == ".parquet":
        parquet.write_table(pyarrow.Table.from_pylist(records), path, row_group_size=2)
    else:
        path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return BilingualFile(path, Sides(**sides))


def read(file: BilingualFile) -> list[tuple[str, str, int]]:
    return [(pair.source, pair.target, pair.line) for pair in file]


@BOTH
@pytest.mark.parametrize(
    ("record", "sides"),
    [
        ({"target": "y", "id": 1, "source": "x"}, {}),
        ({"de": "y", "en": "x"}, {"source_language": "en", "target_language": "de"}),
        ({"de_AT": "y", "en-GB": "z", "en": "x"}, {"source_language": "en", "target_language": "de"}),
        ({"id": 1, "translation": {"de": "y", "en": "x"}}, {"source_language": "en", "target_language": "de"}),
        ({"source": "z", "target": "z", "a": "x", "b": "y"}, {"source_column": "a", "target_column": "b"}),
        ({"t": {"en": {"text": "x"}}, "b": "y"}, {"source_column": "t.en.text", "target_column": "b"}),
    ],
)
def test_keys_are_found(tmp_path: Path, suffix: str, record: Record, sides: dict[str, str]) -> None:
    file = corpus(tmp_path / f"x.{suffix}", [record] * 3, **sides)
    assert read(file) == [("x", "y", 1), ("x", "y", 2), ("x", "y", 3)]


def test_a_key_with_a_point_in_its_name(tmp_path: Path) -> None:
    file = corpus(
        tmp_path / "x.jsonl", [{"a.b": "x", "a": {"b": "z"}, "c": "y"}], source_column="a.b", target_column="c"
    )
    assert read(file) == [("x", "y", 1)]


@BOTH
@pytest.mark.parametrize(
    ("sides", "message"),
    [
        ({}, "not clear which keys are source and target: there are 'id', 'translation.de', 'translation.en'"),
        ({"source_language": "en", "target_language": "fr"}, "not clear"),
        ({"source_language": "en", "target_language": "en"}, "not clear"),
        ({"source_column": "id", "target_column": "fr"}, "no key 'fr'; there are 'id', 'translation.de'"),
        ({"source_column": "id.x", "target_column": "id"}, "no key 'id.x'"),
    ],
)
def test_missing_keys(tmp_path: Path, suffix: str, sides: dict[str, str], message: str) -> None:
    with pytest.raises(DataError, match=message):
        read(corpus(tmp_path / f"x.{suffix}", [{"id": "1", "translation": {"de": "y", "en": "x"}}], **sides))


@BOTH
def test_records_without_text_are_skipped(tmp_path: Path, suffix: str) -> None:
    records: list[Record] = [
        {"source": "a", "target": "b"},
        {"source": None, "target": "b"},
        {"source": "a", "target": None},
        {"source": "a", "target": ""},
    ]
    file = corpus(tmp_path / f"x.{suffix}", records)
    assert read(file) == [("a", "b", 1)]
    assert file.skipped.reasons() == {
        "the source is missing": [2],
        "the target is missing": [3],
        "the target is blank": [4],
    }


def test_lines_that_lack_a_key_or_have_no_text(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text(
        '{"source": "a", "target": "b"}\n\n{"source": "a"}\n{"source": 1, "target": ""}\n', encoding="utf-8"
    )
    file = BilingualFile(path, Sides())
    assert read(file) == [("a", "b", 1)]
    assert file.skipped.reasons() == {
        "the line is empty": [2],
        "there is no key 'target'": [3],
        "the source is not text": [4],
    }


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "this is not JSON"),
        ("[" * 100_000, "this is not JSON"),
        ("[1]", "not an object"),
        ("9" * 5000, "this is not JSON"),
        ('{"source": "a", "target": NaN', "this is not JSON"),
    ],
)
def test_a_line_that_is_not_an_object(tmp_path: Path, line: str, message: str) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text('{"source": "a", "target": "b"}\n' + line + "\n", encoding="utf-8")
    with pytest.raises(DataError, match=rf"x\.jsonl:2: {message}|x\.jsonl:2: this is JSON, but {message}"):
        read(BilingualFile(path, Sides()))


def test_a_parquet_column_without_text(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="the column 'target' does not hold text"):
        read(corpus(tmp_path / "x.parquet", [{"source": "a", "target": 1}]))


def test_dictionary_encoded_text_and_a_compressed_file(tmp_path: Path) -> None:
    texts = pyarrow.array(["a", "b", "a"]).dictionary_encode()
    table = pyarrow.table({"source": texts, "target": pyarrow.array(["x", "y", "z"], pyarrow.large_string())})
    parquet.write_table(table, tmp_path / "x.parquet")
    expected = [("a", "x", 1), ("b", "y", 2), ("a", "z", 3)]
    assert read(BilingualFile(tmp_path / "x.parquet", Sides())) == expected
    (tmp_path / "x.parquet.gz").write_bytes(gzip.compress((tmp_path / "x.parquet").read_bytes()))
    assert read(BilingualFile(tmp_path / "x.parquet.gz", Sides())) == expected


def test_invalid_parquet(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    corpus(path, [{"source": "a", "target": "b"}])
    data = path.read_bytes()
    for broken in (b"", b"text", data[:-10], data[: len(data) // 2], data[:40] + b"\xff" * 20 + data[60:]):
        path.write_bytes(broken)
        with pytest.raises(DataError, match="cannot be read"):
            read(BilingualFile(path, Sides()))


def test_without_pyarrow_the_error_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = corpus(tmp_path / "x.parquet", [{"source": "a", "target": "b"}])
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(DataError, match=r'pip install "regard\[parquet\]"'):
        read(file)
