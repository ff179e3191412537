"""Generated corpora, with nothing to download: for first steps, tests and demonstrations."""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache

from regard.corpus.corpus import BuiltinCorpora, Pair, PairList
from regard.corpus.numbers import numbers

FIRST, LAST = date(1900, 1, 1), date(2099, 12, 31)

# Added to the locale's own styles; patterns that do not write the month as a word are left out.
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
        """Return the date in words."""
        from babel.dates import format_date

        return format_date(day, self.pattern, locale=self.locale)


@cache
def wordings() -> tuple[Wording, ...]:
    """Return every wording of dates. Each has day, month in words and full year, so no two dates read the same."""
    from babel import Locale

    result: list[Wording] = []
    for locale, by_hand in HAND_PATTERNS.items():
        styles = Locale.parse(locale).date_formats
        from_cldr = (styles[style].pattern for style in ("full", "long", "medium"))
        result += [Wording(locale, pattern) for pattern in dict.fromkeys((*from_cldr, *by_hand)) if "MMM" in pattern]
    return tuple(result)


def dates(seed: int, *, train: int = 20_000, dev: int = 500, test: int = 1_000) -> BuiltinCorpora:
    """Return pairs of a date from 1900 to 2099 in words of eight locales (CLDR, from Babel), and its ISO 8601 form.

    `Sunday, 22 November 2026` becomes `2026-11-22`. No date appears in two splits, in any wording. In train, a date
    appears again, in another wording, only after all other dates. The same seed and sizes give the same corpora.
    Raises ValueError if there are fewer dates than the sizes require.
    """
    rng = random.Random(seed)
    days = [date.fromordinal(number) for number in range(FIRST.toordinal(), LAST.toordinal() + 1)]
    rng.shuffle(days)
    for_test, for_dev, for_train = days[:test], days[test : test + dev], days[test + dev :]
    if dev + test >= len(days) or train > len(for_train) * len(wordings()):
        raise ValueError(f"there are only {len(days)} dates in {len(wordings())} wordings")
    return BuiltinCorpora(
        train=_word(for_train, train, rng, "dates: train"),
        dev=_word(for_dev, dev, rng, "dates: dev"),
        test=_word(for_test, test, rng, "dates: test"),
    )


def _word(days: Sequence[date], count: int, rng: random.Random, name: str) -> PairList:
    """Pair the days in turn: first with a random wording, then with the next wording each time the day returns."""
    choices = wordings()
    first = [rng.randrange(len(choices)) for _ in days]
    pairs = []
    for number in range(count):
        turn, index = divmod(number, len(days))
        day, wording = days[index], choices[(first[index] + turn) % len(choices)]
        pairs.append(Pair(wording(day), day.isoformat(), number + 1))
    return PairList(name, pairs)


BUILTIN: Mapping[str, Callable[[int], BuiltinCorpora]] = {"dates": dates, "numbers": numbers}
LANGUAGES: Mapping[str, tuple[str, str]] = {"dates": ("", "iso"), "numbers": ("en", "de")}  # of source and target
