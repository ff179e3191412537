"""TSV and CSV."""

from __future__ import annotations

from pathlib import Path

import pytest

from regard.errors import DataError
from regard.text.bilingual import BilingualFile
from regard.text.formats.sides import Sides


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
def test_columns_are_known_by_name_or_number_or_because_there_are_two(
    tmp_path: Path, text: str, sides: dict[str, str]
) -> None:
    assert read(tmp_path / "x.tsv", text, **sides) == [("x", "y", text.count("\n"))]


@pytest.mark.parametrize(
    ("text", "sides", "what"),
    [
        ("a\tb\tc\n", {}, "which of the 3 columns"),
        ("alone\n", {}, "which of the 1 columns"),
        ("a\tb\n", {"source_column": "1", "target_column": "3"}, "no column 3"),
        ("a\tb\n", {"source_column": "a", "target_column": "z"}, "no column 'z'"),
        ("a\tb\n", {"source_column": "a", "target_column": "2"}, "no column '2'"),
        ("", {}, "is empty"),
    ],
)
def test_columns_that_are_not_there(tmp_path: Path, text: str, sides: dict[str, str], what: str) -> None:
    with pytest.raises(DataError, match=what):
        read(tmp_path / "x.tsv", text, **sides)


def test_quotes_are_characters_in_tsv_and_quotes_in_csv(tmp_path: Path) -> None:
    assert read(tmp_path / "x.tsv", '"a, b\tc"\n') == [('"a, b', 'c"', 1)]
    text = 'source,target\n"a, ""b""","c\r\nd"\ne,f\n'
    assert read(tmp_path / "x.csv", text) == [('a, "b"', "c d", 2), ("e", "f", 4)]


def test_a_quote_that_is_never_closed_is_told_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"x\.csv:2: this is no CSV"):
        read(tmp_path / "x.csv", 'a,b\n"c,d\ne,f\n')
