from __future__ import annotations

import gzip
import random
from itertools import islice

import pytest
from tests.shared_data import shared
from tests.unit.corpus_checks.synthetic import Texts, faulty_lines, find_faults, sentences

from regard.corpus_checks import unrelated_pairs
from regard.corpus_checks.findings import FaultKind
from regard.corpus_checks.unrelated_pairs import MIN_PAIRS, UnrelatedPairCheck


def shuffle_targets(texts: Texts, share: float) -> tuple[Texts, set[int]]:
    """Exchange the targets of a share of the pairs. Return the corpus and the line numbers of those pairs."""
    rng = random.Random(3)
    indices = rng.sample(range(len(texts)), round(share * len(texts)))
    mixed = list(texts)
    for index, donor in zip(indices, [*indices[1:], indices[0]], strict=True):
        mixed[index] = (texts[index][0], texts[donor][1])
    return mixed, {index + 1 for index in indices}


@pytest.mark.parametrize("share", [0.05, 0.2])
def test_shuffled_targets_are_found(share: float) -> None:
    texts, planted = shuffle_targets(sentences(4000), share)
    check = UnrelatedPairCheck()
    lines = set(faulty_lines(check, texts))
    assert len(lines & planted) >= 0.9 * len(planted)
    assert len(lines - planted) <= 0.2 * len(planted)
    assert check.share == pytest.approx(share, rel=0.35)


def test_a_corpus_of_translations_has_almost_no_unrelated_pairs() -> None:
    check = UnrelatedPairCheck()
    assert len(faulty_lines(check, sentences(4000))) <= 4
    assert check.share < 0.002


def test_a_small_corpus_has_no_lexicon() -> None:
    check = UnrelatedPairCheck()
    assert faulty_lines(check, sentences(MIN_PAIRS // 2)) == []
    assert not check.has_lexicon


def test_a_large_corpus_is_sampled_for_learning_and_checked_completely(monkeypatch: pytest.MonkeyPatch) -> None:
    texts, planted = shuffle_targets(sentences(9000), 0.1)
    monkeypatch.setattr(unrelated_pairs, "MAX_LINKS", 400_000)
    lines = set(faulty_lines(check := UnrelatedPairCheck(), texts))
    assert check._interval > 1
    assert len(lines & planted) >= 0.8 * len(planted)
    assert len(lines - planted) <= 0.2 * len(planted)


def test_text_without_spaces_is_split_into_characters() -> None:
    texts = [(source.replace(" ", ""), target) for source, target in sentences(4000, words=60)]
    mixed, planted = shuffle_targets(texts, 0.2)
    lines = set(faulty_lines(UnrelatedPairCheck(), mixed))
    assert len(lines & planted) > 0.5 * len(planted)
    assert len(lines - planted) <= 0.5 * len(planted)


def unrelated_lines(texts: Texts) -> set[int]:
    return {line for line, fault in find_faults(UnrelatedPairCheck(), texts) if fault.kind == FaultKind.UNRELATED}


def translate_freely(texts: Texts) -> Texts:
    """Return translations of 2 to 6 words, of which three in ten are random."""
    rng = random.Random(4)
    words = sorted({word for _, target in texts for word in target.rstrip(".?!").split()})
    free = []
    for source, target in texts:
        count = rng.randint(2, 6)
        source_words = source.rstrip(".?!").split()[:count]
        target_words = target.rstrip(".?!").split()[:count]
        target_words = [rng.choice(words) if rng.random() < 0.3 else word for word in target_words]
        free.append((" ".join(source_words) + source[-1], " ".join(target_words) + target[-1]))
    return free


def test_short_free_translations_are_not_unrelated() -> None:
    texts = translate_freely(sentences(6000))
    mixed, planted = shuffle_targets([*texts, *sentences(2000, seed=1)], 0.02)
    lines = unrelated_lines(mixed)
    long = {line for line in planted if line > len(texts)}
    assert len(lines - planted) <= 4
    assert len(lines & long) >= 0.8 * len(long)


def test_the_note_contains_the_confidence() -> None:
    texts, _ = shuffle_targets(sentences(4000, words=2000), 0.1)
    faults = [fault for _, fault in find_faults(UnrelatedPairCheck(), texts)]
    assert {fault.kind for fault in faults} == {FaultKind.UNRELATED, FaultKind.DOUBTFUL}
    for fault in faults:
        confidence = float(fault.note.removeprefix("confidence "))
        assert 0.9 <= confidence <= 1 if fault.kind == FaultKind.UNRELATED else 0.5 <= confidence <= 0.9


def read_tatoeba(count: int) -> Texts:
    folder = shared("tatoeba-en-de")
    sides = []
    for language in ("en", "de"):
        with gzip.open(folder / f"train.{language}.gz", "rt", encoding="utf-8") as file:
            sides.append([line.rstrip("\n") for line in islice(file, count)])
    return list(zip(*sides, strict=True))


def test_translations_of_tatoeba_are_not_unrelated() -> None:
    texts = read_tatoeba(5000)
    # One proverb is translated by another one.
    assert len(find_faults(UnrelatedPairCheck(), texts)) <= 2
    mixed, planted = shuffle_targets(texts, 0.2)
    lines = unrelated_lines(mixed)
    assert len(lines & planted) >= 0.65 * len(planted)
    assert len(lines - planted) <= 0.01 * len(lines)
