"""Numbers, addresses, currencies and units, which are the same in a text and in its translation.

Formats differ by language: 1,000.5 is 1.000,5, and 2:30 p.m. is 14.30 Uhr. A number may be written in words on one
side. Only what cannot be explained in this way is a difference.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from typing import Literal

from regard.text.placeholders import find_placeholders

_RELEVANT = re.compile(r"\d|@|://|www\.")
_SEPARATORS = ".,:'’\u00a0\u202f "
_NUMBER = re.compile(rf"(?:(?<![\w.])\.)?\d+(?:[{_SEPARATORS}](?=\d)\d+)*")
_GROUPED = re.compile(r"\d{1,3}([.,'’\u00a0\u202f ])\d{3}(?:\1\d{3})*")
_DECIMAL = re.compile(r"(.*)([.,])(\d+)")
_TIME = re.compile(r"(?<![\d.,:])(\d{1,2})([:.]|\s?(?:h|uhr|heures?)\s?)([0-5]\d)(?!\d|[.,:]\d)", re.IGNORECASE)
_CLOCK = re.compile(r"\b[pa]\.?m\b|\bo['’]clock\b|\buhr\b|\bheures?\b", re.IGNORECASE)
_DECADE = re.compile(r"\d0['’]?(?:s|er|ern)\b|\b(?:années|años|anni|anos|lata)\b", re.IGNORECASE)
_FRACTION = re.compile(r"hal[fbv]|viertel|quarter|demi|quart|medi[ao]|cuarto|mezz|meia", re.IGNORECASE)
_SEPARATOR = re.compile(f"[{_SEPARATORS}]")
_WORD = re.compile(r"[^\W\d_]+")
_MAX_DIGITS = 18
_MAGNITUDES = (Decimal(1000), Decimal(10) ** 6, Decimal(10) ** 9)
_MANY_WORDS = (0, 1, 2, 12)  # numbers with many words: no, first, both, half, dozen
_FRACTIONS = (15, 25, 30, 45, 50)  # quarter past, a quarter, half an hour, half
_SMALL = 12  # numbers that are often written in words, in a language whose words are not known
_SPELLED = 1_000_000  # larger numbers are not written in words

_MARKS = {  # between thousands, and before a fraction
    **dict.fromkeys(("en", "zh", "ja", "ko", "he", "th"), (",", ".")),
    **dict.fromkeys(("da", "de", "el", "es", "id", "it", "nl", "pt", "ro", "tr", "vi"), (".", ",")),
    **dict.fromkeys(("bg", "cs", "fi", "fr", "hu", "nb", "no", "pl", "ru", "sk", "sv", "uk"), ("\u00a0", ",")),
}

_CURRENCIES = {
    "€": r"€|\beur(?:os?)?\b|\bevro|\bευρώ",
    "$": r"\$|\b(?:us)?d(?:ollar\w*)?\b|\bd[oó]lar\w*",
    "£": r"£|\bgbp\b|\bpounds?\b|\bpfund\b|\blivres?\b|\blibras?\b|\bsterlin\w*",
    "¥": r"[¥￥円元]|\bjpy\b|\bcny\b|\brmb\b|yen|\byuan\b",
}
_CURRENCY_WORDS = {sign: re.compile(pattern, re.IGNORECASE) for sign, pattern in _CURRENCIES.items()}
_CURRENCY = re.compile(r"([€$£¥])\s?\d|\d\s?([€$£¥])")
_UNIT = re.compile(
    r"\d\s?(km/h|mph|km|cm|mm|µm|nm|m|kg|mg|g|lb|oz|l|ml|kB|KB|MB|GB|TB|KiB|MiB|GiB|kHz|MHz|GHz|Hz|kW|W|V|°C|°F|%)"
    r"(?![\w/])"
)
_LANGUAGE_PART = re.compile(r"(?<=[/.@])[a-z]{2}(?:[-_][A-Za-z]{2})?[/.]")  # of an address: /de/, de.


Kind = Literal["number", "address", "currency", "unit"]


@dataclass(frozen=True)
class Number:
    """A number in a text.

    Attributes:
        start: Where it starts.
        end: Where it ends.
        text: How it is written.
        values: The values that it may have: 1,000 is a thousand or one.
        minutes: What it is as a time, in minutes after twelve o'clock; None if it is not a time.
        is_part: Whether it is part of a word, such as that of `IEEE-1394`: the other side may lack it.
    """

    start: int
    end: int
    text: str
    values: frozenset[Decimal]
    minutes: int | None = None
    is_part: bool = False


@dataclass(frozen=True)
class Difference:
    """What one side has and the other lacks, as it is written; empty on the side that lacks it.

    Attributes:
        kind: `number`, `address`, `currency` or `unit`.
        source: What the source has.
        target: What the target has instead.
    """

    kind: Kind
    source: str
    target: str

    def __str__(self) -> str:
        if not self.target:
            return f"{self.source} is missing"
        return f"{self.target} is not in the source" if not self.source else f"{self.source} became {self.target}"


def find_differences(source: str, target: str, languages: tuple[str, str] = ("", "")) -> list[Difference]:
    """Return what is not the same on both sides.

    Args:
        source: The text.
        target: Its translation.
        languages: Codes of both languages, in which numbers may be written in words; empty if unknown.
    """
    if not _RELEVANT.search(source) and not _RELEVANT.search(target):
        return []  # there is nothing to compare, as in most pairs
    addresses, (source, target) = _take_addresses(source, target)
    return [
        *_pair_up("address", *addresses),
        *_number_differences(source, target, languages),
        *_pair_up("currency", _missing_currencies(source, target), _missing_currencies(target, source)),
        *_unit_differences(source, target),
    ]


def find_numbers(text: str) -> list[Number]:
    """Return the numbers of a text without addresses and placeholders, in order. A date is several numbers."""
    numbers: list[Number] = []
    at = 0
    for match in _TIME.finditer(text):
        minutes = int(match[1]) % 12 * 60 + int(match[3])
        if int(match[1]) > 24:
            continue
        numbers += _split(text, at, match.start())
        values = _values(f"{match[1]}.{match[3]}") if match[2] == "." else ()
        numbers.append(Number(match.start(), match.end(), match[0], frozenset(values), minutes))
        at = match.end()
    return [*numbers, *_split(text, at, len(text))]


def localize(number: str, source_language: str, target_language: str) -> str:
    """Return a number of the source as the target language writes it: 1,000.5 becomes 1.000,5 in German."""
    source, target = (_MARKS.get(_code(language), ("", "")) for language in (source_language, target_language))
    if not all((*source, *target)) or not re.fullmatch(r"\d+(?:[.,\u00a0\u202f ]\d+)*", number):
        return number
    group, decimal = source
    integer, _, fraction = number.partition(decimal)
    if not (_GROUPED.fullmatch(integer) or integer.isdecimal()) or not (fraction.isdecimal() or not fraction):
        return number
    return "".join(target[0] if mark == group else target[1] if mark == decimal else mark for mark in number)


def _take_addresses(source: str, target: str) -> tuple[tuple[list[str], list[str]], tuple[str, str]]:
    """Return the addresses that only one side has, and both sides with spaces instead of placeholders."""
    addresses: list[list[str]] = [[], []]
    texts = [source, target]
    for side, text in enumerate((source, target)):
        for placeholder in find_placeholders(text):
            if placeholder.kind == "address":
                addresses[side].append(placeholder.text.rstrip("/"))
            if placeholder.kind != "number":
                blank = " " * len(placeholder.text)
                texts[side] = texts[side][: placeholder.start] + blank + texts[side][placeholder.end :]
    missing, added = _subtract(addresses[0], addresses[1]), _subtract(addresses[1], addresses[0])
    if Counter(map(_without_language, missing)) == Counter(map(_without_language, added)):
        missing, added = [], []
    return (missing, added), (texts[0], texts[1])


def _without_language(address: str) -> str:
    return _LANGUAGE_PART.sub("", address.lower() + "/")


def _subtract(first: Iterable[str], second: Iterable[str]) -> list[str]:
    return list((Counter(first) - Counter(second)).elements())


def _split(text: str, start: int, end: int) -> Iterator[Number]:
    """Yield the numbers between two places of a text, in parts if they cannot be a single number, as in 12.05.2010."""
    for match in _NUMBER.finditer(text, start, end):
        before = text[max(0, match.start() - 2) : match.start()].rstrip("-_")
        is_part = before[-1:].isalpha() and not text[match.start() - 1].isspace()
        values = frozenset(_values(match[0]))
        if values:
            yield Number(match.start(), match.end(), match[0], values, is_part=is_part)
            continue
        at = match.start()
        for part in _SEPARATOR.split(match[0]):
            yield Number(at, at + len(part), part, frozenset({Decimal(part[:_MAX_DIGITS])}), is_part=is_part)
            at += len(part) + 1


def _values(text: str) -> Iterator[Decimal]:
    """Yield the values of a number in all formats that it may be in; none if it is not in the format of one number."""
    if len(text) > _MAX_DIGITS:
        return
    text = f"0{text}" if text[0] == "." else text
    if text.isdecimal():
        yield Decimal(text)
        return
    if _GROUPED.fullmatch(text):
        yield Decimal(_SEPARATOR.sub("", text))
    match = _DECIMAL.fullmatch(text)
    if match and match[2] not in match[1] and (match[1].isdecimal() or _GROUPED.fullmatch(match[1])):
        yield Decimal(f"{_SEPARATOR.sub('', match[1])}.{match[3]}")


def _number_differences(source: str, target: str, languages: tuple[str, str]) -> Iterator[Difference]:
    both = f"{source} {target}"
    missing, added = _unmatched(find_numbers(source), find_numbers(target), both)
    missing, added = ([number for number in side if not number.is_part] for side in (missing, added))
    if len(missing) != len(added):  # otherwise numbers are exchanged for others
        missing = [number for number in missing if not _is_in_words(number, target, languages[1], both)]
        added = [number for number in added if not _is_in_words(number, source, languages[0], both)]
    is_regrouped = len(missing) + len(added) > 2 and _digits(missing) == _digits(added)  # a telephone number
    if not is_regrouped:
        yield from _pair_up("number", [number.text for number in missing], [number.text for number in added])


def _digits(numbers: Iterable[Number]) -> str:
    return "".join(re.sub(r"\D", "", number.text) for number in numbers)


def _unmatched(source: list[Number], target: list[Number], both: str) -> tuple[list[Number], list[Number]]:
    """Match numbers of equal value, then those of equal meaning. Return the rest of both sides."""
    tests = [_is_equal, _is_magnitude]
    has_times = any(number.minutes is not None for number in (*source, *target))
    tests += [_is_afternoon] if has_times or _CLOCK.search(both) else []
    tests += [_is_decade] if _DECADE.search(both) else []
    for test in tests:
        missing = []
        for number in source:
            match = next((candidate for candidate in target if test(number, candidate)), None)
            if match is None:
                missing.append(number)
            else:
                target = [candidate for candidate in target if candidate is not match]
        source = missing
    return source, target


def _is_equal(first: Number, second: Number) -> bool:
    is_same_time = first.minutes is not None and first.minutes == second.minutes
    return is_same_time or not first.values.isdisjoint(second.values)


def _is_magnitude(first: Number, second: Number) -> bool:
    """Return whether one is the other in thousands, millions or billions: 5,000,000 and 5 million."""
    return any(a == b * m or b == a * m for a in first.values for b in second.values for m in _MAGNITUDES if a and b)


def _is_afternoon(first: Number, second: Number) -> bool:
    """Return whether both are the same hour on a clock of twelve hours: 3 p.m. and 15 Uhr, 8 Uhr and 8:00 a.m."""
    hours = [{value % 12 for value in number.values if value <= 24} for number in (first, second)]
    for number, hour in zip((first, second), hours, strict=True):
        if number.minutes is not None and number.minutes % 60 == 0:
            hour.add(Decimal(number.minutes // 60))
    return not hours[0].isdisjoint(hours[1])


def _is_decade(first: Number, second: Number) -> bool:
    """Return whether both are the same decade: 1960s and années 60."""
    pairs = ((a, b) for a in first.values for b in second.values)
    return any(min(a, b) < 100 <= max(a, b) < 2100 and (a - b) % 100 == 0 for a, b in pairs)


def _is_in_words(number: Number, text: str, language: str, both: str) -> bool:
    """Return whether the opposite side may have a number in words; in an unknown language, any small number."""
    if number.minutes is not None and (not number.values or _CLOCK.search(both)):
        return True
    folded = " ".join(_WORD.findall(text.casefold()))
    for value in number.values:
        if value != int(value) or value > _SPELLED:
            continue
        if value in _MANY_WORDS or (value in _FRACTIONS and _FRACTION.search(text)) or _has_roman(int(value), text):
            return True
        readings = [int(value)]
        if value <= 24 and _CLOCK.search(both):
            readings.append(int(value) + 12 if value <= 12 else int(value) - 12)
        if value > 100 and _DECADE.search(both):
            readings.append(int(value) % 100)
        spelled = [words for reading in readings for words in _spell(reading, _code(language))]
        if any(words in folded for words in spelled) or (not spelled and value <= _SMALL):
            return True
    return False


def _code(language: str) -> str:
    """Return the code of a language without its region: `de` for `de_AT`."""
    return language.lower().replace("_", "-").split("-")[0]


@lru_cache(1 << 12)
def _spell(number: int, language: str) -> tuple[str, ...]:
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


def _has_roman(number: int, text: str) -> bool:
    """Return whether a text has a number from 3 to 39 in Roman numerals: XVIIe siècle."""
    if not 3 <= number < 40:
        return False
    ones = ("", "I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX")[number % 10]
    return bool(re.search(rf"\b{'X' * (number // 10)}{ones}(?:e|er|ème|th)?\b", text))


def _missing_currencies(side: str, opposite: str) -> list[str]:
    signs = sorted({before or after for before, after in _CURRENCY.findall(side)})
    return [sign for sign in signs if not _CURRENCY_WORDS[sign].search(opposite)]


def _unit_differences(source: str, target: str) -> Iterator[Difference]:
    """Yield units that differ. A unit in words on one side is not compared."""
    units = [[unit.replace("KB", "kB") for unit in _UNIT.findall(side)] for side in (source, target)]
    if len(units[0]) == len(units[1]):
        yield from _pair_up("unit", _subtract(units[0], units[1]), _subtract(units[1], units[0]))


def _pair_up(kind: Kind, missing: Sequence[str], added: Sequence[str]) -> Iterator[Difference]:
    """Yield what is missing with what is added instead, in order."""
    for index in range(max(len(missing), len(added))):
        source = missing[index] if index < len(missing) else ""
        target = added[index] if index < len(added) else ""
        yield Difference(kind, source, target)
