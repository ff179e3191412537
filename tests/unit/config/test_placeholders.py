from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from regard.config.overrides import Override
from regard.config.placeholders import (
    check_placeholders,
    combine_values,
    fill_placeholders,
    parse_placeholders,
    placeholder_names,
    single_values,
)
from regard.errors import ConfigError
from regard.runs.train import read_recipe
from regard.runs.training_recipe import choose_recipe
from regard.runs.training_request import TrainingRequest

RECIPE = """
[data]
file = "{language}/train.tsv"
dev_file = "{language}/{split}.tsv"
source_language = "{language}"
tags = ["{de}"]

[tokenizer]
kind = "pattern"
pattern = '\\w{2}|\\p{L}|.'

[model]
architecture = "transformer2017"
preset = "tiny"
"""


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "many.toml"
    path.write_text(RECIPE)
    return path


def test_values_are_separated_by_commas() -> None:
    texts = ["language=ang, ara,ang", " split = dev_1.x", "language=tür"]
    assert parse_placeholders(texts, "--with") == {"language": ("ang", "ara", "tür"), "split": ("dev_1.x",)}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("language", "not of the form NAME=VALUE"),
        ("Language=tur", "cannot be the name"),
        ("=tur", "cannot be the name"),
        ("language=", "cannot be the value of the placeholder `language`"),
        ("language=a,,b", "cannot be the value"),
        ("language=../x", "cannot be the value"),
        ("language=a/b", "cannot be the value"),
        ("language=a b", "cannot be the value"),
        ("language={x}", "cannot be the value"),
    ],
)
def test_other_texts_are_rejected(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        parse_placeholders([text], "--with")
    assert caught.value.where == "--with" and caught.value.fix


def test_a_value_in_python_is_a_text() -> None:
    with pytest.raises(ConfigError, match="7 cannot be the value"):
        check_placeholders({"seed": 7}, "placeholders")  # type: ignore[dict-item]


def test_one_model_has_one_value() -> None:
    assert single_values({"language": ("tur",), "split": ("dev",)}, "--with") == {"language": "tur", "split": "dev"}
    with pytest.raises(ConfigError, match="`language` has 2 values") as caught:
        single_values({"language": ("tur", "ang")}, "--with")
    assert "regard compare" in str(caught.value.fix)


def test_values_are_combined() -> None:
    combinations = combine_values({"a": ("1", "2"), "b": ("x", "y")})
    assert combinations == [{"a": "1", "b": "x"}, {"a": "1", "b": "y"}, {"a": "2", "b": "x"}, {"a": "2", "b": "y"}]


def test_only_placeholders_with_a_value_are_filled_in() -> None:
    table = {"a": ["{x}/{y}", 3, {"b": "{x}{x}"}], "c": "{X} { x } {2} {}"}
    assert fill_placeholders(table, {"x": "1"}) == {"a": ["1/{y}", 3, {"b": "11"}], "c": "{X} { x } {2} {}"}
    assert placeholder_names(table) == {"x", "y"}
    filled = fill_placeholders([Override("train.seed={x}", "--set")], {"x": "1"})[0]
    assert (filled, filled.origin) == ("train.seed=1", "--set")


def test_a_recipe_is_filled_in(recipe: Path, tmp_path: Path) -> None:
    values = {"language": "tur", "split": "dev", "rate": "0.25"}
    config = read_recipe(recipe, ["train.learning_rate={rate}"], values)
    assert config.data.file == str(tmp_path / "tur" / "train.tsv")
    assert config.data.dev_file == str(tmp_path / "tur" / "dev.tsv")
    assert (config.data.source_language, config.data.tags) == ("tur", ("{de}",))
    assert config.tokenizer.pattern == "\\w{2}|\\p{L}|."
    assert config.train.learning_rate == 0.25


def test_a_placeholder_without_a_value_is_an_error(recipe: Path) -> None:
    with pytest.raises(ConfigError, match=r"\{language\} has no value") as caught:
        read_recipe(recipe)
    assert caught.value.where == f"{recipe}: data.file"
    assert "--with language=VALUE" in str(caught.value.fix)
    with pytest.raises(ConfigError, match=r"\{split\} has no value"):
        read_recipe(recipe, placeholders={"language": "tur"})


def test_an_override_replaces_a_path_with_a_placeholder(recipe: Path, tmp_path: Path) -> None:
    paths = {"data.file": tmp_path / "a.tsv", "data.dev_file": tmp_path / "b.tsv"}
    assert read_recipe(recipe, paths).data.file == str(tmp_path / "a.tsv")


def test_an_unknown_placeholder_is_an_error(recipe: Path) -> None:
    with pytest.raises(ConfigError, match=r"no placeholder \{langauge\}") as caught:
        read_recipe(recipe, placeholders={"langauge": "tur"})
    assert "did you mean `language`" in str(caught.value.fix)


def test_braces_in_the_name_of_a_file_are_no_placeholder(recipe: Path, tmp_path: Path) -> None:
    (tmp_path / "{language}").mkdir()
    for name in ("train", "{split}"):
        (tmp_path / "{language}" / f"{name}.tsv").touch()
    assert read_recipe(recipe).data.file == str(tmp_path / "{language}" / "train.tsv")


def test_the_folder_of_a_run_is_named_after_the_values(recipe: Path) -> None:
    values = {"language": "tur", "split": "dev"}
    _, folder = choose_recipe(TrainingRequest(recipe, placeholders=values), print)
    assert folder == Path("runs/many-tur-dev")


def test_without_a_file_there_is_nothing_to_fill_in() -> None:
    with pytest.raises(ConfigError, match="only the file of a recipe"):
        TrainingRequest(None, {"data": "a.tsv"}, placeholders={"language": "tur"}).check()


@pytest.mark.parametrize("values", ["language=tur", ["language=tur"], 5, None, {5: "tur"}])
def test_placeholders_that_are_not_texts_by_name_are_an_error(recipe: Path, values: Any) -> None:
    with pytest.raises(ConfigError) as caught:
        TrainingRequest(recipe, placeholders=values).check()
    assert caught.value.where == "placeholders"
    with pytest.raises(ConfigError):
        read_recipe(recipe, placeholders=values)
