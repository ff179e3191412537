"""Sources with several columns, through the command line: from a table to a model and its translations."""

from __future__ import annotations

import importlib.util
import json
import random
from pathlib import Path

import pytest
from tests.end_to_end.helpers import RECIPE, call, refused, write_lines

import regard
from regard.errors import DecodingError
from regard.serving import models

ENDINGS = {"PST": "ed", "PRS": "s", "INF": ""}
COLUMNS = """
[[tokenizer.source_columns]]
kind = "character"

[[tokenizer.source_columns]]
kind = "list"
delimiter = ";"
"""


def inflections(count: int, seed: int) -> list[tuple[str, str, str]]:
    """Lemma, form and features."""
    dice = random.Random(seed)
    rows = []
    for _ in range(count):
        lemma, tense = "".join(dice.choices("abcdef", k=dice.randint(2, 5))), dice.choice(list(ENDINGS))
        rows.append((lemma, lemma + ENDINGS[tense], f"V;{tense};{dice.choice('123')}"))
    return rows


def write_table(path: Path, rows: list[tuple[str, str, str]]) -> Path:
    return write_lines(path, ["\t".join(row) for row in rows])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recipe, tables, and the run that it trains."""
    folder = tmp_path_factory.mktemp("columns")
    for number, (name, count) in enumerate({"train": 1200, "dev": 60, "test": 40}.items()):
        write_table(folder / f"{name}.tsv", inflections(count, number))
    data = '[data]\nfile = "train.tsv"\ndev_file = "dev.tsv"\nsource_column = "1,3"\ntarget_column = "2"\n'
    (folder / "columns.toml").write_text(data + RECIPE[RECIPE.index("\n[tokenizer]") :] + COLUMNS)
    finished = call("train", folder / "columns.toml", "-o", folder / "run", "--set", "train.max_steps=180")
    assert finished.code == 0, finished.err
    return folder


def test_both_columns_matter(folder: Path) -> None:
    report = json.loads(call("evaluate", folder / "run", "--data", folder / "test.tsv", "--json").out)
    assert report["lines"] == 40
    assert report["exact"] > 0.5


def test_lines_have_tabs_between_columns(folder: Path) -> None:
    rows = inflections(40, 2)
    text = "".join(f"{lemma}\t{features}\n" for lemma, _, features in rows)
    lines = call("translate", folder / "run", stdin=text.encode()).out.decode().splitlines()
    assert sum(line == form for line, (_, form, _) in zip(lines, rows, strict=True)) > 20
    path = folder / "sources.txt"
    path.write_text(text)
    assert call("translate", folder / "run", "-i", path).out.decode().splitlines() == lines
    targets = write_lines(folder / "targets.txt", [form for _, form, _ in rows])
    plain = json.loads(call("evaluate", folder / "run", "--source", path, "--reference", targets, "--json").out)
    table = json.loads(call("evaluate", folder / "run", "--data", folder / "test.tsv", "--json").out)
    assert plain["exact"] == table["exact"]
    scores = call("score", folder / "run", "--data", folder / "test.tsv").out.decode().splitlines()
    assert len(scores) == 40
    translator = regard.load(folder / "run")
    assert [best.text for best in translator.translate(text.splitlines())] == lines
    assert translator.translate("\n".join(text.splitlines()[:2])).text.splitlines() == lines[:2]
    assert translator.translate("abc\tV;PST;1").source_tokens == ("a", "b", "c", "⇥", "V", "PST", "1", "</s>")


@pytest.mark.parametrize(
    ("line", "problem"),
    [("abc", "has 1 column, and must have 2"), ("a\tV;PST;1\tx", "has 3 columns"), ("a\t \tV", "has 3 columns")],
)
def test_a_line_with_other_columns_is_an_error_with_its_place(line: str, problem: str, folder: Path) -> None:
    text = f"ab\tV;PST;1\n\n{line}\n"
    refused(call("translate", folder / "run", stdin=text.encode()), f"standard input:3: the source {problem}")
    path = folder / "wrong.txt"
    path.write_text(text)
    refused(call("translate", folder / "run", "-i", path), f"wrong.txt:3: the source {problem}")
    refused(
        call("evaluate", folder / "run", "--source", path, "--reference", path), f"wrong.txt:3: the source {problem}"
    )
    with pytest.raises(DecodingError, match=problem):
        regard.load(folder / "run").translate(line)
    write_lines(folder / "wrong.tgt", ["x", "", "y"])
    for name in ("sources.txt", "targets.txt"):
        write_lines(folder / name, ["a\tV;PST;1"])
    recipe = (folder / "columns.toml").read_text()
    for old, new in (
        ('\nfile = "train.tsv"', '\nsource = "wrong.txt"\ntarget = "wrong.tgt"'),
        ('source_column = "1,3"\ntarget_column = "2"\n', ""),
        ('dev_file = "dev.tsv"', 'dev_source = "sources.txt"\ndev_target = "targets.txt"'),
    ):
        recipe = recipe.replace(old, new)
    wrong = folder / "wrong.toml"
    wrong.write_text(recipe)
    refused(call("train", wrong, "-o", folder / "wrong"), f"wrong.txt:3: the source {problem}")


def test_a_table_is_filled(folder: Path, tmp_path: Path) -> None:
    rows = inflections(40, 2)
    empty = write_table(tmp_path / "lemmas.tsv", [(lemma, "", features) for lemma, _, features in rows])
    finished = call("translate", folder / "run", "-i", empty, "-o", tmp_path / "forms.tsv")
    assert finished.code == 0, finished.err
    assert "40 entries: " in finished.err  # so small a model may repeat itself in some, which then stay empty
    filled = [line.split("\t") for line in (tmp_path / "forms.tsv").read_text().splitlines()]
    assert [(lemma, features) for lemma, _, features in filled] == [(lemma, features) for lemma, _, features in rows]
    assert sum(form == row[1] for (_, form, _), row in zip(filled, rows, strict=True)) > 20
    added = ("--source-column", "1,3", "--target-column", "4")
    full = write_table(tmp_path / "full.tsv", rows)
    assert call("translate", folder / "run", "-i", full, "-o", tmp_path / "added.tsv", *added).code == 0
    assert [[*line.split("\t"), ""][3] for line in (tmp_path / "added.tsv").read_text().splitlines()] == [
        form for _, form, _ in filled
    ]
    refused(call("translate", folder / "run", "-i", full, "--source-column", "1"), "have 2 columns, but '1' names 1")
    refused(call("evaluate", folder / "run", "--data", full, "--source-column", "1"), "have 2 columns, but '1' names 1")


def test_attention_has_a_row_for_each_token_of_each_column(folder: Path) -> None:
    finished = call("attend", folder / "run", "abc\tV;PST;1")
    assert finished.code == 0, finished.err
    maps = regard.attend(regard.load(folder / "run"), "abc\tV;PST;1")
    assert maps.source.words == ("a", "b", "c", "⇥", "V", "PST", "1", "</s>")
    refused(call("attend", folder / "run", "abc"), "has 1 column, and must have 2")


def test_the_server_tries_a_source_with_columns(folder: Path) -> None:
    models._test_translation(regard.load(folder / "run"), "here")
    assert "A text.\\tA text." in (folder / "run" / "README.md").read_text()


def test_a_model_of_columns_is_analyzed_and_resumed(folder: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    finished = call("analyze", folder / "run", "--data", folder / "test.tsv", "--output", page)
    assert finished.code == 0, finished.err
    finished = call("train", "--resume", folder / "run", "--set", "train.max_steps=181")
    assert finished.code == 0, finished.err
    start = ("--from", folder / "run", "--set", "train.max_steps=1", "-o", tmp_path / "tuned")
    columns = ("--source-column", "1,3", "--target-column", "2")
    finished = call("train", "--data", folder / "dev.tsv", *columns, *start)
    assert finished.code == 0, finished.err
    assert call("translate", tmp_path / "tuned", stdin=b"ab\tV;INF;1\n").code == 0
    assert "character; list and character" in (folder / "run" / "README.md").read_text()


def test_what_needs_text_is_refused(folder: Path, tmp_path: Path) -> None:
    run, table = folder / "run", folder / "test.tsv"
    columns = ("--source-column", "1,3", "--target-column", "2")
    for name in ("ctranslate2", "marian"):
        refused(call("export", run, tmp_path / name, "--to", name), "the sources of this run have 2 columns")
    refused(call("clean", "--data", table, *columns, "-o", tmp_path / "x.tsv"), "one source column")
    refused(call("improve", run, "--corrections", table), "cannot be improved")
    recipe = folder / "columns.toml"
    for setting in ("augmentation.level=light", "train.terms=0.4"):
        refused(call("train", recipe, "--set", setting, "-o", tmp_path / "x"), "is for sentences")
    refused(call("train", recipe, "--set", 'data.source_column="1"', "-o", tmp_path / "x"), "name 2 columns")
    plain = tmp_path / "plain.toml"
    text = recipe.read_text().replace(COLUMNS, "")
    plain.write_text(text.replace('"train.tsv"', f'"{folder}/train.tsv"').replace('"dev.tsv"', f'"{folder}/dev.tsv"'))
    refused(call("train", plain, "-o", tmp_path / "x"), "train.tsv:1: the source has 2 columns, and must have 1")


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("onnxruntime") is None, reason="needs onnxruntime")
def test_an_exported_model_translates_columns(folder: Path, tmp_path: Path) -> None:
    from regard.inference.translator import Translator
    from regard.interop.onnx.runtime import OnnxModel

    finished = call("export", folder / "run", tmp_path / "onnx", "--to", "onnx")
    assert finished.code == 0, finished.err
    described = json.loads((tmp_path / "onnx" / "manifest.json").read_text())["tokenizers"]
    assert [column["kind"] for column in described["source"]["columns"]] == ["character", "list"]
    assert described["target"]["size"] == described["source"]["size"]
    model = OnnxModel(tmp_path / "onnx")
    exported = Translator(model, model.tokenizers, model.search)
    text = "abc\tV;PST;1"
    assert exported.translate(text).text == regard.load(folder / "run").translate(text).text
