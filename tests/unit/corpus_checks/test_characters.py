from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.corpus_checks.synthetic import find_faults

from regard.corpus_checks.characters import (
    CharacterCheck,
    describe_control_characters,
    describe_encoding_damage,
    remove_control_characters,
)
from regard.corpus_checks.findings import FaultKind

VALID = [
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


@pytest.mark.parametrize("text", VALID)
def test_valid_text_is_unchanged(text: str) -> None:
    assert describe_encoding_damage(text) == describe_control_characters(text) == ""
    assert remove_control_characters(text) == text


@pytest.mark.parametrize("text", ["für Elise", "naïve Übung", "C’est ça", "größer"])
def test_wrongly_decoded_text_is_reported_with_its_probable_original(text: str) -> None:
    for codec in ("cp1252", "latin-1"):
        assert describe_encoding_damage(text.encode().decode(codec, errors="ignore"))
    assert "perhaps 'für'" in describe_encoding_damage("fÃ¼r Elise")
    assert "U+FFFD" in describe_encoding_damage("f\ufffdr Elise")


@pytest.mark.parametrize(
    "character", ["\u2028", "\u2029", "\u200b", "\ufeff", "\x07", "\x85", "\xad", "\x00", "\U000f0000"]
)
def test_control_characters_are_named_and_removed(character: str) -> None:
    assert f"U+{ord(character):04X}" in describe_control_characters(f"one{character} two")
    assert describe_control_characters(remove_control_characters(f"one{character} two")) == ""
    assert remove_control_characters(f"one{character} two") == "one two"


def test_direction_marks_are_valid_in_right_to_left_text() -> None:
    assert describe_control_characters("abc\u200f") and not describe_control_characters("שלום\u200f!")


def test_a_pair_has_one_fault_of_each_kind() -> None:
    faults = find_faults(CharacterCheck(), [("fÃ¼r", "fÃ¼r\u2028x"), ("fine", "fine")])
    assert [(line, fault.kind) for line, fault in faults] == [(1, FaultKind.ENCODING), (1, FaultKind.CONTROL)]
    assert "source: " in faults[0][1].note and "; target: " in faults[0][1].note


@settings(max_examples=60, deadline=None)
@given(st.text())
def test_removal_is_complete_and_idempotent(text: str) -> None:
    cleaned = remove_control_characters(text)
    assert describe_control_characters(cleaned) == ""
    assert remove_control_characters(cleaned) == cleaned
    describe_encoding_damage(text)
