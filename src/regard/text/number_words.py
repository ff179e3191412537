"""Numbers that a text has in words: seventeen, siebzehn, half an hour, XVIIe siècle."""

from __future__ import annotations

import re
from decimal import Decimal
from functools import cached_property, lru_cache

from regard.corpus.language_codes import base_code

MAX_SPELLED = 256  # distinct numbers of a text that are looked for in words: spelling may take a millisecond

_WORD = re.compile(r"[^\W\d_]+")
_ROMAN = re.compile(r"\b([XVI]+)(?:e|er|ème|th)?\b")
_FRACTION = re.compile(r"hal[fbv]|viertel|quarter|demi|quart|medi[ao]|cuarto|mezz|meia", re.IGNORECASE)
_MANY_WORDS = (0, 1, 2, 12)  # numbers with many words: no, first, both, half, dozen
_FRACTIONS = (15, 25, 30, 45, 50)  # quarter past, a quarter, half an hour, half
_SMALL = 12  # numbers that are often written in words, in a language whose words are not known
_LARGEST = 1_000_000  # larger numbers are not written in words


class NumberWords:
    """The numbers that a text may have in words.

    Args:
        text: The text.
        language: Code of its language; empty if unknown. Any small number may then be in words.
        has_clock: Whether its numbers may be times on a clock of twelve hours.
        has_decade: Whether its numbers may be decades.
    """

    def __init__(self, text: str, language: str, *, has_clock: bool, has_decade: bool) -> None:
        self.has_clock = has_clock
        self._text = text
        self._language = base_code(language)
        self._has_decade = has_decade
        self._is_in: dict[Decimal, bool] = {}
        self._num_spelled = 0

    def has(self, value: Decimal) -> bool:
        """Return whether the text may have a number in words.

        Of numbers above twelve, the first MAX_SPELLED distinct ones are looked for: a text with more is a table.
        """
        if value not in self._is_in:
            self._is_in[value] = value <= _LARGEST and value == int(value) and self._has(int(value))
        return self._is_in[value]

    def _has(self, value: int) -> bool:
        if value in _MANY_WORDS or (value in _FRACTIONS and self._has_fraction) or _roman(value) in self._romans:
            return True
        if value > _SMALL:
            self._num_spelled += 1
            if self._num_spelled > MAX_SPELLED:
                return False
        readings = [value]
        if value <= 24 and self.has_clock:
            readings.append(value + 12 if value <= 12 else value - 12)
        if value > 100 and self._has_decade:
            readings.append(value % 100)
        spelled = [words for reading in readings for words in spell(reading, self._language)]
        return any(words in self._words for words in spelled) or (not spelled and value <= _SMALL)

    @cached_property
    def _words(self) -> str:
        return " ".join(_WORD.findall(self._text.casefold()))

    @cached_property
    def _has_fraction(self) -> bool:
        return _FRACTION.search(self._text) is not None

    @cached_property
    def _romans(self) -> frozenset[str]:
        return frozenset(_ROMAN.findall(self._text))


@lru_cache(1 << 12)
def spell(number: int, language: str) -> tuple[str, ...]:
    """Return a number in words: cardinal, ordinal and as a year; nothing if the language is not known."""
    from num2words import num2words

    forms = []
    for kind in ("cardinal", "ordinal", "year"):
        try:
            words = num2words(number, lang=language, to=kind)
        except (NotImplementedError, KeyError, ValueError, IndexError, TypeError, OverflowError, AttributeError):
            continue
        form = " ".join(_WORD.findall(str(words).casefold()))
        forms += [form, re.sub("^(?:one |ein)(?=.)", "", form)]  # a hundred, hundert
    return tuple(form for form in dict.fromkeys(forms) if form)


def _roman(number: int) -> str:
    """Return a number from 3 to 39 in Roman numerals; empty for other numbers."""
    if not 3 <= number < 40:
        return ""
    ones = ("", "I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX")[number % 10]
    return "X" * (number // 10) + ones
