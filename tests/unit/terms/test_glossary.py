"""Glossaries: which terms a text contains, and which forms of their translations count."""

from __future__ import annotations

import pytest

from regard.inference.lines import Line
from regard.inference.translation import Constraints
from regard.terms.glossary import Glossary, Term, target_forms
from regard.terms.learned import BothForms
from regard.terms.word_forms import WordForms

FORMS = BothForms(
    WordForms((("house", "houses"), ("old", "older", "oldest")), frozenset([("", "s")])),
    WordForms((("Haus", "Häuser", "Hauses"), ("alt", "alte", "alten"), ("System", "Systeme")), frozenset([("", "en")])),
)
GLOSSARY = Glossary.of(
    [
        ("house", "Haus"),
        ("old house", "Altbau"),
        ("window manager", "Fensterverwaltung"),
        ("IT", "EDV"),
        ("quick", "flink"),
        ("猫", "cat"),
        ("カード", "card"),
        ("カー", "car"),
    ]
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A HOUSE.", [("HOUSE", "Haus")]),
        ("Two houses", [("houses", "Haus")]),
        ("the oldest houses, a house", [("oldest houses", "Altbau"), ("house", "Haus")]),
        ("The Window\u00a0Managers quit", [("Window\u00a0Managers", "Fensterverwaltung")]),
        ("housekeeping in a greenhouse", []),
        ("Does it work in IT?", [("IT", "EDV")]),
        ("黒い猫がいる", [("猫", "cat")]),
        ("カードを買う", [("カード", "card")]),
        ("(house)", [("house", "Haus")]),
        ("", []),
    ],
)
def test_terms_are_found_in_any_case_and_form_where_words_begin_and_end(
    text: str, expected: list[tuple[str, str]]
) -> None:
    assert [(term.source, term.target) for term in GLOSSARY.find(text, FORMS)] == expected


def test_the_longest_of_overlapping_terms_counts() -> None:
    glossary = Glossary.of([("a b", "1"), ("b c d", "2"), ("d e", "3"), ("c", "4")])
    assert [term.target for term in glossary.find("a b c d e", FORMS)] == ["2"]
    assert [term.target for term in glossary.find("a b d e c", FORMS)] == ["1", "3", "4"]


def test_forms_of_a_target_come_from_the_corpus() -> None:
    assert target_forms("Haus", FORMS.target) == ("Haus", "Häuser", "Hauses")
    assert set(target_forms("alten Haus", FORMS.target)) >= {"alten Haus", "alte Häuser"}
    assert target_forms("Dateisystem", FORMS.target) == ("Dateisystem", "Dateisysteme")  # those of its last part
    assert target_forms("E-Mail 2.0", FORMS.target) == ("E-Mail 2.0",)
    assert target_forms("Unbekanntes", FORMS.target) == ("Unbekanntes",)


@pytest.mark.parametrize(
    ("source", "translation", "is_in"),
    [
        ("house", "Die Häuser stehen.", True),
        ("house", "„Haus“", True),
        ("house", "Das Hausboot", False),
        ("house", "das haus", False),
        ("HOUSE", "DAS HAUS", True),
        ("house", "", False),
    ],
)
def test_whether_a_translation_has_a_term(source: str, translation: str, *, is_in: bool) -> None:
    assert Term(source, "Haus", ("Haus", "Häuser")).is_in(translation) == is_in


@pytest.mark.parametrize(
    ("form", "translation", "is_in"),
    [
        ("タワー", "東京タワーは高い", True),
        ("IBM", "我在IBM工作", True),
        ("カー", "カードを買う", False),
        ("IBM", "我在IBMs工作", False),
    ],
)
def test_words_end_where_the_script_changes(form: str, translation: str, *, is_in: bool) -> None:
    assert Term("x", form, (form,)).is_in(translation) == is_in


def test_a_term_may_have_a_capital_at_the_start_only() -> None:
    term = Term("quick", "flink", ("flink",))
    assert term.is_in("Flink ist er.")
    assert not term.is_in("Er ist Flink.")


def test_empty_and_conflicting_entries_are_reported() -> None:
    glossary = Glossary.of([("a", "b"), ("a", "c"), ("a", "b"), ("d", " "), ("", "e"), ("", "")])
    assert [(entry.source, entry.target) for entry in glossary.entries] == [("a", "b")]
    assert glossary.problems == (
        "glossary: 'a' is 'b', not 'c': skipped",
        "glossary: the target of 'd' is empty: skipped",
        "glossary: the source of 'e' is empty: skipped",
    )


def test_a_segment_has_the_terms_that_are_words_of_it() -> None:
    term = Term("dog", "Hund", ("Hund",))
    line = Line(0, "A hotdog. A Dog.", Constraints(terms=(term,)))
    assert [part.constraints.terms for part in line.parts([(0, 9), (10, 16)])] == [(), (term,)]
