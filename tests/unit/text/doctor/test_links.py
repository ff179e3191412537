from __future__ import annotations

import random

import pytest
from tests.unit.text.doctor.made import Texts, lines, sentences

from regard.text.doctor import links
from regard.text.doctor.links import FEWEST_PAIRS, Links


def shuffled(texts: Texts, share: float) -> tuple[Texts, set[int]]:
    chance = random.Random(3)
    places = chance.sample(range(len(texts)), round(share * len(texts)))
    mixed = list(texts)
    for place, other in zip(places, [*places[1:], places[0]], strict=True):
        mixed[place] = (texts[place][0], texts[other][1])
    return mixed, {place + 1 for place in places}


@pytest.mark.parametrize("share", [0.05, 0.2])
def test_targets_of_other_pairs_are_found(share: float) -> None:
    texts, planted = shuffled(sentences(4000), share)
    check = Links()
    found = set(lines(check, texts))
    assert len(found & planted) >= 0.9 * len(planted)
    assert len(found - planted) <= 0.2 * len(planted)
    assert check.share == pytest.approx(share, rel=0.35)


def test_where_all_belongs_together_nothing_is_told() -> None:
    check = Links()
    assert len(lines(check, sentences(4000))) <= 4
    assert check.share < 0.002


def test_few_pairs_teach_nothing() -> None:
    check = Links()
    assert lines(check, sentences(FEWEST_PAIRS // 2)) == []
    assert not check.learned


def test_of_many_pairs_some_are_learned_and_all_are_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    texts, planted = shuffled(sentences(9000), 0.1)
    monkeypatch.setattr(links, "MOST_CELLS", 400_000)
    found = set(lines(check := Links(), texts))
    assert check._every > 1
    assert len(found & planted) >= 0.8 * len(planted)
    assert len(found - planted) <= 0.2 * len(planted)


def test_texts_without_spaces_are_taken_by_their_characters() -> None:
    texts = [(source.replace(" ", ""), target) for source, target in sentences(4000, words=60)]
    mixed, planted = shuffled(texts, 0.2)
    found = set(lines(Links(), mixed))
    assert len(found & planted) > 0.5 * len(planted)
    assert len(found - planted) <= 0.5 * len(planted)
