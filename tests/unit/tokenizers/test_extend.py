from __future__ import annotations

import random
from functools import cache
from pathlib import Path

import pytest

from regard.corpus.corpus import Pair, PairList
from regard.errors import ConfigError
from regard.special_tokens import UNK
from regard.tokenizers.base import Tokenizers
from regard.tokenizers.extend import MIN_COUNT, ExtendedTokenizer, extend_tokenizer, extend_tokenizers
from regard.tokenizers.simple import ByteTokenizer, CharacterTokenizer, WordTokenizer
from regard.tokenizers.subword import SubwordKind, SubwordTokenizer

KINDS: tuple[SubwordKind, ...] = ("unigram", "bpe")
both_kinds = pytest.mark.parametrize("kind", KINDS)

OLD = ("the", "small", "brown", "fox", "jumps", "over", "a", "lazy", "dog", "and", "sleeps", "ähnlich", "straße")
NEW = ("foxglove", "overjumps", "smaller", "sleepless", "漢字", "жук", "asleep", "brownstone", "the", "dog")


def text(words: tuple[str, ...], count: int, seed: int) -> list[str]:
    rng = random.Random(seed)
    return [" ".join(rng.choices(words, k=rng.randint(1, 7))) for _ in range(count)]


@cache
def old(kind: SubwordKind) -> SubwordTokenizer:
    return SubwordTokenizer.train(text(OLD, 300, 1), 295, kind)


@cache
def extended(kind: SubwordKind, max_new: int = 30) -> ExtendedTokenizer:
    return extend_tokenizer(old(kind), text(NEW, 200, 2), max_new)


def replace_new_pieces(extension: ExtendedTokenizer, ids: list[int]) -> list[int]:
    """Return ids with the old tokens instead of new ones."""
    first = extension.tokenizer.size - len(extension.parts)
    return [part for id in ids for part in ([id] if id < first else extension.parts[id - first])]


@both_kinds
def test_old_pieces_keep_their_ids_and_new_ones_follow(kind: SubwordKind) -> None:
    extension = extended(kind)
    size = old(kind).size
    assert extension.tokenizer.size == size + len(extension.parts) == size + 30
    pieces = extension.tokenizer.pieces(range(size + 30))
    assert pieces[:size] == old(kind).pieces(range(size))
    assert len(set(pieces)) == size + 30
    assert {"漢", "字", "ж"} <= set(pieces[size:])


@both_kinds
def test_text_without_a_new_piece_is_encoded_as_before(kind: SubwordKind) -> None:
    extension = extended(kind)
    pieces = extension.tokenizer.pieces(range(old(kind).size, extension.tokenizer.size))
    lines = [*text(OLD, 400, 3), "🙂 xyz", "▁ a▁", "<0xE6>", "  "]
    without = [line for line in lines if not any(piece in "▁" + line.replace(" ", "▁") for piece in pieces)]
    assert len(without) > 40
    assert [extension.tokenizer.encode(line) for line in without] == [old(kind).encode(line) for line in without]


@both_kinds
def test_new_text_is_the_old_pieces_with_neighbours_merged(kind: SubwordKind) -> None:
    extension = extended(kind)
    lines = [*text(NEW, 200, 4), *text(OLD + NEW, 200, 5)]
    shorter = 0
    for line in lines:
        before, after = old(kind).encode(line), extension.tokenizer.encode(line)
        assert replace_new_pieces(extension, after) == before
        shorter += len(after) < len(before)
        assert extension.tokenizer.decode(after) == line
    assert shorter > 300


def test_new_merges_come_after_all_old_ones() -> None:
    trained = SubwordTokenizer.train(["ubc vbc wbc xbc ybc zbc a q t"] * 9, 273, "bpe")
    assert trained.pieces(trained.encode("abc")) == ["▁", "a", "bc"]
    rng = random.Random(1)
    lines = ["".join(rng.choices("qtuvwxyz", k=8)) for _ in range(40)] * 5
    extension = extend_tokenizer(trained, [*lines, *["qab tab"] * 2], 1000)
    pieces = extension.tokenizer.pieces(range(trained.size, extension.tokenizer.size))
    assert pieces.index("ab") > 20
    assert extension.tokenizer.encode("abc") == trained.encode("abc")
    assert extension.tokenizer.encode("xxab") != trained.encode("xxab")


@both_kinds
def test_frequent_pieces_come_first_and_rare_ones_are_left_out(kind: SubwordKind) -> None:
    often = ["foxglove smaller"] * 50 + ["smaller"] * 50
    rare = ["sleepless 漢"] * (MIN_COUNT - 1)
    extension = extend_tokenizer(old(kind), [*often, *rare], 1000)
    pieces = extension.tokenizer.pieces(range(old(kind).size, extension.tokenizer.size))
    assert "▁smaller" in pieces
    assert pieces.index("▁smaller") < pieces.index("▁foxglove")
    assert all(piece in "▁foxglove▁smaller" for piece in pieces)
    assert len(extend_tokenizer(old(kind), often, 2).parts) == 2
    assert extend_tokenizer(old(kind), text(OLD, 50, 9), 0).parts == []


@both_kinds
def test_extended_twice_and_saved(kind: SubwordKind, tmp_path: Path) -> None:
    first = extended(kind, 5)
    again = extend_tokenizer(first.tokenizer, text(NEW, 200, 2), 10)
    assert again.tokenizer.size == old(kind).size + 15
    assert all(id < first.tokenizer.size for ids in again.parts for id in ids)
    again.tokenizer.save(tmp_path, "tokenizer")
    loaded = SubwordTokenizer.load(tmp_path, "tokenizer", kind)
    for line in text(NEW, 50, 6):
        assert loaded.encode(line) == again.tokenizer.encode(line)
        assert replace_new_pieces(again, loaded.encode(line)) == first.tokenizer.encode(line)


@pytest.mark.parametrize(("learner", "new"), [(CharacterTokenizer, ["漢", "!"]), (WordTokenizer, ["漢!", "cd"])])
def test_characters_and_words_are_appended(
    learner: type[CharacterTokenizer] | type[WordTokenizer], new: list[str]
) -> None:
    tokenizer = learner.train(["ab ba"], 100)
    lines = ["ab 漢!"] * 9 + ["漢! cd"] * MIN_COUNT + ["漢 once"]
    extension = extend_tokenizer(tokenizer, lines, 2)
    assert extension.tokenizer.pieces(range(tokenizer.size, extension.tokenizer.size)) == sorted(new, key=new.index)
    assert extension.parts == [[], []]
    assert extension.tokenizer.encode("ab ba") == tokenizer.encode("ab ba")
    assert UNK in tokenizer.encode("漢!")
    assert UNK not in extension.tokenizer.encode("漢!")


def test_a_joint_vocabulary_and_two_separate_ones() -> None:
    corpus = PairList("made up", [Pair("sss", "ttt", line) for line in range(1, 9)])
    letters = CharacterTokenizer.train(["ab"], 100)
    source, target = extend_tokenizers(Tokenizers(letters, letters, joint=True), corpus, 9)
    assert source is target
    assert source.tokenizer.pieces([letters.size, letters.size + 1]) == ["s", "t"]
    target_tokenizer = CharacterTokenizer.train(["abc"], 100)
    source, target = extend_tokenizers(Tokenizers(letters, target_tokenizer, joint=False), corpus, 9)
    assert (source.tokenizer.size, target.tokenizer.size) == (letters.size + 1, target_tokenizer.size + 1)
    assert (source.tokenizer.pieces([letters.size]), target.tokenizer.pieces([target_tokenizer.size])) == (["s"], ["t"])


def test_bytes_cannot_be_extended() -> None:
    with pytest.raises(ConfigError, match="bytes spell every text"):
        extend_tokenizer(ByteTokenizer(), ["a"], 5)
