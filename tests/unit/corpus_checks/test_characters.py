from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.corpus_checks.made import faults

from regard.corpus_checks.characters import Characters, damage, mended, oddity
from regard.corpus_checks.findings import Kind

GOOD = [
    "plain",
    "für Elise",
    "naïve café",
    "日本語です。",
    "Ça va ?",
    "10 € – 20 £",
    "“so” he said",
    "Ångström",
    "Čeština",
    "שלום",
]


@pytest.mark.parametrize("text", GOOD)
def test_good_text_is_let_be(text: str) -> None:
    assert damage(text) == oddity(text) == ""
    assert mended(text) == text


@pytest.mark.parametrize("text", ["für Elise", "naïve Übung", "C’est ça", "größer"])
def test_what_was_decoded_wrongly_is_told_with_what_it_was(text: str) -> None:
    for codec in ("cp1252", "latin-1"):
        said = damage(text.encode().decode(codec, errors="ignore"))
        assert said
    assert "perhaps 'für'" in damage("fÃ¼r Elise")
    assert "U+FFFD" in damage("f\ufffdr Elise")


@pytest.mark.parametrize("odd", ["\u2028", "\u2029", "\u200b", "\ufeff", "\x07", "\x85", "\xad", "\x00", "\U000f0000"])
def test_odd_characters_are_named_and_mended(odd: str) -> None:
    assert f"U+{ord(odd):04X}" in oddity(f"one{odd} two")
    assert oddity(mended(f"one{odd} two")) == ""
    assert mended(f"one{odd} two") == "one two"


def test_direction_marks_belong_to_text_from_right_to_left() -> None:
    assert oddity("abc\u200f") and not oddity("שלום\u200f!")


def test_a_pair_has_one_fault_of_a_kind() -> None:
    found = faults(Characters(), [("fÃ¼r", "fÃ¼r\u2028x"), ("fine", "fine")])
    assert [(line, fault.kind) for line, fault in found] == [(1, Kind.ENCODING), (1, Kind.CONTROL)]
    assert "source: " in found[0][1].note and "; target: " in found[0][1].note


@settings(max_examples=60, deadline=None)
@given(st.text())
def test_mending_ends_and_leaves_nothing_odd(text: str) -> None:
    assert oddity(mended(text)) == ""
    assert mended(mended(text)) == mended(text)
    damage(text)
