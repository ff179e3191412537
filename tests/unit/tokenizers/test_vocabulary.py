from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regard.errors import CheckpointError
from regard.special_tokens import SPECIAL, UNK
from regard.tokenizers.vocabulary import Vocabulary


def test_ids_begin_with_the_special_ones() -> None:
    vocabulary = Vocabulary(["b", "a"])
    assert len(vocabulary) == 6
    assert [vocabulary.token(id) for id in range(6)] == [*SPECIAL, "b", "a"]
    assert [vocabulary.id(token) for token in ("b", "a", "c")] == [4, 5, UNK]


def test_text_never_spells_a_special_id() -> None:
    assert [Vocabulary(["a"]).id(written) for written in SPECIAL] == [UNK] * 4
    known = Vocabulary(["a", "<s>"])
    assert known.id("<s>") == 5
    assert known.token(5) == "<s>"


def test_count_ranks_by_frequency_then_codepoint() -> None:
    vocabulary = Vocabulary.count(list("bacadce"), size=8)
    assert [vocabulary.token(id) for id in range(4, len(vocabulary))] == ["a", "c", "b", "d"]
    assert len(Vocabulary.count(["a"], size=100)) == 5
    assert len(Vocabulary.count(["a"], size=2)) == 4


def test_a_repeated_token_is_rejected() -> None:
    with pytest.raises(ValueError, match="'a' appears twice"):
        Vocabulary(["a", "b", "a"])


@given(tokens=st.lists(st.text(), unique=True))
def test_saved_and_loaded_is_the_same(tokens: list[str], tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.getbasetemp() / "vocabulary.json"
    Vocabulary(tokens).save(path)
    loaded = Vocabulary.load(path)
    assert [loaded.token(id) for id in range(len(loaded))] == [*SPECIAL, *tokens]
    assert [loaded.id(token) for token in tokens] == list(range(4, 4 + len(tokens)))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[",
        b"{}",
        b"[1, 2]",
        b'["a", "b"]',
        b'["<pad>", "<s>", "</s>"]',
        b'["<pad>", "<s>", "</s>", "<unk>", "a", "a"]',
        b"\xff",
    ],
)
def test_a_broken_file_is_a_checkpoint_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "vocabulary.json"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="the vocabulary cannot be read") as caught:
        Vocabulary.load(path)
    assert caught.value.where == str(path)


def test_a_missing_file_is_a_checkpoint_error(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError):
        Vocabulary.load(tmp_path / "missing.json")
