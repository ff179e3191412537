"""Texts in capitals and in title case, for models that do not know them."""

from __future__ import annotations

import pytest

from regard.config.schema import TokenizerConfig
from regard.text.capitals import is_title, is_upper, lower_capitals, to_upper
from regard.text.model_input import prepare_input
from regard.tokenizers.base import Tokenizers, train_tokenizers

SENTENCES = ["a small dog runs on the beach", "the small dog sees Tom", "Tom runs to the beach", "a dog sees Tom"]


@pytest.fixture(scope="module")
def tokenizers() -> Tokenizers:
    return train_tokenizers(TokenizerConfig(kind="bpe", vocabulary_size=310), [(text, text) for text in SENTENCES * 3])


@pytest.mark.parametrize(
    ("text", "upper", "title"),
    [
        ("A DOG RUNS.", True, False),
        ("A DOG %s at https://x.org RUNS", False, False),
        ("A DOG %s SEES https://x.org", True, False),
        ("NATO", False, False),  # one word
        ("FORECAST.ETS.STAT", False, False),
        ("A Dog Runs on the Beach", False, True),
        ("Angela Merkel", False, False),
        ("Der kleine Hund Rennt Schnell Weg", False, False),  # a long word without a capital
        ("3 + 4 = 7", False, False),
        ("犬が走る", False, False),
        ("", False, False),
    ],
)
def test_detection(text: str, upper: bool, title: bool) -> None:
    assert (is_upper(text), is_title(text)) == (upper, title)


def test_capitals_become_the_usual_form(tokenizers: Tokenizers) -> None:
    def lower(text: str) -> str:
        return lower_capitals(text, tokenizers.source)

    assert lower("THE SMALL DOG SEES TOM ON THE BEACH!") == "The small dog sees Tom on the beach!"
    assert lower("The Small Dog Sees Tom on the Beach") == "The small dog sees Tom on the beach"
    assert lower("The small dog sees Tom") == "The small dog sees Tom"
    assert lower("XQ ZV KW") == "XQ ZV KW"  # spelled in any case


def test_a_vocabulary_that_knows_capitals_keeps_them() -> None:
    upper = [text.upper() for text in SENTENCES * 3]
    known = train_tokenizers(TokenizerConfig(kind="bpe", vocabulary_size=310), [(text, text) for text in upper])
    assert lower_capitals(upper[0], known.source) == upper[0]
    characters = train_tokenizers(TokenizerConfig(kind="character"), [(text, text) for text in SENTENCES])
    assert lower_capitals("A DOG RUNS", characters.source) == "a dog runs"  # it has no `A`


def test_a_translation_is_in_capitals_again(tokenizers: Tokenizers) -> None:
    text = prepare_input("THE DOG 😀 SEES TOM", tokenizers)
    assert text.text == "The dog sees Tom"
    assert text.restore("der Hund %s sieht Tom", ((0, 0), (1, 1), (2, 3), (3, 4)))[0] == "DER HUND 😀 %s SIEHT TOM"
    headline = prepare_input("The Small Dog Sees Tom on the Beach", tokenizers)
    assert headline.restore("der Hund")[0] == "der Hund"


def test_addresses_are_removed_and_restored(tokenizers: Tokenizers) -> None:
    text = prepare_input("A dog (www.x.org/a) sees 😀 a@x.org!", tokenizers, removed=["www.x.org/a", "a@x.org"])
    assert text.text == "A dog sees!"
    assert text.restore("Ein Hund sieht!", ((0, 0), (1, 1), (2, 2)))[0] == "Ein Hund (www.x.org/a) sieht 😀 a@x.org!"
    assert prepare_input("www.x.org", tokenizers, removed=["www.x.org"]).text == ""
    number = prepare_input("The 1,000.5 dogs 12 x12", tokenizers, removed=["12", "1,000.5"], languages=("en", "de"))
    assert number.text == "The dogs x12"
    assert number.restore("Die Hunde x12")[0] == "Die 1.000,5 Hunde 12 x12"


def test_constraints_in_capitals_are_lowered_and_others_keep_the_source(tokenizers: Tokenizers) -> None:
    text = prepare_input("THE DOG SEES TOM", tokenizers, ["SMALL BEACH", "17"])
    assert (text.text, text.phrase("TOM RUNS"), text.phrase("17")) == ("The dog sees Tom", "Tom runs", "17")
    assert prepare_input("THE DOG SEES TOM", tokenizers, ["Hund"]).text == "THE DOG SEES TOM"


def test_turkic_capitals() -> None:
    letters = train_tokenizers(TokenizerConfig(kind="character"), [("The dog ın the beach", "x")]).source
    assert to_upper("istanbul ılık", "tr") == "İSTANBUL ILIK"
    assert lower_capitals("THE DOG IN THE BEACH", letters, "tr") == "The dog ın the beach"
