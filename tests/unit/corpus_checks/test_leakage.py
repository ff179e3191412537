from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.corpus_checks.made import faults, pairs, sentences

from regard.corpus.corpus import PairList
from regard.corpus_checks.findings import FaultKind
from regard.corpus_checks.leakage import ALIKE, HeldOutSet, LeakageCheck

DEV = [("The old house stands at the end of the road.", "Das alte Haus steht am Ende der Straße."), ("Yes.", "Ja.")]


def said(source: str, target: str) -> list[tuple[FaultKind, str]]:
    check = LeakageCheck({"dev": PairList("dev", pairs(DEV))})
    return [(fault.kind, fault.note) for _, fault in faults(check, [(source, target)])]


def test_what_stands_there_as_it_is() -> None:
    assert said(*DEV[0]) == [(FaultKind.LEAKAGE, "both sides stand in dev, line 1")]
    assert said(DEV[0][0], "Etwas ganz anderes.") == [(FaultKind.LEAKAGE, "the source stands in dev, line 1")]
    assert said("Something else.", DEV[0][1]) == [(FaultKind.LEAKAGE, "the target stands in dev, line 1")]
    assert said(*DEV[1]) == [(FaultKind.LEAKAGE, "both sides stand in dev, line 2")]
    assert said("Yes.", "Doch.") == []  # too short to be a leak by one side


def test_what_stands_there_nearly() -> None:
    told = "the source stands in dev, line 1, but for case, punctuation or digits"
    assert said(DEV[0][0].upper().rstrip("."), "Anders.") == [(FaultKind.NEAR_LEAKAGE, told)]
    near = "The old house stands near the end of the road", "Das alte Haus steht nahe am Ende der Straße"
    assert said(*near) == [(FaultKind.NEAR_LEAKAGE, "nearly as in dev, line 1")]
    assert said(near[0], "Der Hund bellt die ganze Nacht.") == []
    assert said("The old dog lies at the side of the bed.", "Der alte Hund liegt neben dem Bett.") == []


WORDS = st.lists(st.sampled_from("abcdefghijkl"), min_size=4, max_size=12).map(lambda some: [w * 3 for w in some])


@settings(max_examples=40, deadline=None)
@given(st.lists(WORDS, min_size=1, max_size=12), WORDS)
def test_no_near_pair_is_missed(held: list[list[str]], asked: list[str]) -> None:
    found = HeldOutSet("dev", pairs([(" ".join(words), "x") for words in held])).near(asked, ["x"])
    one = set(asked)
    near = [line for line, words in enumerate(held, start=1) if len(one & set(words)) >= ALIKE * len(one | set(words))]
    assert found == (near[0] if near else None)


def test_planted_copies_with_a_word_changed_are_found_and_nothing_else() -> None:
    texts = [pair for pair in sentences(900) if len(pair[0].split()) > 9]
    dev, train, chance = texts[:60], texts[60:], random.Random(2)
    planted = set()
    for place, (source, target) in enumerate(dev[:30]):
        sides = [source.split(), target.split()]
        at = chance.randrange(len(sides[0]))
        train[place * 5] = (" ".join(sides[0][:at] + sides[0][at + 1 :]), " ".join(sides[1][:at] + sides[1][at + 1 :]))
        planted.add(place * 5 + 1)
    found = {line for line, _ in faults(LeakageCheck({"dev": PairList("dev", pairs(dev))}), train)}
    assert found == planted
