import random

import pytest
from num2words import num2words

from regard.corpus.builtin import BUILTIN
from regard.corpus.numbers import MAGNITUDES, english, german, numbers


@pytest.mark.parametrize(
    ("number", "words", "german_words"),
    [
        (0, "zero", "null"),
        (1, "one", "eins"),
        (342, "three hundred and forty-two", "dreihundertzweiundvierzig"),
        (1_000, "one thousand", "eintausend"),
        (1_001, "one thousand and one", "eintausendeins"),
        (21_101, "twenty-one thousand, one hundred and one", "einundzwanzigtausendeinhunderteins"),
        (101_000, "one hundred and one thousand", "einhunderteintausend"),
        (
            999_999,
            "nine hundred and ninety-nine thousand, nine hundred and ninety-nine",
            "neunhundertneunundneunzigtausendneunhundertneunundneunzig",
        ),
    ],
)
def test_known_numbers(number: int, words: str, german_words: str) -> None:
    assert (english(number), german(number)) == (words, german_words)


def test_words_are_those_of_num2words_except_eintausend() -> None:
    rng = random.Random(1)
    for number in [rng.randrange(10**digits) for digits in range(1, 7) for _ in range(60)]:
        assert english(number) == num2words(number, lang="en")
        assert german(number) == num2words(number, lang="de").replace("einstausend", "eintausend")


def test_splits_share_no_number_and_have_their_sizes() -> None:
    corpora = numbers(1)
    splits = (corpora.train, corpora.dev, corpora.test)
    assert [len(split) for split in splits] == [20_000, 500, 1_000]
    for side in ("source", "target"):
        assert len({getattr(pair, side) for split in splits for pair in split}) == 21_500
    assert [pair.line for pair in corpora.dev] == list(range(1, 501))
    assert [split.name for split in splits] == ["numbers: train", "numbers: dev", "numbers: test"]


def test_a_source_and_its_target_are_the_same_number() -> None:
    meant = {english(number): number for number in range(100_000)}
    pairs = [pair for pair in numbers(7, train=500).train if pair.source in meant]
    assert len(pairs) > 250
    for pair in pairs:
        assert pair.target == german(meant[pair.source])


def test_every_split_is_spread_over_lengths() -> None:
    corpora = numbers(1)
    for split in (corpora.train, corpora.dev, corpora.test):
        words = [len(pair.source.split()) for pair in split]
        for shortest, longest in ((1, 5), (6, 7), (8, 12)):
            share = sum(shortest <= count <= longest for count in words) / len(words)
            assert share > 0.08, (split.name, shortest)
        assert min(words) == 1


def test_small_magnitudes_are_used_up() -> None:
    sizes = {"train": 5_000, "dev": 0, "test": 0}
    train = {pair.source for pair in numbers(1, **sizes).train}
    counts = [sum(english(number) in train for number in magnitude) for magnitude in MAGNITUDES[:3]]
    assert counts == [100, 900, 1333]


@pytest.mark.parametrize("test", [1, 11, 999])
def test_a_test_split_alone_has_its_size(test: int) -> None:
    assert len(numbers(1, train=0, dev=0, test=test).test) == test


def test_the_seed_decides() -> None:
    small = {"train": 50, "dev": 5, "test": 5}
    assert numbers(1, **small) == numbers(1, **small)
    assert list(numbers(1, **small).train) != list(numbers(2, **small).train)
    assert list(BUILTIN["numbers"](1).dev) == list(numbers(1).dev)


def test_too_large_sizes_are_rejected() -> None:
    with pytest.raises(ValueError, match="1000000 numbers"):
        numbers(1, train=0, dev=0, test=900_000)
