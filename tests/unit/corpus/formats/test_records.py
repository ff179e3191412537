"""JSONL and Parquet: which keys are the sides, and records that lack them."""

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
BOTH = pytest.mark.parametrize("ending", ["jsonl", "parquet"])


def corpus(path: Path, records: list[Record], **sides: str) -> BilingualFile:
    if path.suffix == ".parquet":
        parquet.write_table(pyarrow.Table.from_pylist(records), path, row_group_size=2)
    else:
        path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return BilingualFile(path, Sides(**sides))


def read(found: BilingualFile) -> list[tuple[str, str, int]]:
    return [(pair.source, pair.target, pair.line) for pair in found]


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
def test_keys_are_found(tmp_path: Path, ending: str, record: Record, sides: dict[str, str]) -> None:
    found = corpus(tmp_path / f"x.{ending}", [record] * 3, **sides)
    assert read(found) == [("x", "y", 1), ("x", "y", 2), ("x", "y", 3)]


def test_a_key_with_a_point_in_its_name(tmp_path: Path) -> None:
    found = corpus(
        tmp_path / "x.jsonl", [{"a.b": "x", "a": {"b": "z"}, "c": "y"}], source_column="a.b", target_column="c"
    )
    assert read(found) == [("x", "y", 1)]


@BOTH
@pytest.mark.parametrize(
    ("sides", "what"),
    [
        ({}, "source and target is not clear: there are 'id', 'translation.de', 'translation.en'"),
        ({"source_language": "en", "target_language": "fr"}, "not clear"),
        ({"source_language": "en", "target_language": "en"}, "not clear"),
        ({"source_column": "id", "target_column": "fr"}, "no key 'fr'; there are 'id', 'translation.de'"),
        ({"source_column": "id.x", "target_column": "id"}, "no key 'id.x'"),
    ],
)
def test_keys_that_are_not_there(tmp_path: Path, ending: str, sides: dict[str, str], what: str) -> None:
    with pytest.raises(DataError, match=what):
        read(corpus(tmp_path / f"x.{ending}", [{"id": "1", "translation": {"de": "y", "en": "x"}}], **sides))


@BOTH
def test_records_without_text_are_left_aside(tmp_path: Path, ending: str) -> None:
    records: list[Record] = [
        {"source": "a", "target": "b"},
        {"source": None, "target": "b"},
        {"source": "a", "target": None},
        {"source": "a", "target": ""},
    ]
    found = corpus(tmp_path / f"x.{ending}", records)
    assert read(found) == [("a", "b", 1)]
    assert found.skipped.reasons() == {
        "the source is missing": [2],
        "the target is missing": [3],
        "the target is blank": [4],
    }


def test_lines_that_lack_a_key_or_have_no_text(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text(
        '{"source": "a", "target": "b"}\n\n{"source": "a"}\n{"source": 1, "target": ""}\n', encoding="utf-8"
    )
    found = BilingualFile(path, Sides())
    assert read(found) == [("a", "b", 1)]
    assert found.skipped.reasons() == {
        "the line is empty": [2],
        "there is no key 'target'": [3],
        "the source is no text": [4],
    }


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("{", "this is no JSON"),
        ("[" * 100_000, "this is no JSON"),
        ("[1]", "no object"),
        ("9" * 5000, "this is no JSON"),
        ('{"source": "a", "target": NaN', "this is no JSON"),
    ],
)
def test_a_line_that_is_no_object_is_told(tmp_path: Path, line: str, what: str) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text('{"source": "a", "target": "b"}\n' + line + "\n", encoding="utf-8")
    with pytest.raises(DataError, match=rf"x\.jsonl:2: {what}|x\.jsonl:2: this is JSON, but {what}"):
        read(BilingualFile(path, Sides()))


def test_a_column_of_parquet_that_is_no_text(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="the column 'target' has no text"):
        read(corpus(tmp_path / "x.parquet", [{"source": "a", "target": 1}]))


def test_text_in_a_dictionary_and_a_packed_file(tmp_path: Path) -> None:
    texts = pyarrow.array(["a", "b", "a"]).dictionary_encode()
    table = pyarrow.table({"source": texts, "target": pyarrow.array(["x", "y", "z"], pyarrow.large_string())})
    parquet.write_table(table, tmp_path / "x.parquet")
    expected = [("a", "x", 1), ("b", "y", 2), ("a", "z", 3)]
    assert read(BilingualFile(tmp_path / "x.parquet", Sides())) == expected
    (tmp_path / "x.parquet.gz").write_bytes(gzip.compress((tmp_path / "x.parquet").read_bytes()))
    assert read(BilingualFile(tmp_path / "x.parquet.gz", Sides())) == expected


def test_what_is_no_parquet(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    corpus(path, [{"source": "a", "target": "b"}])
    whole = path.read_bytes()
    for broken in (b"", b"text", whole[:-10], whole[: len(whole) // 2], whole[:40] + b"\xff" * 20 + whole[60:]):
        path.write_bytes(broken)
        with pytest.raises(DataError, match="cannot be read"):
            read(BilingualFile(path, Sides()))


def test_without_pyarrow_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = corpus(tmp_path / "x.parquet", [{"source": "a", "target": "b"}])
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(DataError, match=r'pip install "regard\[parquet\]"'):
        read(found)
