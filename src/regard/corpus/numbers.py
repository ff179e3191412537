"""The built-in corpus `numbers`: number words, English to German, where tens and units change places."""

import random
from collections.abc import Sequence
from functools import cache

from regard.corpus.corpus import BuiltinCorpora, Pair, PairList

# Numbers by length: each split takes the same number of each, so lengths vary although few numbers are short.
MAGNITUDES = (range(100), range(100, 1_000), range(1_000, 10_000), range(10_000, 100_000), range(100_000, 1_000_000))
TEST_SHARE = 4  # at most 1 in 4 numbers of a magnitude is in test, and of the rest in dev


def numbers(seed: int, *, train: int = 20_000, dev: int = 500, test: int = 1_000) -> BuiltinCorpora:
    """Return pairs of numbers up to 999,999 in words (from num2words), English to German.

    `three hundred and forty-two` becomes `dreihundertzweiundvierzig`. No number appears twice, neither in a split nor
    in two. Each split has the same number of each magnitude, as far as there are enough. The same seed and sizes give
    the same corpora. Raises ValueError if there are fewer numbers than the sizes require.
    """
    rng = random.Random(seed)
    enough = TEST_SHARE * (train + dev + test)
    pools = [rng.sample(magnitude, min(enough, len(magnitude))) for magnitude in MAGNITUDES]
    for_test = _deal(pools, test, rng, TEST_SHARE)
    for_dev = _deal(pools, dev, rng, TEST_SHARE)
    for_train = _deal(pools, train, rng)
    return BuiltinCorpora(
        train=_word(for_train, "numbers: train"),
        dev=_word(for_dev, "numbers: dev"),
        test=_word(for_test, "numbers: test"),
    )


def _deal(pools: Sequence[list[int]], count: int, rng: random.Random, one_in: int = 1) -> list[int]:
    """Take numbers out of the pools evenly, at most 1 in `one_in` of each pool; shuffle them."""
    dealt: list[int] = []
    for index, pool in enumerate(pools):  # from the smallest: the larger ones make up for what it lacks
        share = min(len(pool) // one_in, round((count - len(dealt)) / (len(pools) - index)))
        dealt += [pool.pop() for _ in range(share)]
    if len(dealt) < count:
        raise ValueError(f"there are only {MAGNITUDES[-1].stop} numbers")
    rng.shuffle(dealt)
    return dealt


def _word(chosen: Sequence[int], name: str) -> PairList:
    return PairList(name, [Pair(english(number), german(number), line) for line, number in enumerate(chosen, start=1)])


def english(number: int) -> str:
    """Return 342 as `three hundred and forty-two`."""
    thousands, rest = number - number % 1000, number % 1000
    if not thousands or not rest:
        return _words(number, "en")
    return _words(thousands, "en") + (", " if rest >= 100 else " and ") + _words(rest, "en")


def german(number: int) -> str:
    """Return 342 as `dreihundertzweiundvierzig`.

    101,000 is `einhunderteintausend`; num2words writes `...einstausend`.
    """
    thousands, rest = number - number % 1000, number % 1000
    first = _words(thousands, "de").replace("einstausend", "eintausend") if thousands else ""
    return first + (_words(rest, "de") if rest or not thousands else "")


@cache  # num2words takes 0.1 to 0.2 ms, and all numbers are made of a thousand words
def _words(number: int, language: str) -> str:
    from num2words import num2words

    return str(num2words(number, lang=language))
