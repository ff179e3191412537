"""How well a vocabulary that was kept suits new text; the rest of a start is tested end to end."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.unit.interop.models import pairs, taught, tokenizers

from regard.checkpoints.checkpoint import save_checkpoint
from regard.config.schema import StartConfig, TokenizerConfig
from regard.corpus.corpus import Pair, PairList
from regard.data.store import PairStore
from regard.runs.warm_start import TakenUp, complete, take_up
from regard.tokenizers.base import Tokenizers, train_tokenizers


def stored(folder: Path, kept: Tokenizers, lines: list[tuple[str, str]]) -> PairStore:
    return PairStore.write(
        folder, "train", [(kept.source.encode(source), kept.target.encode(target)) for source, target in lines]
    )


def side(kept: Tokenizers, lines: list[str]) -> np.ndarray:
    return np.array([id for line in lines for id in kept.source.encode(line)])


@pytest.mark.parametrize("kind", ["unigram", "bpe"])
def test_pieces_a_word_beside_those_of_its_own_text(kind: str, tmp_path: Path) -> None:
    kept = tokenizers(kind=kind)
    own = pairs(100, 1)
    learned_from = side(kept, [source for source, _ in own]), side(kept, [target for _, target in own])
    taken = TakenUp(kept, learned_from)
    said = taken.fit(stored(tmp_path / "own", kept, own))
    assert "badly" not in said
    assert said.count("0.00% of the tokens unknown") == 2
    new = [("hgfedcba qjump", "ZYX WVU")] * 20
    said = taken.fit(stored(tmp_path / "new", kept, new))
    assert said.startswith("vocabulary: it knows this text badly: source ")
    assert "--extend-vocabulary" in said
    tokens = sum(len(kept.source.encode(word)) for word in new[0][0].split())
    words = sum(len(source.split()) for source, _ in own)
    assert f"source {tokens / 2:.2f} pieces a word ({len(learned_from[0]) / words:.2f} in what" in said
    assert "badly" not in TakenUp(kept, None).fit(stored(tmp_path / "alone", kept, [("abc hg", "ABC")] * 3))


def test_another_corpus_beside_the_checkpoint_is_not_what_it_was_trained_on(tmp_path: Path) -> None:
    theirs, lines = taught("transformer2017"), pairs(20, 1)
    store = stored(tmp_path / "data", theirs.tokenizers, lines)
    corpus = PairList("new", [Pair(source, target, 1) for source, target in pairs(9, 2)])
    for data, known in ((store.fingerprint, True), ("another", False)):
        place = tmp_path / "checkpoints" / data[:7]
        save_checkpoint(place, replace(theirs, data=data))
        taken = take_up(theirs.config, StartConfig(checkpoint=str(place)), corpus, tmp_path / f"start-{known}", print)
        assert (taken.learned_from is not None) is known
        if taken.learned_from is not None:
            assert taken.learned_from[1].tolist() == side(theirs.tokenizers, [target for _, target in lines]).tolist()


def test_damaged_data_next_to_the_checkpoint_is_left_out(tmp_path: Path) -> None:
    theirs, lines = taught("transformer2017"), pairs(20, 1)
    store = stored(tmp_path / "data", theirs.tokenizers, lines)
    place = tmp_path / "checkpoints" / "step-1"
    save_checkpoint(place, replace(theirs, data=store.fingerprint))
    tokens = np.load(tmp_path / "data" / "train.target.npy")
    tokens[5] = 65_535
    np.save(tmp_path / "data" / "train.target.npy", tokens)
    corpus = PairList("new", [Pair(source, target, 1) for source, target in pairs(9, 2)])
    start = StartConfig(checkpoint=str(place))
    assert take_up(theirs.config, start, corpus, tmp_path / "start", print).learned_from is None


@pytest.mark.parametrize("kind", ["unigram", "character", "word", "byte"])
def test_what_is_unknown(kind: str, tmp_path: Path) -> None:
    config = TokenizerConfig.model_validate({"kind": kind, "vocabulary_size": 330, "joint": False})
    kept = train_tokenizers(config.model_copy(update={"vocabulary_size": 295}), pairs(200, 3))
    store = stored(tmp_path, kept, [("the fox", "FOX 漢")] * 5)
    said = TakenUp(kept, None).fit(store)
    if kind == "byte":
        assert said == "vocabulary: source 0.00% of the tokens unknown; target 0.00% of the tokens unknown"
    else:
        spelt = 3 if kind == "unigram" else 1  # bytes, or UNK
        share = spelt / len(kept.target.encode("FOX 漢"))
        assert f"{share:.2%} of the tokens unknown; give" in said
        assert "badly" in said


def test_a_recipe_without_a_start_is_left_alone() -> None:
    tables: list[dict[str, Any]] = [{}, {"start": 3}, {"start": {}}, {"start": {"checkpoint": 3}}]
    for table in [*tables, {"start": {"checkpoint": "x"}, "model": 3}]:
        before = repr(table)
        complete(table)
        assert repr(table) == before
