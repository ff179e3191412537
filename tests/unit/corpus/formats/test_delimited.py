"""TSV and CSV."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regard.corpus.bilingual_file import BilingualFile
from regard.corpus.formats import delimited
from regard.corpus.formats.delimited import parse_rows, unquote
from regard.corpus.formats.sides import Sides
from regard.errors import DataError


def read(path: Path, text: str, **sides: str) -> list[tuple[str, str, int]]:
    path.write_text(text, encoding="utf-8", newline="")
    return [(pair.source, pair.target, pair.line) for pair in BilingualFile(path, Sides(**sides))]


@pytest.mark.parametrize(
    ("text", "sides"),
    [
        ("x\ty\n", {}),
        ("no\tx\ty\n", {"source_column": "2", "target_column": "3"}),
        ("source\ttarget\nx\ty\n", {}),
        ("target\tid\tsource\ny\t1\tx\n", {}),
        ("de\ten\ny\tx\n", {"source_language": "en", "target_language": "de"}),
        ("id\tDeutsch\tEnglisch\n1\ty\tx\n", {"source_column": "Englisch", "target_column": "Deutsch"}),
    ],
)
def test_columns_are_found_by_name_by_number_or_as_the_only_two(
    tmp_path: Path, text: str, sides: dict[str, str]
) -> None:
    assert read(tmp_path / "x.tsv", text, **sides) == [("x", "y", text.count("\n"))]


@pytest.mark.parametrize(
    ("text", "sides", "message"),
    [
        ("a\tb\tc\n", {}, "which of the 3 columns"),
        ("alone\n", {}, "which of the 1 columns"),
        ("a\tb\n", {"source_column": "1", "target_column": "3"}, "no column 3"),
        ("a\tb\n", {"source_column": "a", "target_column": "z"}, "no column 'z'"),
        ("a\tb\n", {"source_column": "a", "target_column": "2"}, "no column '2'"),
        ("a\tb\n", {"source_column": "a", "target_column": "a"}, "the same column"),
        ("a\tb\n", {"source_column": "1"}, "the target column is not given"),
        ("", {}, "is empty"),
    ],
)
def test_missing_columns(tmp_path: Path, text: str, sides: dict[str, str], message: str) -> None:
    with pytest.raises(DataError, match=message):
        read(tmp_path / "x.tsv", text, **sides)


def test_quotes_are_plain_characters_in_tsv_only(tmp_path: Path) -> None:
    assert read(tmp_path / "x.tsv", '"a, b\tc"\n') == [('"a, b', 'c"', 1)]
    text = 'source,target\n"a, ""b""","c\r\nd"\ne,f\n'
    assert read(tmp_path / "x.csv", text) == [('a, "b"', "c d", 2), ("e", "f", 4)]


def test_an_unclosed_quote_is_reported_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"x\.csv:2: this is not valid CSV"):
        read(tmp_path / "x.csv", 'a,b\n"c,d\ne,f\n')


@pytest.mark.parametrize("text", ['a,b\n"c"d,e\n', 'a,b\n"c,d\n', "a,b\nc\rd,e\n", 'a,b\n"c","d\n'])
def test_invalid_csv_is_reported_with_its_line(tmp_path: Path, text: str) -> None:
    with pytest.raises(DataError, match=r"x\.csv:2: this is not valid CSV"):
        read(tmp_path / "x.csv", text)


@given(st.lists(st.lists(st.text('a",\n\r', max_size=6), min_size=2, max_size=4), max_size=8), st.booleans())
def test_rows_are_parsed_as_written_and_joined_fields_restore_the_text(table: list[list[str]], quoted: bool) -> None:
    out = io.StringIO()
    csv.writer(out, quoting=csv.QUOTE_ALL if quoted else csv.QUOTE_MINIMAL).writerows(table)
    lines = out.getvalue().split("\n")[:-1]
    rows = list(parse_rows(lines, ",", "x"))
    assert [[unquote(field, ",") for field in fields] for _, fields in rows] == table
    starts = [sum(len(line) + 1 for line in lines[: number - 1]) for number, _ in rows]
    assert all(
        out.getvalue().startswith(",".join(fields), start) for start, (_, fields) in zip(starts, rows, strict=True)
    )


def test_a_record_of_too_many_lines_is_rejected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delimited, "MAX_LINE_BYTES", 10_000)
    path = tmp_path / "x.csv"
    path.write_text('a,b\n"' + '","\n' * 4_000)  # a field begins and ends on each line
    with pytest.raises(DataError, match=r"x\.csv:2: this is not valid CSV: it has more than 10,000 characters"):
        list(BilingualFile(path, Sides()))
