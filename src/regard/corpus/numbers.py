"""The embedded corpus `numbers`: number words, English to German, where tens and units change places."""

import random
from collections.abc import Sequence
from functools import cache

from num2words import num2words

from regard.corpus.corpus import BuiltinCorpora, Pair, PairList

# By how many digits they have, for as many of each as there are: lengths vary, and few numbers are short.
MAGNITUDES = (range(100), range(100, 1_000), range(1_000, 10_000), range(10_000, 100_000), range(100_000, 1_000_000))
TESTED = 4  # at most one in so many of a magnitude is in test, and of the rest in dev


def numbers(seed: int, *, train: int = 20_000, dev: int = 500, test: int = 1_000) -> BuiltinCorpora:
    """Numbers up to 999,999 in words (by num2words), English to German.

    `three hundred and forty-two` to `dreihundertzweiundvierzig`. No number comes twice, in a split or in
    two; each split has as many of every magnitude, as far as there are so many. The same seed and sizes
    give the same corpora. Raises ValueError where the sizes ask for more than there is.
    """
    dice = random.Random(seed)
    enough = TESTED * (train + dev + test)
    pools = [dice.sample(magnitude, min(enough, len(magnitude))) for magnitude in MAGNITUDES]
    for_test = _deal(pools, test, dice, TESTED)
    for_dev = _deal(pools, dev, dice, TESTED)
    for_train = _deal(pools, train, dice)
    return BuiltinCorpora(
        train=_word(for_train, "numbers: train"),
        dev=_word(for_dev, "numbers: dev"),
        test=_word(for_test, "numbers: test"),
    )


def _deal(pools: Sequence[list[int]], count: int, dice: random.Random, one_in: int = 1) -> list[int]:
    """Take numbers out of the pools, evenly as far as each gives one in so many of its own; in any order."""
    dealt: list[int] = []
    for place, pool in enumerate(pools):  # from the smallest: what it lacks, the larger ones share
        share = min(len(pool) // one_in, round((count - len(dealt)) / (len(pools) - place)))
        dealt += [pool.pop() for _ in range(share)]
    if len(dealt) < count:
        raise ValueError(f"there are {MAGNITUDES[-1].stop} numbers, fewer than was asked for")
    dice.shuffle(dealt)
    return dealt


def _word(chosen: Sequence[int], name: str) -> PairList:
    return PairList(name, [Pair(english(number), german(number), place + 1) for place, number in enumerate(chosen)])


def english(number: int) -> str:
    """342 as `three hundred and forty-two`."""
    thousands, rest = number - number % 1000, number % 1000
    if not thousands or not rest:
        return _words(number, "en")
    return _words(thousands, "en") + (", " if rest >= 100 else " and ") + _words(rest, "en")


def german(number: int) -> str:
    """342 as `dreihundertzweiundvierzig`; 101,000 as `einhunderteintausend`, where num2words has `...einstausend`."""
    thousands, rest = number - number % 1000, number % 1000
    first = _words(thousands, "de").replace("einstausend", "eintausend") if thousands else ""
    return first + (_words(rest, "de") if rest or not thousands else "")


@cache  # num2words takes a tenth of a millisecond or two, and a thousand words make all numbers
def _words(number: int, language: str) -> str:
    return str(num2words(number, lang=language))
