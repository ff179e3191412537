from __future__ import annotations

import gzip
import random
from itertools import islice

import pytest
from tests.shared_data import shared
from tests.unit.corpus_checks.made import Texts, faults, lines, sentences

from regard.corpus_checks import unrelated_pairs
from regard.corpus_checks.findings import FaultKind
from regard.corpus_checks.unrelated_pairs import FEWEST_PAIRS, UnrelatedPairCheck


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
    check = UnrelatedPairCheck()
    found = set(lines(check, texts))
    assert len(found & planted) >= 0.9 * len(planted)
    assert len(found - planted) <= 0.2 * len(planted)
    assert check.share == pytest.approx(share, rel=0.35)


def test_where_all_belongs_together_nothing_is_told() -> None:
    check = UnrelatedPairCheck()
    assert len(lines(check, sentences(4000))) <= 4
    assert check.share < 0.002


def test_few_pairs_teach_nothing() -> None:
    check = UnrelatedPairCheck()
    assert lines(check, sentences(FEWEST_PAIRS // 2)) == []
    assert not check.learned


def test_of_many_pairs_some_are_learned_and_all_are_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    texts, planted = shuffled(sentences(9000), 0.1)
    monkeypatch.setattr(unrelated_pairs, "MOST_CELLS", 400_000)
    found = set(lines(check := UnrelatedPairCheck(), texts))
    assert check._every > 1
    assert len(found & planted) >= 0.8 * len(planted)
    assert len(found - planted) <= 0.2 * len(planted)


def test_texts_without_spaces_are_taken_by_their_characters() -> None:
    texts = [(source.replace(" ", ""), target) for source, target in sentences(4000, words=60)]
    mixed, planted = shuffled(texts, 0.2)
    found = set(lines(UnrelatedPairCheck(), mixed))
    assert len(found & planted) > 0.5 * len(planted)
    assert len(found - planted) <= 0.5 * len(planted)


def certain(texts: Texts) -> set[int]:
    return {line for line, fault in faults(UnrelatedPairCheck(), texts) if fault.kind == FaultKind.UNRELATED}


def freely(texts: Texts) -> Texts:
    """Translations of 2 to 6 words, three in ten of which have nothing to do with the source."""
    chance = random.Random(4)
    words = sorted({word for _, target in texts for word in target.rstrip(".?!").split()})
    found = []
    for source, target in texts:
        count = chance.randint(2, 6)
        shown = source.rstrip(".?!").split()[:count]
        translated = target.rstrip(".?!").split()[:count]
        translated = [chance.choice(words) if chance.random() < 0.3 else word for word in translated]
        found.append((" ".join(shown) + source[-1], " ".join(translated) + target[-1]))
    return found


def test_short_free_translations_are_not_called_unrelated() -> None:
    texts = freely(sentences(6000))
    mixed, planted = shuffled([*texts, *sentences(2000, seed=1)], 0.02)
    found = certain(mixed)
    long = {line for line in planted if line > len(texts)}
    assert len(found - planted) <= 4
    assert len(found & long) >= 0.8 * len(long)


def test_a_note_gives_the_confidence_and_doubtful_pairs_are_apart() -> None:
    texts, _ = shuffled(sentences(4000, words=2000), 0.1)
    found = [fault for _, fault in faults(UnrelatedPairCheck(), texts)]
    assert {fault.kind for fault in found} == {FaultKind.UNRELATED, FaultKind.DOUBTFUL}
    for fault in found:
        confidence = float(fault.note.removeprefix("confidence "))
        assert 0.9 <= confidence <= 1 if fault.kind == FaultKind.UNRELATED else 0.5 <= confidence <= 0.9


def tatoeba(count: int) -> Texts:
    folder = shared("tatoeba-en-de")
    sides = []
    for language in ("en", "de"):
        with gzip.open(folder / f"train.{language}.gz", "rt", encoding="utf-8") as file:
            sides.append([line.rstrip("\n") for line in islice(file, count)])
    return list(zip(*sides, strict=True))


def test_translations_of_tatoeba_are_not_called_unrelated() -> None:
    texts = tatoeba(5000)
    assert len(faults(UnrelatedPairCheck(), texts)) <= 2  # one proverb, for which its translation has another
    mixed, planted = shuffled(texts, 0.2)
    found = certain(mixed)
    assert len(found & planted) >= 0.65 * len(planted)
    assert len(found - planted) <= 0.01 * len(found)
