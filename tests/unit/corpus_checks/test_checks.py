"""Duplicates, copies, length ratios, scripts and languages."""

from __future__ import annotations

import numpy as np
import pytest
from tests.unit.corpus_checks.synthetic import faulty_lines, find_faults, sentences

from regard.corpus_checks.duplicates import DuplicateCheck
from regard.corpus_checks.findings import DROPPED_BY_DEFAULT, FaultKind
from regard.corpus_checks.languages import LanguageCheck
from regard.corpus_checks.lengths import QUANTILES, LengthRatioCheck
from regard.corpus_checks.numbers import NumbersCheck
from regard.corpus_checks.scripts import ScriptCheck
from regard.corpus_checks.untranslated import UntranslatedCheck

ENGLISH = ["The house over there is very old and no one lives in it.", "We went to the market to buy some bread."]
GERMAN = ["Das Haus dort drüben ist sehr alt und niemand wohnt darin.", "Wir gingen auf den Markt, um Brot zu kaufen."]


def test_duplicates() -> None:
    texts = [("a b", "x"), ("a b", "y"), ("c d", "x"), ("a b", "x"), ("A, b!", "x"), ("7 d", "q"), ("8 d", "q.")]
    assert [(line, fault.kind, fault.note) for line, fault in find_faults(DuplicateCheck(), texts)] == [
        (4, FaultKind.DUPLICATE, "same as line 1"),
        (5, FaultKind.NEAR_DUPLICATE, "same as line 1"),
        (7, FaultKind.NEAR_DUPLICATE, "same as line 6"),
        (2, FaultKind.MANY_TARGETS, "also on line 1"),
        (3, FaultKind.MANY_SOURCES, "also on line 1"),
        (5, FaultKind.MANY_SOURCES, "also on line 1"),
    ]


def test_a_pair_with_swapped_sides_is_not_a_duplicate() -> None:
    assert find_faults(DuplicateCheck(), [("a", "b"), ("b", "a")]) == []


def test_untranslated_targets() -> None:
    long = "the quick brown fox jumps over a lazy dog and runs far away"
    texts = [
        (long, long),
        (long.title() + "!", long),
        (long, long.replace("lazy", "eager")),
        ("Tom Smith", "Tom Smith"),
        ("1 2 3 4 5 6 7", "1 2 3 4 5 6 7"),
        (long, "der schnelle braune fuchs springt über den faulen hund"),
    ]
    assert faulty_lines(UntranslatedCheck(), texts) == [1, 2, 3]


def test_numbers_that_differ() -> None:
    texts = [("In 1830 he left.", "1930 ging er."), ("7 dogs", "sieben Hunde"), *[("1 2 34 56 78", "a b c d e")] * 2]
    languages = LanguageCheck("en", "de")
    languages.expected = ["en", "de"]
    faults = find_faults(NumbersCheck(languages), texts)
    assert [(line, fault.kind) for line, fault in faults] == [(line, FaultKind.NUMBERS) for line in (1, 3, 4)]
    assert faults[0][1].note == "1830 became 1930"
    assert FaultKind.NUMBERS not in DROPPED_BY_DEFAULT


def test_length_ratios() -> None:
    texts = sentences(600)
    assert faulty_lines(LengthRatioCheck(), texts) == []
    texts[99] = (texts[99][0], " ".join(target for _, target in texts[200:206]))
    texts[300] = (" ".join(source for source, _ in texts[100:106]), texts[300][1])
    assert faulty_lines(LengthRatioCheck(), texts) == [100, 301]


def test_a_truncated_text_is_recognised_by_its_missing_final_mark() -> None:
    texts = sentences(600)
    index = next(index for index, (_, target) in enumerate(texts) if len(target.split()) == 12)
    cut = " ".join(texts[index][1].split()[:6])
    before, source, after = texts[:index], texts[index][0], texts[index + 1 :]
    assert faulty_lines(LengthRatioCheck(), [*before, (source, cut), *after]) == [index + 1]
    assert faulty_lines(LengthRatioCheck(), [*before, (source, cut + "."), *after]) == []


def test_a_long_target_of_a_source_without_a_final_mark_is_valid() -> None:
    """As in headings and captions: the target is 3.3 standard deviations too long, and only the target has a mark."""
    texts = sentences(3000)
    check = LengthRatioCheck()
    faulty_lines(check, texts)
    source = next(source for source, _ in texts if len(source.split()) == 8)
    usual = len(source) * np.exp(check._usual_log_ratio(np.array([len(source)]), np.array([len(source)]))[0])
    length = next(
        length
        for length in range(int(usual), 999)
        if check.deviation(np.array([len(source) - 1]), np.array([length]))[0] > 3.3
    )
    texts[10] = source[:-1], "x" * (length - 1) + "."
    assert faulty_lines(LengthRatioCheck(), texts) == []


def test_too_few_pairs_have_no_usual_ratio() -> None:
    assert faulty_lines(LengthRatioCheck(), [("a", "b" * 100)] * 10) == []


def test_quantiles() -> None:
    check = LengthRatioCheck()
    find_faults(check, [("a" * n, "b b") for n in range(1, 102)])
    source, target = check.quantiles()
    assert len(source.characters) == len(QUANTILES)
    assert (source.characters[0], source.characters[3], source.characters[-1]) == (1, 51, 101)
    assert (source.words[-1], target.words[0], target.characters[3]) == (1, 2, 3)


def test_scripts() -> None:
    texts = [("Hello world", "これ は ペン です カタカナ 漢字")] * 60
    texts += [("Привет мир", "これ"), ("α + β", "は"), ("Hi", "This is a pen"), ("Hi", "ＵＦＯ を 信 じ ま す")]
    check = ScriptCheck()
    assert faulty_lines(check, texts) == [61, 63]
    assert check.main_scripts == (frozenset({"Latn"}), frozenset({"Hani", "Jpan"}))


@pytest.mark.parametrize("declared", [("", ""), ("en-GB", "de"), ("xx", "tlh")])
def test_languages(declared: tuple[str, str]) -> None:
    texts = list(zip(ENGLISH, GERMAN, strict=True)) * 40
    texts[10] = (texts[10][0], "La maison là-bas est très vieille et personne n’y habite plus depuis longtemps.")
    texts[30] = (GERMAN[1], texts[30][1])
    texts[50] = ("Oui oui.", "Nein.")
    check = LanguageCheck(*declared)
    assert faulty_lines(check, texts) == [11, 31]
    assert check.expected == ["en", "de"]
    assert check.contradictions() == []


def test_a_wrongly_declared_language_is_reported() -> None:
    check = LanguageCheck("fr", "de")
    lines = faulty_lines(check, list(zip(ENGLISH, GERMAN, strict=True)) * 20)
    assert check.contradictions() == [
        "the source side is declared as fr, by an option or by its file's name, but seems to be en"
    ]
    assert len(lines) == 40


@pytest.mark.parametrize(
    "source, target",
    [
        ("Daniel Gabriel Fahrenheit was born in 1686 in Danzig.", "Daniel Gabriel Fahrenheit wurde in Danzig geboren."),
        ("DWARF error: invalid maximum operations per instruction", "DWARF-Fehler: Das Maximum ist nicht gültig."),
    ],
)
def test_names_and_terms_are_not_foreign(source: str, target: str) -> None:
    texts = list(zip(ENGLISH, GERMAN, strict=True)) * 40
    texts += [("The error was invalid and the instruction per page was not.", "Der Fehler war ungültig.")] * 3
    assert faulty_lines(LanguageCheck("en", "de"), [*texts, (source, target)]) == []


def test_text_without_a_clear_language_is_not_checked() -> None:
    check = LanguageCheck()
    assert faulty_lines(check, [("x y z " * 9, "1 2 3")] * 50) == []
    assert check.expected == ["", ""] or check.expected[1] == ""
