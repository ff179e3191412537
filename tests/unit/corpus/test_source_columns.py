"""Sources that several columns of a table make: one text with tabs."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from regard.config.schema import DataConfig
from regard.corpus.bilingual_file import BilingualFile
from regard.corpus.corpus import Pair
from regard.corpus.formats.sides import Sides
from regard.corpus.paths import check_source_columns, open_corpora
from regard.corpus.source_columns import join_columns, split_columns
from regard.corpus.tagged import split_tags
from regard.errors import ConfigError, DataError

TABLE = "lemma\tform\tfeatures\nwalk\twalked\tV;PST\n go \twent\t V;PST \n"


def pairs(path: Path, source: str, target: str) -> list[Pair]:
    return list(BilingualFile(path, Sides(source_column=source, target_column=target)))


@pytest.mark.parametrize(
    ("name", "text", "columns"),
    [
        ("x.tsv", TABLE, ("lemma,features", "form")),
        ("x.tsv", TABLE.partition("\n")[2], ("1, 3", "2")),
        ("x.csv", TABLE.replace("\t", ","), ("lemma,features", "form")),
    ],
)
def test_columns_are_joined_with_tabs(name: str, text: str, columns: tuple[str, str], tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_text(text)
    first = 2 if columns[1] == "form" else 1
    assert pairs(path, *columns) == [Pair("walk\tV;PST", "walked", first), Pair("go\tV;PST", "went", first + 1)]


def test_line_breaks_and_tabs_in_a_column_become_spaces(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text('"take\toff",took off,"V\n;PST"\n')
    assert pairs(path, "3,1", "2") == [Pair("V ;PST\ttake off", "took off", 1)]


def test_a_source_with_white_space_around_its_columns_is_read_as_from_a_table() -> None:
    assert split_columns(" go \t V;PST ", 2) == split_columns(join_columns([" go ", " V;PST "]), 2) == ["go", "V;PST"]
    assert split_columns(" as it is ", 1) == [" as it is "]


@pytest.mark.parametrize("name", ["x.tsv", "x.csv", "x.jsonl"])
@pytest.mark.parametrize("columns", ["lemma,,features", "lemma,", ","])
def test_an_empty_name_is_refused(name: str, columns: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_text('{"lemma": "walk", "form": "walked"}\n' if name == "x.jsonl" else TABLE)
    with pytest.raises(ConfigError, match="a name is missing in the columns") as error:
        pairs(path, columns, "form")
    assert error.value.where and "--source-column" in error.value.where and error.value.fix


def test_an_empty_name_is_refused_where_a_run_has_columns(tmp_path: Path) -> None:
    config: Any = SimpleNamespace(tokenizer=SimpleNamespace(source_columns=("a", "b")))
    with pytest.raises(ConfigError, match="a name is missing in the columns"):
        check_source_columns(config, Sides(source_column="lemma,"), tmp_path / "x.tsv")
    with pytest.raises(ValueError, match="a name is missing in the columns"):  # as in a recipe
        DataConfig(file="x.tsv", source_column="lemma,", target_column="form")


def test_keys_are_joined_with_tabs(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    records = [{"lemma": "walk", "tags": {"all": "V;\tPST"}, "form": "walked"}, {"lemma": "go", "form": "went"}]
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    corpus = BilingualFile(path, Sides(source_column="lemma,tags.all", target_column="form"))
    assert list(corpus) == [Pair("walk\tV; PST", "walked", 1)]
    assert corpus.skipped.counts == {"there is no key 'tags.all'": 1}


def test_a_name_with_a_comma_is_a_single_column(tmp_path: Path) -> None:
    path = tmp_path / "x.tsv"
    path.write_text("a, b\tc\nx\ty\n")
    assert pairs(path, "a, b", "c") == [Pair("x", "y", 2)]
    path = tmp_path / "x.jsonl"
    path.write_text('{"a, b": "x", "c": "y"}\n')
    assert pairs(path, "a, b", "c") == [Pair("x", "y", 1)]


def test_rows_with_blank_or_missing_columns_are_skipped(tmp_path: Path) -> None:
    path = tmp_path / "x.tsv"
    path.write_text("walk\twalked\tV\n\twalked\tV\nwalk\twalked\t \nwalk\twalked\n\twalked\t\n")
    corpus = BilingualFile(path, Sides(source_column="1,3", target_column="2"))
    assert list(corpus) == [Pair("walk\tV", "walked", 1)]
    assert corpus.skipped.counts == {
        "a column of the source is blank": 2,
        "there is no column 3": 1,
        "the source is blank": 1,
    }


@pytest.mark.parametrize(
    ("columns", "message"),
    [(("1,4", "2"), "no column 4"), (("1,2", "2"), "same column"), (("lemma,x", "form"), "no column 'x'")],
)
def test_columns_that_do_not_exist_are_an_error(columns: tuple[str, str], message: str, tmp_path: Path) -> None:
    path = tmp_path / "x.tsv"
    path.write_text(TABLE)
    with pytest.raises(DataError, match=message):
        pairs(path, *columns)


def test_a_missing_name_is_an_error() -> None:
    with pytest.raises(ValueError, match="a name is missing in the columns '1,,3'"):
        DataConfig(file="x.tsv", source_column="1,,3", target_column="2")


def test_sources_with_another_number_of_columns_are_an_error_with_file_and_line(tmp_path: Path) -> None:
    source, target = tmp_path / "a.src", tmp_path / "a.tgt"
    target.write_text("A\nB\n")
    data = DataConfig(source=str(source), target=str(target), tags=("x",))
    for line, message in (("b", "has 1 column"), ("b\tc\td", "has 3 columns"), ("b\t \td", "has 3"), ("b\t", "1 col")):
        source.write_text(f"a\tb\n{line}\n")
        train, _ = open_corpora(data, 1, columns=2)
        with pytest.raises(DataError, match=message) as error:
            list(train)
        assert error.value.where == f"{source}:2"
    source.write_text("a\tb\nc\td\n")
    assert [split_tags(pair.source) for pair in open_corpora(data, 1, columns=2)[0]] == [
        (["x"], "a\tb"),
        (["x"], "c\td"),
    ]
    assert len(list(open_corpora(data, 1)[0])) == len(list(open_corpora(data, 1, columns=0)[0])) == 2


def test_several_columns_without_tokenizers_of_columns_are_an_error(tmp_path: Path) -> None:
    path = tmp_path / "x.tsv"
    path.write_text("walk\twalked\tV\n")
    data = DataConfig(file=str(path), source_column="1,3", target_column="2")
    with pytest.raises(DataError, match="has 2 columns, and must have 1") as error:
        list(open_corpora(data, 1, columns=0)[0])
    assert "[[tokenizer.source_columns]]" in str(error.value.fix)


def test_joined_columns_can_be_split() -> None:
    assert split_columns(join_columns(["a\tb", " c\nd "]), 2) == ["a b", "c d"]
    assert join_columns(["a", " "]) == ""
    assert join_columns([" as it\tis "]) == " as it\tis "
