"""Changes of text that people make."""

from __future__ import annotations

from random import Random

import pytest

from regard.text import perturbations
from regard.text.perturbations import TRAINING, Perturbation

PAIR = ("Tom paid 1,250.50 at https://x.org, didn't he?", "Tom zahlte 1.250,50 bei https://x.org, nicht wahr?")
STOPPED = ("He doesn't run.", "Er rennt nicht.")


def changed(change: Perturbation, pair: tuple[str, str], seed: int = 1) -> tuple[str, str]:
    return change(*pair, Random(seed))


@pytest.mark.parametrize(
    ("change", "pair", "expected"),
    [
        (
            "upper_case",
            PAIR,
            ("TOM PAID 1,250.50 AT https://x.org, DIDN'T HE?", "TOM ZAHLTE 1.250,50 BEI https://x.org,"),
        ),
        ("title_case", PAIR, ("Tom Paid 1,250.50 At https://x.org, Didn't He?", PAIR[1])),
        ("no_final_stop", STOPPED, ("He doesn't run", "Er rennt nicht")),
        ("no_final_stop", PAIR, PAIR),
        ("no_final_stop", ("Wait...", "Warte..."), ("Wait...", "Warte...")),
        (
            "no_punctuation",
            PAIR,
            ("Tom paid 1,250.50 at https://x.org didn't he", "Tom zahlte 1.250,50 bei https://x.org"),
        ),
        ("one_typo", ("17 §§ 5.", "17 §§ 5."), ("17 §§ 5.", "17 §§ 5.")),  # no letters
        ("names", ("Tom ran.", "Tom lief."), ("Figor ran.", "Figor lief.")),
        ("numbers", PAIR, ("Tom paid 2,417.77 at https://x.org, didn't he?", "Tom zahlte 2.417,77 bei https://x.org,")),
        ("doubled_spaces", STOPPED, ("He  doesn't run.", "Er rennt nicht.")),
    ],
)
def test_changes(change: str, pair: tuple[str, str], expected: tuple[str, str]) -> None:
    source, target = changed(getattr(perturbations, change), pair)
    assert source == expected[0]
    assert target.startswith(expected[1])


def test_a_typo_is_one_edit_of_the_source() -> None:
    words = "Extraordinary"
    typos = {changed(perturbations.one_typo, (words, "x"), seed) for seed in range(200)}
    assert {target for _, target in typos} == {"x"}
    sources = {source for source, _ in typos}
    assert words not in sources
    assert {len(source) - len(words) for source in sources} == {-1, 0, 1}
    assert len(sources) > 20


@pytest.mark.parametrize("change", ["emoji", "urls", "names"])
def test_inserted_text_is_the_same_on_both_sides(change: str) -> None:
    for seed in range(50):
        source, target = changed(TRAINING[change], STOPPED, seed)
        inserted = [
            side.replace(text, "").replace(text[:-1], "").strip(" .")
            for side, text in zip((source, target), STOPPED, strict=True)
        ]
        assert inserted[0] == inserted[1] != ""


@pytest.mark.parametrize(
    "pair", [("", ""), ("。", "。"), ("猫が好き。", "I like cats."), ("a", "b"), ("▁ \u0301", "?")]
)
def test_any_text_can_be_changed(pair: tuple[str, str]) -> None:
    for change in [*TRAINING.values(), perturbations.no_punctuation, perturbations.one_typo]:
        for seed in range(5):
            assert changed(change, pair, seed) == changed(change, pair, seed)


def test_columns_of_a_source_stay_columns() -> None:
    source, target = changed(perturbations.no_punctuation, ("gel, mek\tV;PST\t...", "geldi."))
    assert (source, target) == ("gel mek\tV;PST\t...", "geldi")
