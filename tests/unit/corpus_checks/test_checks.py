"""Repeats, copies, lengths, scripts and languages."""

from __future__ import annotations

import numpy as np
import pytest
from tests.unit.corpus_checks.made import faults, lines, sentences

from regard.corpus_checks.duplicates import DuplicateCheck
from regard.corpus_checks.findings import FaultKind
from regard.corpus_checks.languages import LanguageCheck
from regard.corpus_checks.lengths import QUANTILES, LengthRatioCheck
from regard.corpus_checks.scripts import ScriptCheck
from regard.corpus_checks.untranslated import UntranslatedCheck

ENGLISH = ["The house over there is very old and nobody lives in it.", "We went to the market to buy some bread."]
GERMAN = ["Das Haus dort drüben ist sehr alt und niemand wohnt darin.", "Wir gingen auf den Markt, um Brot zu kaufen."]


def test_repeats() -> None:
    texts = [("a b", "x"), ("a b", "y"), ("c d", "x"), ("a b", "x"), ("A, b!", "x"), ("7 d", "q"), ("8 d", "q.")]
    assert [(line, fault.kind, fault.note) for line, fault in faults(DuplicateCheck(), texts)] == [
        (4, FaultKind.DUPLICATE, "as on line 1"),
        (5, FaultKind.NEAR_DUPLICATE, "as on line 1"),
        (7, FaultKind.NEAR_DUPLICATE, "as on line 6"),
        (2, FaultKind.MANY_TARGETS, "also on line 1"),
        (3, FaultKind.MANY_SOURCES, "also on line 1"),
        (5, FaultKind.MANY_SOURCES, "also on line 1"),
    ]


def test_a_side_swapped_for_the_other_is_no_repeat() -> None:
    assert faults(DuplicateCheck(), [("a", "b"), ("b", "a")]) == []


def test_copies() -> None:
    long = "the quick brown fox jumps over a lazy dog and runs far away"
    texts = [
        (long, long),
        (long.title() + "!", long),
        (long, long.replace("lazy", "eager")),
        ("Tom Smith", "Tom Smith"),
        ("1 2 3 4 5 6 7", "1 2 3 4 5 6 7"),
        (long, "der schnelle braune fuchs springt über den faulen hund"),
    ]
    assert lines(UntranslatedCheck(), texts) == [1, 2, 3]


def test_ratios() -> None:
    texts = sentences(600)
    assert lines(LengthRatioCheck(), texts) == []
    texts[99] = (texts[99][0], " ".join(target for _, target in texts[200:206]))
    texts[300] = (" ".join(source for source, _ in texts[100:106]), texts[300][1])
    assert lines(LengthRatioCheck(), texts) == [100, 301]


def test_a_text_that_is_cut_short_is_told_by_its_end_too() -> None:
    texts = sentences(600)
    place = next(place for place, (_, target) in enumerate(texts) if len(target.split()) == 12)
    cut = " ".join(texts[place][1].split()[:6])
    assert lines(LengthRatioCheck(), [*texts[:place], (texts[place][0], cut), *texts[place + 1 :]]) == [place + 1]
    assert lines(LengthRatioCheck(), [*texts[:place], (texts[place][0], cut + "."), *texts[place + 1 :]]) == []


def test_a_long_target_of_a_source_without_its_mark_is_no_fault() -> None:
    """As in headings and image captions: three spreads too long, of a source that does not end with a mark."""
    texts = sentences(3000)
    check = LengthRatioCheck()
    lines(check, texts)
    source = next(source for source, _ in texts if len(source.split()) == 8)
    usual = len(source) * np.exp(check._usual(np.array([len(source)]), np.array([len(source)]))[0])
    long = next(n for n in range(int(usual), 999) if check.away(np.array([len(source) - 1]), np.array([n]))[0] > 3.3)
    texts[10] = source[:-1], "x" * (long - 1) + "."
    assert lines(LengthRatioCheck(), texts) == []


def test_of_few_pairs_no_ratio_is_usual() -> None:
    assert lines(LengthRatioCheck(), [("a", "b" * 100)] * 10) == []


def test_quantiles() -> None:
    ratios = LengthRatioCheck()
    faults(ratios, [("a" * n, "b b") for n in range(1, 102)])
    source, target = ratios.sides()
    assert len(source.characters) == len(QUANTILES)
    assert (source.characters[0], source.characters[3], source.characters[-1]) == (1, 51, 101)
    assert (source.words[-1], target.words[0], target.characters[3]) == (1, 2, 3)


def test_scripts() -> None:
    texts = [("Hello world", "これ は ペン です カタカナ 漢字")] * 60
    texts += [("Привет мир", "これ"), ("α + β", "は"), ("Hi", "This is a pen"), ("Hi", "ＵＦＯ を 信 じ ま す")]
    checked = ScriptCheck()
    assert lines(checked, texts) == [61, 63]
    assert checked.own == (frozenset({"Latn"}), frozenset({"Hani", "Jpan"}))


@pytest.mark.parametrize("told", [("", ""), ("en-GB", "de"), ("xx", "tlh")])
def test_languages(told: tuple[str, str]) -> None:
    texts = list(zip(ENGLISH, GERMAN, strict=True)) * 40
    texts[10] = (texts[10][0], "La maison là-bas est très vieille et personne n’y habite plus depuis longtemps.")
    texts[30] = (GERMAN[1], texts[30][1])
    texts[50] = ("Oui oui.", "Nein.")
    checked = LanguageCheck(*told)
    assert lines(checked, texts) == [11, 31]
    assert checked.own == ["en", "de"]
    assert checked.contradictions() == []


def test_a_language_that_the_corpus_is_not_in_is_told() -> None:
    checked = LanguageCheck("fr", "de")
    found = lines(checked, list(zip(ENGLISH, GERMAN, strict=True)) * 20)
    assert checked.contradictions() == ["the source side is said to be fr, and seems to be en"]
    assert len(found) == 40


@pytest.mark.parametrize(
    "source, target",
    [
        ("Daniel Gabriel Fahrenheit was born in 1686 in Danzig.", "Daniel Gabriel Fahrenheit wurde in Danzig geboren."),
        ("DWARF error: invalid maximum operations per instruction", "DWARF-Fehler: Das Maximum ist nicht gültig."),
    ],
)
def test_names_and_terms_are_in_no_other_language(source: str, target: str) -> None:
    texts = list(zip(ENGLISH, GERMAN, strict=True)) * 40
    texts += [("The error was invalid and the instruction per page was not.", "Der Fehler war ungültig.")] * 3
    assert lines(LanguageCheck("en", "de"), [*texts, (source, target)]) == []


def test_what_is_no_language_is_held_against_none() -> None:
    checked = LanguageCheck()
    assert lines(checked, [("x y z " * 9, "1 2 3")] * 50) == []
    assert checked.own == ["", ""] or checked.own[1] == ""
