"""The recipe that `regard train` chooses for a source with several columns."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from regard.config.recipe import to_table
from regard.config.schema import DataConfig, RunConfig
from regard.errors import ConfigError
from regard.runs.auto_recipe import choose_recipe
from regard.runs.column_scan import ColumnStatistics
from regard.runs.prepare import prepare


def scanned(texts: list[str]) -> str:
    statistics = ColumnStatistics()
    for text in texts:
        statistics.add(text)
    return statistics.scan().delimiter


@pytest.mark.parametrize(
    ("texts", "delimiter"),
    [
        (["V;PST", "V;PRS;3;SG", "N"] * 40, ";"),
        (["jump left", "walk twice and jump"] * 40, " "),
        (["a|b", "b|c|a"] * 40, "|"),
        (["NOM(3,SG);V", "NOM(1,PL);V"] * 40, ";"),
        (["walk", "talk", "go"] * 40, ""),  # single words
        ([f"word{number} other{number}" for number in range(200)], ""),  # each item only once
        (["a;b"] * 3, ""),  # too few to know
        ([";".join(map(str, range(2000)))] * 100, ""),  # too many items
        ([], ""),
    ],
)
def test_a_list_has_few_items_and_a_delimiter(texts: list[str], delimiter: str) -> None:
    assert scanned(texts) == delimiter


def write_inflections(folder: Path, count: int = 400) -> DataConfig:
    rng = random.Random(1)
    rows = []
    for _ in range(count):
        lemma = "".join(rng.choices("abdegiklmnorstu", k=rng.randint(3, 9)))
        tense, person = rng.choice(["PST", "PRS"]), rng.choice("123")
        rows.append(f"{lemma}\t{lemma}{tense.lower()[0]}{person}\tV;{tense};{person}\n")
    path = folder / "train.tsv"
    path.write_text("".join(rows))
    return DataConfig(file=str(path), source_column="1,3", target_column="2")


def test_words_become_characters_and_features_items(tmp_path: Path) -> None:
    data = write_inflections(tmp_path)
    config, plan = choose_recipe(data, ["train.device=cpu"], gpu=False)
    tokenizer = config.tokenizer
    assert (tokenizer.kind, tokenizer.joint) == ("character", True)
    assert [(column.kind, column.delimiter) for column in tokenizer.source_columns] == [
        ("character", None),
        ("list", ";"),
    ]
    assert tokenizer.source_columns[1].vocabulary_size == 10  # V, two tenses, three persons, four special tokens
    assert tokenizer.vocabulary_size == 15 + 4 + 4  # letters, p and digits of the target, special tokens
    assert config.augmentation.level == "off"
    assert any(
        "source columns as characters, items between ';'; target as at most 23 characters" in line for line in plan
    )
    assert RunConfig.model_validate(to_table(config) | {"model": config.model}).tokenizer == tokenizer
    prepared = prepare(config, tmp_path / "data", lambda text: None)
    assert prepared.tokenizers.source.size == 23 + 1 + 6
    assert prepared.tokenizers.source.decode(prepared.dev_ids[0][0]) == prepared.dev[0][0]


@pytest.mark.parametrize(
    ("overrides", "kinds", "joint"),
    [
        (["tokenizer.kind=byte"], ["byte", "list"], True),
        (["tokenizer.joint=false"], ["character", "list"], False),
        (["tokenizer.kind=pattern", "tokenizer.pattern=[aeiou]+"], ["pattern", "list"], True),
    ],
)
def test_overrides_apply_to_the_target_and_to_columns_like_it(
    overrides: list[str], kinds: list[str], joint: bool, tmp_path: Path
) -> None:
    config, _ = choose_recipe(write_inflections(tmp_path), overrides, gpu=False)
    assert [column.kind for column in config.tokenizer.source_columns] == kinds
    assert config.tokenizer.joint is joint


def test_an_unknown_kind_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="unknown tokenizer 'letters'"):
        choose_recipe(write_inflections(tmp_path), ["tokenizer.kind=letters"], gpu=False)


def test_columns_that_are_all_lists_share_nothing(tmp_path: Path) -> None:
    rows = (f"a;b\t{word} {number}\tX|Y\n" for number in range(50) for word in ("x", "y", "z", "w"))
    path = tmp_path / "train.tsv"
    path.write_text("".join(rows))
    data = DataConfig(file=str(path), source_column="1,3", target_column="2")
    config, _ = choose_recipe(data, gpu=False)
    assert [column.delimiter for column in config.tokenizer.source_columns] == [";", "|"]
    assert not config.tokenizer.joint
