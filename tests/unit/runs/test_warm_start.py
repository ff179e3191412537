"""How well the vocabulary of another run fits new text; the rest of a warm start is tested end to end."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.unit.interop.models import pairs, taught, tokenizers

from regard.checkpoints.checkpoint import save_checkpoint
from regard.config import recipe
from regard.config.schema import StartConfig, TokenizerConfig
from regard.corpus.corpus import Pair, PairList
from regard.data.store import PairStore
from regard.errors import ConfigError
from regard.runs.train import read_recipe
from regard.runs.warm_start import WarmStart, fill_from_start, load_warm_start
from regard.tokenizers.base import Tokenizers, train_tokenizers


def write_store(folder: Path, tokenizers: Tokenizers, lines: list[tuple[str, str]]) -> PairStore:
    return PairStore.write(
        folder,
        "train",
        [(tokenizers.source.encode(source), tokenizers.target.encode(target)) for source, target in lines],
    )


def encode_all(tokenizers: Tokenizers, lines: list[str]) -> np.ndarray:
    return np.array([id for line in lines for id in tokenizers.source.encode(line)])


@pytest.mark.parametrize("kind", ["unigram", "bpe"])
def test_pieces_per_word_are_compared_with_the_training_text(kind: str, tmp_path: Path) -> None:
    vocabulary = tokenizers(kind=kind)
    own = pairs(100, 1)
    trained_on = (
        encode_all(vocabulary, [source for source, _ in own]),
        encode_all(vocabulary, [target for _, target in own]),
    )
    start = WarmStart(vocabulary, trained_on)
    message = start.describe_fit(write_store(tmp_path / "own", vocabulary, own))
    assert "poorly" not in message
    assert message.count("0.00% of the tokens unknown") == 2
    new = [("hgfedcba qjump", "ZYX WVU")] * 20
    message = start.describe_fit(write_store(tmp_path / "new", vocabulary, new))
    assert message.startswith("vocabulary: it fits this text poorly: source ")
    assert "start.new_tokens" in message
    tokens = sum(len(vocabulary.source.encode(word)) for word in new[0][0].split())
    words = sum(len(source.split()) for source, _ in own)
    assert f"source {tokens / 2:.2f} pieces per word ({len(trained_on[0]) / words:.2f} in its training text)" in message
    alone = write_store(tmp_path / "alone", vocabulary, [("abc hg", "ABC")] * 3)
    assert "poorly" not in WarmStart(vocabulary, None).describe_fit(alone)


def test_data_of_another_corpus_next_to_the_checkpoint_is_ignored(tmp_path: Path) -> None:
    old, lines = taught("transformer2017"), pairs(20, 1)
    store = write_store(tmp_path / "data", old.tokenizers, lines)
    corpus = PairList("new", [Pair(source, target, 1) for source, target in pairs(9, 2)])
    for data, is_known in ((store.fingerprint, True), ("another", False)):
        folder = tmp_path / "checkpoints" / data[:7]
        save_checkpoint(folder, replace(old, data=data))
        config = StartConfig(checkpoint=str(folder))
        start = load_warm_start(old.config, config, corpus, tmp_path / f"start-{is_known}", print)
        assert (start.trained_on is not None) is is_known
        if start.trained_on is not None:
            targets = encode_all(old.tokenizers, [target for _, target in lines])
            assert start.trained_on[1].tolist() == targets.tolist()


def test_damaged_data_next_to_the_checkpoint_is_ignored(tmp_path: Path) -> None:
    old, lines = taught("transformer2017"), pairs(20, 1)
    store = write_store(tmp_path / "data", old.tokenizers, lines)
    folder = tmp_path / "checkpoints" / "step-1"
    save_checkpoint(folder, replace(old, data=store.fingerprint))
    tokens = np.load(tmp_path / "data" / "train.target.npy")
    tokens[5] = 65_535
    np.save(tmp_path / "data" / "train.target.npy", tokens)
    corpus = PairList("new", [Pair(source, target, 1) for source, target in pairs(9, 2)])
    start = StartConfig(checkpoint=str(folder))
    assert load_warm_start(old.config, start, corpus, tmp_path / "start", print).trained_on is None


@pytest.mark.parametrize("kind", ["unigram", "character", "word", "byte"])
def test_share_of_unknown_tokens(kind: str, tmp_path: Path) -> None:
    config = TokenizerConfig.model_validate({"kind": kind, "vocabulary_size": 330, "joint": False})
    trained = train_tokenizers(config.model_copy(update={"vocabulary_size": 295}), pairs(200, 3))
    store = write_store(tmp_path, trained, [("the fox", "FOX 漢")] * 5)
    message = WarmStart(trained, None).describe_fit(store)
    if kind == "byte":
        assert message == "vocabulary: source 0.00% of the tokens unknown; target 0.00% of the tokens unknown"
    else:
        unknown = 3 if kind == "unigram" else 1  # bytes, or UNK
        share = unknown / len(trained.target.encode("FOX 漢"))
        assert f"{share:.2%} of the tokens unknown; add tokens" in message
        assert "poorly" in message


def test_a_recipe_without_a_start_is_unchanged() -> None:
    tables: list[dict[str, Any]] = [{}, {"start": 3}, {"start": {}}, {"start": {"checkpoint": 3}}]
    for table in [*tables, {"start": {"checkpoint": "x"}, "model": 3}]:
        before = repr(table)
        fill_from_start(table)
        assert repr(table) == before


def test_old_keys_are_renamed_in_a_recipe_that_takes_its_architecture_from_the_start(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    recipe._warn.cache_clear()
    old = taught("transformer2017")
    save_checkpoint(tmp_path / "start", old)
    text = '[data]\ncorpus = "dates"\n[start]\ncheckpoint = "start"\n[model]\n'
    path = tmp_path / "tuned.toml"
    path.write_text(f"{text}d_model = 32\ndropout = 0.2\n")
    with caplog.at_level(logging.WARNING, "regard.config"):
        config = read_recipe(path, ["model.heads=4"])
    assert config.model == old.config.model.model_copy(update={"dropout": 0.2})
    (message,) = caplog.messages
    for part in (str(path), "`model.d_model` is now called `model.hidden_size`", "`model.num_heads`"):
        assert part in message
    path.write_text(f"{text}d_model = 32\nhidden_size = 32\n")
    with pytest.raises(ConfigError, match=r"`model.d_model` is the old name of `model.hidden_size`, and both are set"):
        read_recipe(path)
