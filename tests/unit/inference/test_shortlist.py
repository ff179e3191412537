from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.unit.interop.models import SIZES, checkpoint

from regard.checkpoints.checkpoint import Checkpoint
from regard.config.schema import TokenizerConfig
from regard.data.store import PairStore
from regard.errors import CheckpointError, DataError
from regard.inference.shortlist import FILE, load_shortlist, make_shortlist
from regard.models import transformer2017
from regard.tokenizers.base import Tokenizers, train_tokenizers

PAIRS = [("das haus", "the house"), ("das buch", "the book"), ("ein buch", "a book"), ("das 7 xyz", "the 7 house")]


def tokenizers(*, joint: bool) -> Tokenizers:
    config = TokenizerConfig(kind="word", vocabulary_size=99, joint=joint)
    return train_tokenizers(config, [*PAIRS, ("neu Q", "Q")])


def make_run_with_shortlist(folder: Path, *, joint: bool = False, candidates: int = 2, frequent: int = 1) -> Checkpoint:
    """A run with training data and a shortlist, and its checkpoint."""
    both = tokenizers(joint=joint)
    both.save(_folder(folder / "data"))
    encoded = [(both.source.encode(source), both.target.encode(target)) for source, target in PAIRS]
    store = PairStore.write(folder / "data", "train", encoded)
    assert make_shortlist(folder, candidates, frequent, lambda text: None) == folder / FILE
    assert (folder / FILE).stat().st_mode == (folder / "data" / "train.json").stat().st_mode
    return replace(checkpoint(transformer2017.Config(**SIZES), both), data=store.fingerprint)


def _folder(path: Path) -> Path:
    path.mkdir(parents=True)
    return path


def words(contents: Checkpoint, folder: Path) -> tuple[dict[str, list[str]], list[str]]:
    shortlist = load_shortlist(folder, contents)
    assert shortlist is not None
    source, target = contents.tokenizers.source, contents.tokenizers.target
    rows = {
        source.pieces([id])[0]: target.pieces([token for token in row.tolist() if token])
        for id, row in enumerate(shortlist.candidates)
    }
    return rows, target.pieces(shortlist.frequent.tolist())


@pytest.mark.parametrize("joint", [True, False])
def test_each_word_has_its_translations_and_itself(tmp_path: Path, joint: bool) -> None:
    rows, frequent = words(make_run_with_shortlist(tmp_path, joint=joint, candidates=2), tmp_path)
    assert (rows["das"][0], rows["haus"][0], rows["buch"][0]) == ("the", "house", "book")
    assert frequent == ["the"]
    assert "7" in rows["7"]
    assert rows["Q"] == ["Q"]  # which no training pair has
    assert rows["neu"] == (["neu"] if joint else [])
    assert len(rows["xyz"]) == 2
    assert ("xyz" in rows["xyz"]) == joint


def test_no_more_than_there_are(tmp_path: Path) -> None:
    contents = make_run_with_shortlist(tmp_path, candidates=7, frequent=50)
    rows, frequent = words(contents, tmp_path)
    assert sorted(frequent) == ["7", "a", "book", "house", "the"]
    assert frequent[0] == "the"
    assert set(rows["ein"]) == {"a", "book"}


def test_without_one_there_is_none(tmp_path: Path) -> None:
    assert load_shortlist(tmp_path, checkpoint(transformer2017.Config(**SIZES), tokenizers(joint=True))) is None


def test_a_run_without_its_data_has_nothing_to_learn_from(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no training data(?s:.*)what to do: .*data/"):
        make_shortlist(tmp_path, 2, 1, lambda text: None)


def test_what_cannot_be_written_leaves_nothing_behind(tmp_path: Path) -> None:
    make_run_with_shortlist(tmp_path)
    (tmp_path / FILE).unlink()
    _folder(tmp_path / FILE / "in the way")
    with pytest.raises(CheckpointError, match="cannot be written"):
        make_shortlist(tmp_path, 2, 1, lambda text: None)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", FILE]


def test_it_is_told_before_the_work_that_it_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_run_with_shortlist(tmp_path)
    (tmp_path / FILE).unlink()
    _folder(tmp_path / FILE / "in the way")
    monkeypatch.setattr(
        "regard.inference.shortlist.ibm_model_1", lambda *_arguments, **_options: pytest.fail("it computes")
    )
    with pytest.raises(CheckpointError, match="cannot be written"):
        make_shortlist(tmp_path, 2, 1, lambda text: None)


def refused(folder: Path, contents: Checkpoint, message: str) -> None:
    with pytest.raises(CheckpointError, match=f"{message}(?s:.*)what to do: make it again: regard shortlist {folder}"):
        load_shortlist(folder, contents)


def test_one_that_is_not_the_runs_is_refused(tmp_path: Path) -> None:
    contents = make_run_with_shortlist(tmp_path)
    refused(tmp_path, replace(contents, data="another"), "other training data")
    tensors = load_file(tmp_path / FILE)
    own = {"data": contents.data}
    for wrong in (
        {**tensors, "candidates": tensors["candidates"][:-1]},
        {**tensors, "candidates": tensors["candidates"] + 50},
        {**tensors, "frequent": -tensors["frequent"]},
        {**tensors, "frequent": tensors["frequent"].to(torch.int64)},
        {**tensors, "frequent": tensors["frequent"][None]},
    ):
        save_file(wrong, tmp_path / FILE, metadata=own)
        refused(tmp_path, contents, "not those of the run")
    save_file({"candidates": tensors["candidates"]}, tmp_path / FILE, metadata=own)
    refused(tmp_path, contents, "cannot be read")
    (tmp_path / FILE).write_bytes(b"no tensors")
    refused(tmp_path, contents, "cannot be read")
    (tmp_path / FILE).unlink()
    os.mkfifo(tmp_path / FILE)
    refused(tmp_path, contents, "not a regular file")
