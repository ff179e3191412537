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
    dice = random.Random(seed)
    return [" ".join(dice.choices(words, k=dice.randint(1, 7))) for _ in range(count)]


@cache
def old(kind: SubwordKind) -> SubwordTokenizer:
    return SubwordTokenizer.train(text(OLD, 300, 1), 295, kind)


@cache
def extended(kind: SubwordKind, most: int = 30) -> ExtendedTokenizer:
    return extend_tokenizer(old(kind), text(NEW, 200, 2), most)


def undone(found: ExtendedTokenizer, ids: list[int]) -> list[int]:
    """With the old tokens in the place of new ones."""
    first = found.tokenizer.size - len(found.parts)
    return [part for id in ids for part in ([id] if id < first else found.parts[id - first])]


@both_kinds
def test_old_pieces_keep_their_ids_and_new_ones_come_behind(kind: SubwordKind) -> None:
    found = extended(kind)
    size = old(kind).size
    assert found.tokenizer.size == size + len(found.parts) == size + 30
    pieces = found.tokenizer.pieces(range(size + 30))
    assert pieces[:size] == old(kind).pieces(range(size))
    assert len(set(pieces)) == size + 30
    assert {"漢", "字", "ж"} <= set(pieces[size:])


@both_kinds
def test_text_without_a_new_piece_is_encoded_as_before(kind: SubwordKind) -> None:
    found = extended(kind)
    pieces = found.tokenizer.pieces(range(old(kind).size, found.tokenizer.size))
    lines = [*text(OLD, 400, 3), "🙂 xyz", "▁ a▁", "<0xE6>", "  "]
    without = [line for line in lines if not any(piece in "▁" + line.replace(" ", "▁") for piece in pieces)]
    assert len(without) > 40
    assert [found.tokenizer.encode(line) for line in without] == [old(kind).encode(line) for line in without]


@both_kinds
def test_new_text_is_the_old_pieces_with_neighbours_merged(kind: SubwordKind) -> None:
    found = extended(kind)
    lines = [*text(NEW, 200, 4), *text(OLD + NEW, 200, 5)]
    shorter = 0
    for line in lines:
        before, after = old(kind).encode(line), found.tokenizer.encode(line)
        assert undone(found, after) == before
        shorter += len(after) < len(before)
        assert found.tokenizer.decode(after) == line
    assert shorter > 300


def test_new_merges_come_after_all_old_ones() -> None:
    learned = SubwordTokenizer.train(["ubc vbc wbc xbc ybc zbc a q t"] * 9, 273, "bpe")
    assert learned.pieces(learned.encode("abc")) == ["▁", "a", "bc"]
    dice = random.Random(1)
    others = ["".join(dice.choices("qtuvwxyz", k=8)) for _ in range(40)] * 5
    found = extend_tokenizer(learned, [*others, *["qab tab"] * 2], 1000)
    pieces = found.tokenizer.pieces(range(learned.size, found.tokenizer.size))
    assert pieces.index("ab") > 20
    assert found.tokenizer.encode("abc") == learned.encode("abc")
    assert found.tokenizer.encode("xxab") != learned.encode("xxab")


@both_kinds
def test_what_comes_often_comes_first_and_what_is_rare_never(kind: SubwordKind) -> None:
    often = ["foxglove smaller"] * 50 + ["smaller"] * 50
    rare = ["sleepless 漢"] * (MIN_COUNT - 1)
    found = extend_tokenizer(old(kind), [*often, *rare], 1000)
    pieces = found.tokenizer.pieces(range(old(kind).size, found.tokenizer.size))
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
        assert undone(again, loaded.encode(line)) == first.tokenizer.encode(line)


@pytest.mark.parametrize(("learner", "new"), [(CharacterTokenizer, ["漢", "!"]), (WordTokenizer, ["漢!", "cd"])])
def test_characters_and_words_are_appended(
    learner: type[CharacterTokenizer] | type[WordTokenizer], new: list[str]
) -> None:
    tokenizer = learner.train(["ab ba"], 100)
    lines = ["ab 漢!"] * 9 + ["漢! cd"] * MIN_COUNT + ["漢 once"]
    found = extend_tokenizer(tokenizer, lines, 2)
    assert found.tokenizer.pieces(range(tokenizer.size, found.tokenizer.size)) == sorted(new, key=new.index)
    assert found.parts == [[], []]
    assert found.tokenizer.encode("ab ba") == tokenizer.encode("ab ba")
    assert UNK in tokenizer.encode("漢!")
    assert UNK not in found.tokenizer.encode("漢!")


def test_one_vocabulary_for_both_sides_or_two() -> None:
    corpus = PairList("made up", [Pair("sss", "ttt", line) for line in range(1, 9)])
    letters = CharacterTokenizer.train(["ab"], 100)
    source, target = extend_tokenizers(Tokenizers(letters, letters, joint=True), corpus, 9)
    assert source is target
    assert source.tokenizer.pieces([letters.size, letters.size + 1]) == ["s", "t"]
    other = CharacterTokenizer.train(["abc"], 100)
    source, target = extend_tokenizers(Tokenizers(letters, other, joint=False), corpus, 9)
    assert (source.tokenizer.size, target.tokenizer.size) == (letters.size + 1, other.size + 1)
    assert (source.tokenizer.pieces([letters.size]), target.tokenizer.pieces([other.size])) == (["s"], ["t"])


def test_what_cannot_be_extended_says_why() -> None:
    with pytest.raises(ConfigError, match="bytes spell every text"):
        extend_tokenizer(ByteTokenizer(), ["a"], 5)
