"""Sources with several columns, each with its own tokens; and lists of items."""

from __future__ import annotations

import json
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regard.config.schema import ColumnTokenizerConfig, TokenizerConfig
from regard.corpus.tagged import add_tags
from regard.errors import CheckpointError, ConfigError, DataError
from regard.special_tokens import SPECIAL, UNK
from regard.tokenizers.base import Tokenizers, train_tokenizers
from regard.tokenizers.columns import ColumnsTokenizer, JointTargetTokenizer
from regard.tokenizers.extend import extend_tokenizer
from regard.tokenizers.item_list import ListTokenizer

PAIRS = [("walk\tV;PST", "walked"), ("talk\tV;PRS;3;SG", "talks"), ("V\tN;PL", "Vs")]
CHARACTERS = ColumnTokenizerConfig(kind="character")
ITEMS = ColumnTokenizerConfig(kind="list", delimiter=";")
MATCHES = ColumnTokenizerConfig(kind="pattern", pattern="[^;]+")


def product_words() -> list[str]:
    return ["".join(syllables) for syllables in product(("ka", "lo", "mi", "ru"), repeat=3)]


def trained(*columns: ColumnTokenizerConfig, **changes: Any) -> Tokenizers:
    settings = {"kind": "character", "vocabulary_size": 300, "joint": True, **changes}
    return train_tokenizers(TokenizerConfig(**settings, source_columns=columns), PAIRS)


@pytest.mark.parametrize(
    ("settings", "columns"),
    [
        ({}, (CHARACTERS, ITEMS)),
        ({}, (ITEMS, CHARACTERS)),
        ({}, (CHARACTERS, MATCHES)),
        ({"joint": False}, (CHARACTERS, ITEMS)),
        ({}, (CHARACTERS, CHARACTERS)),
        ({"joint": False}, (CHARACTERS, CHARACTERS)),
        ({"kind": "byte"}, (ColumnTokenizerConfig(kind="byte"), ITEMS)),
        ({"joint": False}, (ColumnTokenizerConfig(kind="byte"), ColumnTokenizerConfig(kind="byte"))),
        ({"kind": "list", "delimiter": ";"}, (ITEMS, CHARACTERS)),
        ({"kind": "word"}, (ColumnTokenizerConfig(kind="word"), ITEMS)),
        ({"kind": "bpe", "vocabulary_size": 290}, (ColumnTokenizerConfig(kind="bpe"), ITEMS)),
        ({"joint": False}, (ColumnTokenizerConfig(kind="unigram", vocabulary_size=290), ITEMS)),
    ],
)
def test_text_and_ids_survive_saving_and_loading(
    settings: dict[str, Any], columns: tuple[ColumnTokenizerConfig, ...], tmp_path: Path
) -> None:
    pairs = [*PAIRS, *((f"{word}\tN;SG", f"{word}s") for word in product_words())]
    config = TokenizerConfig(**{"kind": "character", "vocabulary_size": 300, **settings}, source_columns=columns)
    if columns[0].kind == "list" or settings.get("kind") == "list":
        pairs = [("\t".join(reversed(source.split("\t"))), target) for source, target in pairs]
    tokenizers = train_tokenizers(config, pairs)
    tokenizers.save(tmp_path)
    loaded = Tokenizers.load(tmp_path)
    assert loaded.joint is config.joint
    assert loaded.source.kind == "columns"
    assert loaded.target.kind == config.kind
    for source, target in pairs:
        ids = tokenizers.source.encode(source)
        assert tokenizers.source.decode(ids) == source
        assert UNK not in ids
        assert max(ids) < tokenizers.source.size
        for side, text in (("source", source), ("target", target)):
            before, after = getattr(tokenizers, side), getattr(loaded, side)
            assert after.size == before.size
            assert after.encode(text) == before.encode(text)
            assert after.decode(before.encode(text)) == text
            assert after.pieces(range(after.size)) == before.pieces(range(before.size))
    assert (loaded.source.size == loaded.target.size) or not loaded.joint


def test_columns_share_ids_with_a_target_of_the_same_tokens_only() -> None:
    joint, separate = trained(CHARACTERS, ITEMS), trained(CHARACTERS, ITEMS, joint=False)
    ids = joint.source.encode("V\tV;PST")
    assert ids[0] == joint.target.encode("V")[0]
    assert ids[2] not in (ids[0], *joint.target.encode("VPST"))
    assert joint.source.pieces(ids) == ["V", "⇥", "V", "PST"]
    assert joint.source.size == joint.target.size
    assert len(set(joint.source.pieces(range(joint.source.size)))) == joint.source.size - 1  # V is in both columns
    assert separate.target.size < joint.target.size
    assert len(set(separate.source.encode("V\tV"))) == 3


def test_a_joint_target_has_no_text_for_tokens_of_other_columns() -> None:
    joint = trained(CHARACTERS, ITEMS)
    assert isinstance(joint.target, JointTargetTokenizer)
    assert joint.target.decode(joint.source.encode("walk\tV;PST")) == "walk"
    assert joint.target.pieces(joint.source.encode("walk\tV;PST"))[-2:] == ["V", "PST"]


def test_unknown_text_is_unknown_in_its_column() -> None:
    source = trained(CHARACTERS, ITEMS).source
    ids = source.encode("zz\tXX;V")
    assert ids.count(UNK) == 3
    assert source.decode(ids) == "<unk><unk>\t<unk>;V"


@given(st.lists(st.integers(0, 40), max_size=12))
def test_any_ids_have_text_and_pieces(ids: list[int]) -> None:
    source = trained(CHARACTERS, ITEMS).source
    ids = [id % source.size for id in ids]
    assert isinstance(source, ColumnsTokenizer)
    assert source.decode(ids).count("\t") == ids.count(source.separator)
    assert len(source.pieces(ids)) == len(ids)
    assert sum(len(part) for _, part in source.split_ids(ids)) == len(ids)


@pytest.mark.parametrize("text", ["walk", "walk\tV\tPST", "walk\t", "\tV", "walk\t ", ""])
def test_another_number_of_columns_is_an_error(text: str) -> None:
    with pytest.raises(DataError, match=r"the source has .*must have 2|column . of the source is blank"):
        trained(CHARACTERS, ITEMS).source.encode(text)
    with pytest.raises(DataError, match=r"must have 2|blank"):
        train_tokenizers(
            TokenizerConfig(kind="character", source_columns=(CHARACTERS, ITEMS)), [("a\tb", "c"), (text, "c")]
        )


@pytest.mark.parametrize("joint", [True, False])
def test_tags_come_before_the_columns(joint: bool, tmp_path: Path) -> None:
    tokenizers = trained(CHARACTERS, ITEMS, joint=joint).with_tags(["tur", "eng"])
    tokenizers.save(tmp_path)
    loaded = Tokenizers.load(tmp_path).prepend_tags(["eng"])
    ids = loaded.source.encode("walk\tV;PST")
    assert loaded.source.pieces(ids)[:2] == ["<eng>", "w"]
    assert loaded.source.decode(ids) == "walk\tV;PST"
    assert loaded.target.encode("walk") == tokenizers.target.encode("walk")
    assert tokenizers.source.encode(add_tags("walk\tV", ["tur"]))[0] == tokenizers.source.size - 2
    assert (loaded.source.size == loaded.target.size) is joint


@pytest.mark.parametrize(
    ("columns", "settings", "message"),
    [
        ((CHARACTERS,), {}, "two or more columns"),
        ((CHARACTERS, ITEMS), {"target_kind": "word", "joint": False}, "remove `target_kind`"),
        ((CHARACTERS, ITEMS), {"kind": "word"}, "share no tokens: set `joint = false`"),
        ((ColumnTokenizerConfig(kind="character", vocabulary_size=50), ITEMS), {}, "has the size of"),
    ],
)
def test_settings_that_contradict_each_other(
    columns: tuple[ColumnTokenizerConfig, ...], settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        TokenizerConfig(**{"kind": "character", **settings}, source_columns=columns)


@pytest.mark.parametrize(
    "values",
    [{"kind": "list"}, {"kind": "character", "delimiter": ";"}, {"kind": "list", "delimiter": ""}, {"kind": "marian"}],
)
def test_a_column_has_the_keys_of_its_kind(values: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"delimiter|marian"):
        ColumnTokenizerConfig(**values)


def test_the_size_of_a_column_names_the_column_in_errors() -> None:
    with pytest.raises(ConfigError, match="the text of source column 2"):
        trained(CHARACTERS, ColumnTokenizerConfig(kind="unigram", vocabulary_size=2000))
    sized = trained(CHARACTERS, ColumnTokenizerConfig(kind="list", delimiter=";", vocabulary_size=8))
    assert sized.source.encode("walk\tV")[-1] == sized.source.size - 4
    assert sized.source.size == trained(CHARACTERS, ITEMS).source.size - 3  # 4 of 7 items are known


@pytest.mark.parametrize(
    "columns", [None, [], [{"kind": "character", "name": "tokenizer.target"}], ["x", "y"], [{}, {}]]
)
def test_damaged_columns_are_an_error(columns: object, tmp_path: Path) -> None:
    trained(CHARACTERS, ITEMS).save(tmp_path)
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "columns": columns}))
    with pytest.raises(CheckpointError, match=r"no list of columns|not the name of a column's files"):
        Tokenizers.load(tmp_path)


@pytest.mark.parametrize("name", ["../x", "/etc/passwd", "a/b", ""])
def test_the_files_of_columns_are_in_the_checkpoint(name: str, tmp_path: Path) -> None:
    trained(CHARACTERS, ITEMS).save(tmp_path)
    path = tmp_path / "tokenizer.json"
    table = json.loads(path.read_text())
    table["columns"][1]["name"] = name
    path.write_text(json.dumps(table))
    with pytest.raises(CheckpointError, match="not the name of a column's files"):
        Tokenizers.load(tmp_path)


@pytest.mark.parametrize("file", ["tokenizer.source.2.vocabulary.json", "tokenizer.source.2.delimiter.txt"])
def test_a_missing_file_of_a_column_is_an_error(file: str, tmp_path: Path) -> None:
    trained(CHARACTERS, ITEMS).save(tmp_path)
    (tmp_path / file).unlink()
    with pytest.raises(CheckpointError, match="cannot be read"):
        Tokenizers.load(tmp_path)


@given(st.lists(st.text(st.characters(exclude_characters=";", exclude_categories=("Cc", "Cs", "Zl", "Zp")))))
def test_a_list_is_restored(items: list[str]) -> None:
    text = ";".join(items)
    tokenizer = ListTokenizer.train([text, "a"], 1000, ";")
    assert tokenizer.decode(tokenizer.encode(text)) == text
    assert UNK not in tokenizer.encode(text)
    assert tokenizer.size <= len(set(items)) + len(SPECIAL) + 1


def test_a_list_has_a_token_for_each_item() -> None:
    tokenizer = ListTokenizer.train(["V;PST", "N of x;PL"], 100, ";")
    assert tokenizer.pieces(tokenizer.encode("N of x;PST")) == ["N▁of▁x", "PST"]
    assert ListTokenizer.train(["a b, c"], 100, ", ").split("a b, c") == ["a b", "c"]


def test_the_vocabulary_of_columns_cannot_be_extended() -> None:
    with pytest.raises(ConfigError, match="each column"):
        extend_tokenizer(trained(CHARACTERS, ITEMS).source, ["x\ty"], 10)
