from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.corpus_checks.made import faults

from regard.corpus_checks.characters import (
    CharacterCheck,
    describe_control_characters,
    describe_encoding_damage,
    remove_control_characters,
)
from regard.corpus_checks.findings import FaultKind

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
    assert describe_encoding_damage(text) == describe_control_characters(text) == ""
    assert remove_control_characters(text) == text


@pytest.mark.parametrize("text", ["für Elise", "naïve Übung", "C’est ça", "größer"])
def test_what_was_decoded_wrongly_is_told_with_what_it_was(text: str) -> None:
    for codec in ("cp1252", "latin-1"):
        said = describe_encoding_damage(text.encode().decode(codec, errors="ignore"))
        assert said
    assert "perhaps 'für'" in describe_encoding_damage("fÃ¼r Elise")
    assert "U+FFFD" in describe_encoding_damage("f\ufffdr Elise")


@pytest.mark.parametrize("odd", ["\u2028", "\u2029", "\u200b", "\ufeff", "\x07", "\x85", "\xad", "\x00", "\U000f0000"])
def test_odd_characters_are_named_and_mended(odd: str) -> None:
    assert f"U+{ord(odd):04X}" in describe_control_characters(f"one{odd} two")
    assert describe_control_characters(remove_control_characters(f"one{odd} two")) == ""
    assert remove_control_characters(f"one{odd} two") == "one two"


def test_direction_marks_belong_to_text_from_right_to_left() -> None:
    assert describe_control_characters("abc\u200f") and not describe_control_characters("שלום\u200f!")


def test_a_pair_has_one_fault_of_a_kind() -> None:
    found = faults(CharacterCheck(), [("fÃ¼r", "fÃ¼r\u2028x"), ("fine", "fine")])
    assert [(line, fault.kind) for line, fault in found] == [(1, FaultKind.ENCODING), (1, FaultKind.CONTROL)]
    assert "source: " in found[0][1].note and "; target: " in found[0][1].note


@settings(max_examples=60, deadline=None)
@given(st.text())
def test_mending_ends_and_leaves_nothing_odd(text: str) -> None:
    assert describe_control_characters(remove_control_characters(text)) == ""
    assert remove_control_characters(remove_control_characters(text)) == remove_control_characters(text)
    describe_encoding_damage(text)
