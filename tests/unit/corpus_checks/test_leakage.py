from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.corpus_checks.synthetic import find_faults, pairs, sentences

from regard.corpus.corpus import PairList
from regard.corpus_checks.findings import FaultKind
from regard.corpus_checks.leakage import MIN_SIMILARITY, MIN_WORDS, HeldOutSet, LeakageCheck

DEV = [("The old house lies at the end of the road.", "Das alte Haus steht am Ende der Straße."), ("Yes.", "Ja.")]


def faults_of(source: str, target: str) -> list[tuple[FaultKind, str]]:
    check = LeakageCheck({"dev": PairList("dev", pairs(DEV))})
    return [(fault.kind, fault.note) for _, fault in find_faults(check, [(source, target)])]


def test_exact_copies_are_found() -> None:
    assert faults_of(*DEV[0]) == [(FaultKind.LEAKAGE, "both sides occur in dev, line 1")]
    assert faults_of(DEV[0][0], "Etwas ganz anderes.") == [(FaultKind.LEAKAGE, "the source occurs in dev, line 1")]
    assert faults_of("Something else.", DEV[0][1]) == [(FaultKind.LEAKAGE, "the target occurs in dev, line 1")]
    assert faults_of(*DEV[1]) == [(FaultKind.LEAKAGE, "both sides occur in dev, line 2")]
    assert faults_of("Yes.", "Doch.") == []  # one side alone is too short to be a leak


def test_near_copies_are_found() -> None:
    note = "the source occurs in dev, line 1, except for case, punctuation or digits"
    assert faults_of(DEV[0][0].upper().rstrip("."), "Anders.") == [(FaultKind.NEAR_LEAKAGE, note)]
    near = "The old house lies near the end of the road", "Das alte Haus steht nahe am Ende der Straße"
    assert faults_of(*near) == [(FaultKind.NEAR_LEAKAGE, "similar to dev, line 1")]
    assert faults_of(near[0], "Der Hund bellt die ganze Nacht.") == []
    assert faults_of("The old dog lies at the side of the bed.", "Der alte Hund liegt neben dem Bett.") == []


WORDS = st.lists(st.sampled_from("abcdefghijkl"), min_size=4, max_size=12).map(lambda words: [w * 3 for w in words])


@settings(max_examples=40, deadline=None)
@given(st.lists(WORDS, min_size=1, max_size=12), WORDS)
def test_no_similar_pair_is_missed(held_out: list[list[str]], query: list[str]) -> None:
    line = HeldOutSet("dev", pairs([(" ".join(words), "x") for words in held_out])).find_similar(query, ["x"])
    unique = set(query)
    similar = [
        number
        for number, words in enumerate(held_out, start=1)
        if len(unique & set(words)) >= MIN_SIMILARITY * len(unique | set(words))
    ]
    assert line == (similar[0] if similar and len(unique) >= MIN_WORDS else None)


def test_formulas_of_few_different_words_are_not_near_copies() -> None:
    dev = PairList("dev", pairs([("C C O C ( = O ) c 1 c c c ( O ) c c 1 O", "C O . C N ( = O ) c 1 c c c c c 1")]))
    check = LeakageCheck({"dev": dev})
    training = ("O C C C ( = O ) c 1 c c ( O ) c c c 1", "C N . C O ( = O ) c 1 c c c ( N ) c c 1")
    assert not list(find_faults(check, [training]))


def test_pairs_of_the_same_words_are_stored_and_looked_for_once() -> None:
    orders = [
        ("walk left twice after run", "W W L R"),
        ("run after walk left twice", "R L W"),
        ("jump twice then", "J J"),
    ]
    held_out = HeldOutSet("test", pairs(orders))
    assert list(held_out.first_lines.values()) == [1, 3]
    for query in (["walk", "left", "twice", "after", "run"], ["run", "run", "twice", "after", "walk", "left"]):
        assert held_out.find_similar(query, ["l", "r", "w"]) == 1
    assert held_out.find_similar(["run", "run", "twice", "after", "walk", "left"], ["l"]) is None
    assert held_out._find_similar.cache_info().misses == 2


def test_planted_copies_with_a_word_removed_are_found_without_false_alarms() -> None:
    texts = [pair for pair in sentences(900) if len(pair[0].split()) > 9]
    dev, train, rng = texts[:60], texts[60:], random.Random(2)
    planted = set()
    for index, (source, target) in enumerate(dev[:30]):
        sides = [source.split(), target.split()]
        at = rng.randrange(len(sides[0]))
        train[index * 5] = (" ".join(sides[0][:at] + sides[0][at + 1 :]), " ".join(sides[1][:at] + sides[1][at + 1 :]))
        planted.add(index * 5 + 1)
    assert {line for line, _ in find_faults(LeakageCheck({"dev": PairList("dev", pairs(dev))}), train)} == planted
