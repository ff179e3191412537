"""Emoji are removed from a sentence and restored at their places."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regard.config.schema import TokenizerConfig
from regard.text.emoji import remove_emoji, remove_unknown_emoji
from regard.text.emoji_pattern import PATTERN
from regard.tokenizers.base import train_tokenizers

EMOJI = [
    "😀", "🐶", "❤", "❤️", "☀️", "👍🏽", "👩‍👩‍👧‍👦", "🏳️‍🌈", "👩🏾‍⚕️", "🧑‍🚀", "🇩🇪", "🏴󠁧󠁢󠁥󠁮󠁧󠁿", "1️⃣", "#️⃣", "*️⃣", "™️", "↔️", "⌚",
    "⏳", "⭐", "🅰️", "🫠", "🀄", "㊗️", "➡️",
]  # fmt: skip


@pytest.mark.parametrize("emoji", EMOJI)
def test_an_emoji_is_one_match(emoji: str) -> None:
    assert re.fullmatch(PATTERN, emoji)
    assert re.findall(PATTERN, f"a{emoji}b {emoji}.") == [emoji, emoji]
    emoji_free_text = remove_emoji(f"a dog {emoji} runs")
    assert emoji_free_text.text == "a dog runs"
    assert emoji_free_text.restore("ein Hund rennt")[0] == f"ein Hund {emoji} rennt"


def test_text_is_not_an_emoji() -> None:
    for text in ("1", "#1", "*", "™", "©", "→", "é", "中", "が", "a\u200db", "x\ufe0f", "- – —", "«“„»", "ﷺ", "½"):
        assert not re.search(PATTERN, text), text
        assert remove_emoji(text).text == text


@pytest.mark.parametrize(
    ("source", "emoji_free_text", "translation", "expected"),
    [
        ("A dog 🐶 runs 😀 fast!", "A dog runs fast!", "Ein Hund rennt schnell!", "Ein Hund 🐶 rennt 😀 schnell!"),
        ("🐶 A dog", "A dog", "Ein Hund", "🐶 Ein Hund"),
        ("🐶A dog", "A dog", "Ein Hund", "🐶Ein Hund"),
        ("A dog 🐶", "A dog", "Ein Hund", "Ein Hund 🐶"),
        ("A dog🐶", "A dog", "Ein Hund", "Ein Hund🐶"),
        ("A dog 🐶.", "A dog.", "Ein Hund.", "Ein Hund 🐶."),
        ("A dog. 🐶🐱 😀", "A dog.", "Ein Hund.", "Ein Hund. 🐶🐱 😀"),
        ("Hi 😀, how are you?", "Hi, how are you?", "Na, wie geht es?", "Na 😀, wie geht es?"),
        ("one😀two", "one two", "eins zwei", "eins😀zwei"),
        ("So nice (😀).", "So nice.", "So nett.", "So nett (😀)."),
        ("🐶", "", "", "🐶"),
        ("😀 👍🏽", "", "", "😀 👍🏽"),
        ("😀!", "!", "!", "😀!"),
        ("a 😀 b", "a b", "", "😀"),
        ("中国🐶人", "中国 人", "chinesisch", "chinesisch🐶"),
    ],
)
def test_places(source: str, emoji_free_text: str, translation: str, expected: str) -> None:
    emoji_free = remove_emoji(source)
    assert emoji_free.text == emoji_free_text
    assert emoji_free.restore(translation)[0] == expected


@pytest.mark.parametrize(
    ("source", "translation", "expected"),
    [
        ("Hi {name}😀!", "Hallo {name}!", "Hallo {name}😀!"),
        ("Hi <b>Ann</b>😀!", "Hallo <b>Ann</b>!", "Hallo <b>Ann</b>😀!"),
        ("Tom &amp; Ann&nbsp;😀.", "Tom &amp; Anna&nbsp;.", "Tom &amp; Anna&nbsp;😀."),
        ("A dog (brown) 😀.", "Ein Hund (braun).", "Ein Hund (braun) 😀."),
        ("It is “fine” 😀…", "Es ist „gut“…", "Es ist „gut“ 😀…"),
        ("(A dog 😀).", "(Ein Hund).", "(Ein Hund 😀)."),
        ('"A dog 😀!"', "„Ein Hund!“", "„Ein Hund 😀!“"),
        ("({dog} 😀).", "({dog}).", "({dog} 😀)."),
        ("A <b class='x'>dog</b> 😀 runs", "<b class='x'>Hund</b> rennt", "<b class='x'>Hund</b> 😀 rennt"),
        ("100% 😀!", "100%!", "100% 😀!"),
        ("你好😀。", "Hallo。", "Hallo😀。"),
    ],
)
def test_placeholders_tags_and_brackets_stay_whole(source: str, translation: str, expected: str) -> None:
    assert remove_emoji(source).restore(translation)[0] == expected


@pytest.mark.parametrize(
    ("target_word", "expected"),
    [
        (0, '<a href="a b"> 😀 Hund</a> rennt'),
        (1, '<a href="a b"> 😀 Hund</a> rennt'),
        (2, '<a href="a b">Hund</a> 😀 rennt'),
    ],
)
def test_emoji_are_not_inserted_into_a_tag_with_spaces(target_word: int, expected: str) -> None:
    links = ((1, target_word), (2, 3))
    assert remove_emoji("A dog 😀 runs").restore('<a href="a b">Hund</a> rennt', links)[0] == expected


def test_emoji_follow_the_word_before_them() -> None:
    emoji_free = remove_emoji("I saw a dog 🐶 there")
    links = ((0, 0), (4, 2), (2, 3), (3, 4), (1, 5))
    text, alignment = emoji_free.restore("Ich habe dort einen Hund gesehen", links)
    assert text == "Ich habe dort einen Hund 🐶 gesehen"
    assert alignment == ((0, 0), (5, 2), (2, 3), (3, 4), (4, 5), (1, 6))
    text, alignment = remove_emoji("A dog🐶 runs 😀 😀").restore("Ein Hund rennt", ((0, 0), (1, 1), (2, 2)))
    assert text == "Ein Hund🐶 rennt 😀 😀"
    assert alignment == ((0, 0), (1, 1), (2, 2), (3, 3), (4, 4))


def test_known_emoji_stay() -> None:
    assert remove_emoji("a 😀 b", lambda emoji: emoji == "😀").text == "a 😀 b"
    assert remove_emoji("a 😀 🐶 b", lambda emoji: emoji == "😀").text == "a b"


SENTENCES = st.lists(
    st.sampled_from([*EMOJI[:12], "a", "dog", " ", "  ", ".", ", ", "(", ")", "!", "中", "1", "\u200d"])
)
WORDS = st.lists(st.sampled_from(["ein", "Hund.", "(ja)", "rennt,", "!"])).map(" ".join)


@given(SENTENCES, WORDS, st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9))))
def test_no_emoji_is_lost_and_nothing_else_changes(parts: list[str], text: str, links: list[tuple[int, int]]) -> None:
    source = "".join(parts).strip()
    emoji_free_text = remove_emoji(source)
    assert not re.search(PATTERN, emoji_free_text.text)
    result, alignment = emoji_free_text.restore(text, tuple(links))
    assert sorted(re.findall(PATTERN, result)) == sorted(re.findall(PATTERN, source))
    assert re.sub(r"\s|[()\[\]]", "", re.sub(PATTERN, "", result)) == re.sub(r"\s|[()\[\]]", "", text)
    assert not emoji_free_text.runs or all(
        source_word < max(1, len(source.split())) and target_word < max(1, len(result.split()))
        for source_word, target_word in alignment
    )


@pytest.mark.parametrize(
    ("kind", "known"), [("character", True), ("bpe", True), ("unigram", True), ("word", True), ("byte", False)]
)
def test_a_vocabulary_knows_the_emoji_of_its_training_text(kind: str, known: bool) -> None:
    text = ["a 😀 dog", "the 😀 cat", "a cat 😀 and a dog"] * 20
    size = {"character": 40, "word": 40, "byte": 300, "bpe": 290}.get(kind, 272)
    config = TokenizerConfig.model_validate({"kind": kind, "vocabulary_size": size, "joint": True})
    tokenizers = train_tokenizers(config, [(line, line) for line in text])
    assert remove_unknown_emoji("a 😀 dog", tokenizers).text == ("a 😀 dog" if known else "a dog")
    assert remove_unknown_emoji("a 🐶 dog", tokenizers).text == "a dog"
    assert remove_unknown_emoji("a 🐶 dog", tokenizers, ["x", "🐶"]).text == "a 🐶 dog"
