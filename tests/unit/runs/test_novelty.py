"""Which columns of a source are new, compared with the training data."""

from __future__ import annotations

from pathlib import Path

import pytest

from regard.config.data import DataConfig
from regard.config.schema import TokenizerConfig
from regard.data.store import PairStore
from regard.errors import DataError
from regard.runs.novelty import find_new_columns, source_column_names
from regard.runs.training_data import find_training_data
from regard.tokenizers.base import Tokenizers, train_tokenizers

TRAINING = ["satmak\tN;PL", "evmek\tV;SG", "satmak\tV;SG"]
LETTERS = "abcdefghijklmnopqrstuvwxyz"


def write(folder: Path, tokenizers: Tokenizers, sources: list[str]) -> None:
    """Write a store of training pairs with these sources."""
    tokenizers.save(folder)
    encode = tokenizers.source.encode
    PairStore.write(folder, "train", [(encode(source), [5], line) for line, source in enumerate(sources, start=1)])


def test_each_column_is_compared_with_the_same_column(tmp_path: Path) -> None:
    kinds = [{"kind": "character"}, {"kind": "list", "delimiter": ";"}]
    config = TokenizerConfig.model_validate({"kind": "character", "joint": False, "source_columns": kinds})
    tokenizers = train_tokenizers(config, [*((source, LETTERS) for source in TRAINING), (f"{LETTERS}\tV;SG", "a")])
    write(tmp_path, tokenizers, TRAINING)
    sources = ["satmak\tN;PL", "evmek\tN;PL", "gitmek\tV;SG", "evmek\tV;PL", " gitmek\tN;DAT", ""]
    assert find_new_columns(tmp_path, sources) == [[], [], [0], [1], [0, 1], []]


def test_tags_do_not_make_a_source_new(tmp_path: Path) -> None:
    plain = train_tokenizers(TokenizerConfig(kind="character"), [(LETTERS, LETTERS)])
    write(tmp_path, plain.with_tags(["de", "fr"]).prepend_tags(["fr"]), ["dog", "cat"])
    assert find_new_columns(tmp_path, ["cat ", "cow"]) == [[], [0]]


def test_columns_are_named_as_in_the_recipe() -> None:
    named = DataConfig(file="a.tsv", source_column="lemma,features", target_column="form")
    numbered = DataConfig(file="a.tsv", source_column="1,3", target_column="2")
    assert source_column_names(named, 2) == ("lemma", "features")
    assert source_column_names(numbered, 2) == ("column 1", "column 3")
    assert source_column_names(DataConfig(source="a", target="b"), 2) == ("column 1", "column 2")
    assert source_column_names(numbered, 1) == ("source",)


def test_a_run_without_training_data_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="the run has no training data"):
        find_training_data(tmp_path)
