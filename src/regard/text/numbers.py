"""Numbers, addresses, currencies and units, which are the same in a text and in its translation.

Formats differ by language: 1,000.5 is 1.000,5, and 2:30 p.m. is 14.30 Uhr. A number may be written in words on one
side. Only what cannot be explained in this way is a difference.
"""

from __future__ import annotations

import re
from collections import Counter, deque
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from regard.corpus.language_codes import base_code
from regard.text.number_words import NumberWords
from regard.text.placeholders import find_placeholders

_RELEVANT = re.compile(r"\d|@|://|www\.")
_SEPARATORS = ".,:'’\u00a0\u202f "
_NUMBER = re.compile(rf"(?:(?<![\w.])\.)?\d+(?:[{_SEPARATORS}](?=\d)\d+)*")
_GROUPED = re.compile(r"\d{1,3}([.,'’\u00a0\u202f ])\d{3}(?:\1\d{3})*")
_DECIMAL = re.compile(r"(.*)([.,])(\d+)")
_TIME = re.compile(r"(?<![\d.,:])(\d{1,2})([:.]|\s?(?:h|uhr|heures?)\s?)([0-5]\d)(?!\d|[.,:]\d)", re.IGNORECASE)
_CLOCK = re.compile(r"\b[pa]\.?m\b|\bo['’]clock\b|\buhr\b|\bheures?\b", re.IGNORECASE)
_DECADE = re.compile(r"\d0['’]?(?:s|er|ern)\b|\b(?:années|años|anni|anos|lata)\b", re.IGNORECASE)
_SEPARATOR = re.compile(f"[{_SEPARATORS}]")
_MAX_DIGITS = 18
_MAGNITUDES = (Decimal(1000), Decimal(10) ** 6, Decimal(10) ** 9)
_END_OF_YEARS = 2100

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
    source, target = (_MARKS.get(base_code(language), ("", "")) for language in (source_language, target_language))
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
    blanked: list[str] = []
    for side, text in enumerate((source, target)):
        parts, at = [], 0
        for placeholder in find_placeholders(text):
            if placeholder.kind == "address":
                addresses[side].append(placeholder.text.rstrip("/"))
            if placeholder.kind != "number":
                parts += [text[at : placeholder.start], " " * len(placeholder.text)]
                at = placeholder.end
        blanked.append("".join([*parts, text[at:]]))
    missing, added = _subtract(addresses[0], addresses[1]), _subtract(addresses[1], addresses[0])
    if Counter(map(_without_language, missing)) == Counter(map(_without_language, added)):
        missing, added = [], []
    return (missing, added), (blanked[0], blanked[1])


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
            if part:  # nothing precedes a leading point, as in .1.2.3
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
        has = {"has_clock": bool(_CLOCK.search(both)), "has_decade": bool(_DECADE.search(both))}
        source_words, target_words = NumberWords(source, languages[0], **has), NumberWords(target, languages[1], **has)
        missing = [number for number in missing if not _is_in_words(number, target_words)]
        added = [number for number in added if not _is_in_words(number, source_words)]
    is_regrouped = len(missing) + len(added) > 2 and _digits(missing) == _digits(added)  # a telephone number
    if not is_regrouped:
        yield from _pair_up("number", [number.text for number in missing], [number.text for number in added])


def _is_in_words(number: Number, words: NumberWords) -> bool:
    """Return whether the opposite side, which has these words, may have a number in words."""
    is_time = number.minutes is not None and (not number.values or words.has_clock)
    return is_time or any(map(words.has, sorted(number.values)))


def _digits(numbers: Iterable[Number]) -> str:
    return "".join(re.sub(r"\D", "", number.text) for number in numbers)


def _unmatched(source: list[Number], target: list[Number], both: str) -> tuple[list[Number], list[Number]]:
    """Match numbers of equal value, then those of equal meaning. Return the rest of both sides."""
    relations = [_Relation(_value_keys), _Relation(_magnitude_keys, _multiple_keys)]
    has_times = any(number.minutes is not None for number in (*source, *target))
    relations += [_Relation(_hour_keys)] if has_times or _CLOCK.search(both) else []
    relations += [_Relation(_decade_keys, _year_keys)] if _DECADE.search(both) else []
    for relation in relations:
        source, target = relation.unmatched(source, target)
    return source, target


@dataclass(frozen=True)
class _Relation:
    """A number of the source is related to those of the target that share a key with it.

    Attributes:
        source_keys: Yields the keys of a number of the source.
        target_keys: Yields the keys of a number of the target; by default the same.
    """

    source_keys: Callable[[Number], Iterator[Hashable]]
    target_keys: Callable[[Number], Iterator[Hashable]] | None = None

    def unmatched(self, source: list[Number], target: list[Number]) -> tuple[list[Number], list[Number]]:
        """Match each number of the source with the first free one of the target. Return the rest of both sides."""
        places: dict[Hashable, deque[int]] = {}
        for place, number in enumerate(target):
            for key in (self.target_keys or self.source_keys)(number):
                places.setdefault(key, deque()).append(place)
        is_free = [True] * len(target)
        missing = []
        for number in source:
            queues = [places[key] for key in self.source_keys(number) if key in places]
            for queue in queues:
                while queue and not is_free[queue[0]]:
                    queue.popleft()
            first_places = [queue[0] for queue in queues if queue]
            if first_places:
                is_free[min(first_places)] = False
            else:
                missing.append(number)
        return missing, [number for number, free in zip(target, is_free, strict=True) if free]


def _value_keys(number: Number) -> Iterator[Hashable]:
    """Yield the values of a number, and what it is as a time."""
    yield from number.values
    if number.minutes is not None:
        yield "time", number.minutes


def _magnitude_keys(number: Number) -> Iterator[Hashable]:
    """Yield what `_multiple_keys` yields for a number that is this one in thousands, millions or billions, or back.

    5,000,000 and 5 million are one number.
    """
    for value in filter(None, number.values):
        yield "value", value
        yield from (("multiple", value * magnitude) for magnitude in _MAGNITUDES)


def _multiple_keys(number: Number) -> Iterator[Hashable]:
    for value in filter(None, number.values):
        yield "multiple", value
        yield from (("value", value * magnitude) for magnitude in _MAGNITUDES)


def _hour_keys(number: Number) -> Iterator[Hashable]:
    """Yield the hour of a number on a clock of twelve hours: the same for 3 p.m. and 15 Uhr, 8 Uhr and 8:00 a.m."""
    yield from (value % 12 for value in number.values if value <= 24)
    if number.minutes is not None and number.minutes % 60 == 0:
        yield Decimal(number.minutes // 60)


def _decade_keys(number: Number) -> Iterator[Hashable]:
    """Yield what `_year_keys` yields for another number of the same decade: 1960s and années 60."""
    yield from ((value < 100, value % 100) for value in number.values if value < _END_OF_YEARS)


def _year_keys(number: Number) -> Iterator[Hashable]:
    yield from ((value >= 100, value % 100) for value in number.values if value < _END_OF_YEARS)


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
