"""Corpora made on the spot, with nothing to fetch: for first steps, tests and demonstrations."""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache

from babel import Locale
from babel.dates import format_date

from regard.corpus.corpus import BuiltinCorpora, Pair, PairList
from regard.corpus.numbers import numbers

FIRST, LAST = date(1900, 1, 1), date(2099, 12, 31)

# The locale's own styles are joined by these; what does not write the month as a word is left out.
HAND_PATTERNS = {
    "en_US": ("MMMM d y", "EEE, MMM d, y"),
    "en_GB": ("EEEE d MMMM y", "EEE d MMM y"),
    "de": ("d. MMM y", "EEE, d. MMM y"),
    "fr": ("EEE d MMM y",),
    "es": ("d MMMM y", "EEE, d MMM y"),
    "it": ("EEE d MMM y",),
    "pt": ("d MMMM y", "EEE, d 'de' MMM 'de' y"),
    "nl": ("EEE d MMM y",),
}


@dataclass(frozen=True)
class Wording:
    """One way to write a date: a CLDR pattern in a locale."""

    locale: str
    pattern: str

    def __call__(self, day: date) -> str:
        """The date in words."""
        return format_date(day, self.pattern, locale=self.locale)


@cache
def wordings() -> tuple[Wording, ...]:
    """Every wording of dates: day, month in words and whole year, so that no two dates read the same."""
    found = []
    for locale, by_hand in HAND_PATTERNS.items():
        styles = Locale.parse(locale).date_formats
        own = (styles[style].pattern for style in ("full", "long", "medium"))
        found += [Wording(locale, pattern) for pattern in dict.fromkeys((*own, *by_hand)) if "MMM" in pattern]
    return tuple(found)


def dates(seed: int, *, train: int = 20_000, dev: int = 500, test: int = 1_000) -> BuiltinCorpora:
    """Dates of 1900 to 2099 in words of eight locales (CLDR, through Babel), to ISO 8601.

    `Sunday, 22 November 2026` to `2026-11-22`. No date is in two splits, whatever its wording; in
    train a date returns, in another wording, only when all others have been used. The same seed
    and sizes give the same corpora. Raises ValueError where the sizes ask for more than there is.
    """
    dice = random.Random(seed)
    days = [date.fromordinal(number) for number in range(FIRST.toordinal(), LAST.toordinal() + 1)]
    dice.shuffle(days)
    for_test, for_dev, for_train = days[:test], days[test : test + dev], days[test + dev :]
    if dev + test >= len(days) or train > len(for_train) * len(wordings()):
        raise ValueError(f"there are {len(days)} dates in {len(wordings())} wordings, fewer than was asked for")
    return BuiltinCorpora(
        train=_word(for_train, train, dice, "dates: train"),
        dev=_word(for_dev, dev, dice, "dates: dev"),
        test=_word(for_test, test, dice, "dates: test"),
    )


def _word(days: Sequence[date], count: int, dice: random.Random, name: str) -> PairList:
    """The days in turn, each with a wording by chance at first and with the next one at every return."""
    ways = wordings()
    first = [dice.randrange(len(ways)) for _ in days]
    pairs = []
    for number in range(count):
        turn, place = divmod(number, len(days))
        day, way = days[place], ways[(first[place] + turn) % len(ways)]
        pairs.append(Pair(way(day), day.isoformat(), number + 1))
    return PairList(name, pairs)


BUILTIN: Mapping[str, Callable[[int], BuiltinCorpora]] = {"dates": dates, "numbers": numbers}
