from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regard.text.segments import (
    Division,
    Piece,
    count_sentences,
    is_language,
    join_pieces,
    share_with_several_sentences,
    split_segments,
)

FOUR = "A man is riding a bike. Two dogs play in the snow.\n\nA woman sings. Dr. Smith left."


def all_fit(text: str) -> bool:
    return True


def split(text: str, language: str = "en", division: Division = "sentences", max_length: int = 10**9) -> list[str]:
    return [
        text[start:end] for start, end in split_segments(text, language, division, lambda part: len(part) <= max_length)
    ]


def test_sentences_and_lines() -> None:
    first, second, third, fourth = FOUR.replace("\n\n", " ").replace("Dr. ", "Dr._").split(". ")
    sentences = [f"{first}.", f"{second}.", f"{third}.", fourth.replace("Dr._", "Dr. ")]
    assert split(FOUR) == sentences
    assert split(FOUR, division="lines") == FOUR.split("\n\n")
    assert split(f" {FOUR}\n", division="whole") == [FOUR]


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Wait for Dr. Smith, e.g. at 5 p.m. or so.", "en"),
        ("Am 3. Januar begann der 2. Weltkrieg.", "de"),
        ("see https://example.org/a.b?c=d and www.example.org", "en"),
        ("CC(=O)O.CCN>>CC", "en"),
        ("twelve 1 2 3", "en"),
        ("1. 2. 3.", "en"),
        ("A.B", ""),
    ],
)
def test_a_single_sentence_is_not_divided(text: str, language: str) -> None:
    assert split(text, language) == [text]


def test_chinese_sentences_end_without_white_space() -> None:
    assert split("我是学生。你好吗？“走吧。”他说。", "zh") == ["我是学生。", "你好吗？", "“走吧。”", "他说。"]


@pytest.mark.parametrize(
    ("text", "texts", "joined"),
    [
        ("你好。再见。", ("Hello.", "Goodbye."), "Hello. Goodbye."),
        ("你好。再见。", ("こんにちは。", "さようなら。"), "こんにちは。さようなら。"),
        ("One.  Two.\n\tThree.", ("Eins.", "Zwei.", "Drei."), "Eins.  Zwei.\n\tDrei."),
        ("One. ★ 4. Two.", ("Eins.", "Zwei."), "Eins. ★ 4. Zwei."),
    ],
)
def test_text_between_segments_is_kept(text: str, texts: tuple[str, ...], joined: str) -> None:
    language = "zh" if text[0] > "\u4e00" else "en"
    spans = split_segments(text, language, "sentences", all_fit)
    translation = join_pieces(
        text, [Piece(*span, piece) for span, piece in zip(spans[: len(texts)], texts, strict=True)]
    )
    assert translation.text == joined
    assert [translation.text[start:end] for start, end in translation.spans] == list(texts)


def test_long_segments_are_divided_at_sentences_clauses_spaces_or_anywhere() -> None:
    assert split("One two. Three four.", division="whole", max_length=12) == ["One two.", "Three four."]
    assert split("one two three, four five six", division="whole", max_length=20) == ["one two three,", "four five six"]
    assert split("one two three four five", division="whole", max_length=12) == ["one two", "three", "four five"]
    assert split("a" * 40, division="whole", max_length=10) == ["a" * 10] * 4
    assert split("e\u0301" * 10, division="whole", max_length=7) == ["e\u0301" * 3, "e\u0301" * 2] * 2


@settings(max_examples=60, deadline=None)
@given(
    st.text(st.sampled_from("aB .,;\n\r1。你\u0301?!"), max_size=200), st.sampled_from(["whole", "lines", "sentences"])
)
def test_all_letters_are_in_segments_that_do_not_overlap(text: str, division: Division) -> None:
    spans = split_segments(text, "en", division, lambda part: len(part) <= 9)
    assert all(0 < end - start <= 9 and text[start:end].strip() == text[start:end] for start, end in spans)
    ends = [0, *(end for _, end in spans)]
    starts = [*(start for start, _ in spans), len(text)]
    gaps = [text[end:start] for end, start in zip(ends, starts, strict=True)]
    assert not any(character.isalpha() for gap in gaps for character in gap)
    if division != "whole":
        assert not any("\n" in text[start:end] for start, end in spans)
    assert join_pieces(text, [Piece(start, end, text[start:end]) for start, end in spans]).text.replace(" ", "") == (
        text.replace(" ", "")
    )


@settings(max_examples=60, deadline=None)
@given(st.text(st.sampled_from("aB .,;\n\r1。你?!"), max_size=200))
def test_every_line_is_a_segment(text: str) -> None:
    lines = [line.strip() for line in text.replace("\r", "\n").split("\n")]
    assert split(text, division="lines") == [line for line in lines if line]


def test_a_line_of_two_hundred_thousand_characters_is_divided() -> None:
    for text in ("a" * 200_000, "one two, " * 20_000, "One two. " * 20_000):
        assert all(len(part) <= 512 for part in split(text, max_length=512))


def test_the_share_of_texts_with_several_sentences() -> None:
    assert count_sentences(FOUR, "en") == 4
    assert share_with_several_sentences(["One.", "One. Two.", "", "1. 2."], "en") == 0.25
    assert share_with_several_sentences([], "en") == 0


@pytest.mark.parametrize(
    ("code", "known"), [("en", True), ("zh_Hans", True), ("", False), ("und", False), ("mul-Latn", False)]
)
def test_codes_that_name_a_language(code: str, known: bool) -> None:
    assert is_language(code) is known


@pytest.mark.parametrize("cluster", ["a" + "\u0301" * 600, "\u200d".join("👩" * 1500), "hello" + "\u0301" * 600])
def test_a_character_that_does_not_fit_is_divided(cluster: str) -> None:
    spans = split_segments(cluster, "en", "whole", lambda part: len(part) <= 512)
    assert "".join(cluster[slice(*span)] for span in spans) == cluster
    assert len(spans) > 1 and all(0 < end - start <= 512 for start, end in spans)
