"""Numbers, addresses, currencies and units on both sides."""

from __future__ import annotations

import random
import sys
from collections import Counter
from collections.abc import Callable
from decimal import Decimal

import pytest

from regard.text import number_words
from regard.text.numbers import Number, _unmatched, find_differences, find_numbers, localize

SAME = [
    ("It costs 1,000.50 dollars.", "Es kostet 1.000,50 Dollar."),
    ("It costs $5.", "Es kostet 5 Dollar."),
    ("I have 2 dogs and 17 cats.", "Ich habe zwei Hunde und siebzehn Katzen."),
    ("The war ended in 1954.", "Der Krieg endete neunzehnhundertvierundfünfzig."),
    ("A hundred people came.", "100 Leute kamen."),
    ("He is the 17th.", "Er ist der Siebzehnte."),
    ("Come at 2:30 p.m.", "Komm um 14.30 Uhr."),
    ("Come at 6:30.", "Komm um 6 Uhr 30."),
    ("Come at 2:30.", "Komm um halb drei."),
    ("It closes at 3 p.m.", "Es schließt um fünfzehn Uhr."),
    ("between 6:00 and 7:00", "zwischen 6 und 7"),
    ("It's eight o'clock at night.", "Es ist 20 Uhr."),
    ("In 30 minutes.", "In einer halben Stunde."),
    ("On 05/12/2010.", "Am 12.5.2010."),
    ("5 million people", "5.000.000 Menschen"),
    ("Call 932-8647.", "Rufen Sie 932-86-47 an."),
    ("in the 1960s", "in den 60ern"),
    ("in the late 1960s", "in den späten Sechzigern"),
    ("The 17th century", "Das XVII. Jahrhundert"),
    ("The i18n package of raw1394", "Das Internationalisierungspaket"),
    ("%1$s has %2$d files", "%2$d Dateien hat %1$s"),
    ("See https://x.org/en/a/.", "Siehe https://x.org/de/a."),
    ("Use 5 kB or 5 km.", "Nimm 5 KB oder 5 Kilometer."),
    ("a/b", "a und b"),
    ("a share of .08", "ein Anteil von 0,08"),
    ("", ""),
]


@pytest.mark.parametrize(("source", "target"), SAME)
def test_the_same_in_other_formats_and_in_words(source: str, target: str) -> None:
    assert find_differences(source, target, ("en", "de")) == []
    assert find_differences(target, source, ("de", "en")) == []


@pytest.mark.parametrize(
    ("source", "target", "differences"),
    [
        ("In 1830 he left.", "1930 ging er.", ["1830 became 1930"]),
        ("It costs 1.5 euros.", "Es kostet 15 Euro.", ["1.5 became 15"]),
        ("It is 0.13.", "Es ist.", ["0.13 is missing"]),
        ("He has 17 dogs.", "Er hat Hunde.", ["17 is missing"]),
        ("He has dogs.", "Er hat 17 Hunde.", ["17 is not in the source"]),
        ("7 dogs, 7 cats", "7 Hunde und Katzen", ["7 is missing"]),
        ("Come at 2:30.", "Komm um 2.45 Uhr.", ["2:30 became 2.45"]),
        ("Write to a.b@x.org.", "Schreibe an a.b@x.com.", ["a.b@x.org became a.b@x.com"]),
        ("See https://x.org/a and 7.", "Siehe 7.", ["https://x.org/a is missing"]),
        ("It costs $5.", "Es kostet 5 €.", ["$ became €"]),
        ("It is 5 km.", "Es sind 5 m.", ["km became m"]),
        ("9" * 5000, "8" * 5000, ["9" * 5000 + " became " + "8" * 5000]),
    ],
)
def test_differences(source: str, target: str, differences: list[str]) -> None:
    assert [str(difference) for difference in find_differences(source, target, ("en", "de"))] == differences


@pytest.mark.parametrize("text", [".1.2.3", "x .12345678901234567890"])
def test_parts_after_a_leading_point_are_numbers(text: str) -> None:
    assert [number.text for number in find_numbers(text)] == text.lstrip("x .").split(".")


def test_small_numbers_may_be_words_in_an_unknown_language() -> None:
    assert find_differences("7 dogs", "xyz", ("en", "xx")) == find_differences("7 dogs", "xyz") == []
    assert find_differences("17 dogs", "xyz")


def test_numbers_as_another_language_writes_them() -> None:
    assert localize("1,000.5", "en", "de") == "1.000,5"
    assert localize("1.000,5", "de_AT", "en") == "1,000.5"
    assert localize("1,000", "en", "fr") == "1\u00a0000"
    assert localize("2.4.17", "en", "de") == "2.4.17"  # not a number
    assert [localize(text, "en", "de") for text in ("17", "10:30", "http://x.org")] == ["17", "10:30", "http://x.org"]
    assert localize("1,000.5", "en", "") == "1,000.5"


def is_equal(first: Number, second: Number) -> bool:
    is_same_time = first.minutes is not None and first.minutes == second.minutes
    return is_same_time or not first.values.isdisjoint(second.values)


def is_magnitude(first: Number, second: Number) -> bool:
    factors = [Decimal(10) ** 3, Decimal(10) ** 6, Decimal(10) ** 9]
    return any(a == b * m or b == a * m for a in first.values for b in second.values for m in factors if a and b)


def is_same_hour(first: Number, second: Number) -> bool:
    hours = [{value % 12 for value in number.values if value <= 24} for number in (first, second)]
    for number, hour in zip((first, second), hours, strict=True):
        if number.minutes is not None and number.minutes % 60 == 0:
            hour.add(Decimal(number.minutes // 60))
    return not hours[0].isdisjoint(hours[1])


def is_same_decade(first: Number, second: Number) -> bool:
    pairs = ((a, b) for a in first.values for b in second.values)
    return any(min(a, b) < 100 <= max(a, b) < 2100 and (a - b) % 100 == 0 for a, b in pairs)


def draw_number(draws: random.Random) -> str:
    value = draws.choice([draws.randint(0, 30), draws.randint(1900, 2110), draws.randint(0, 10**6), 60, 1960])
    forms = [f"{value}", f"{value:,}", f"{value}.000", f"{value}000000", f"{value}.5", f"{value % 25}:{value % 60:02}"]
    return draws.choice([*forms, f"{value % 24}:00", f"{value % 12} Uhr"])


def test_numbers_are_matched_as_if_each_were_compared_with_each() -> None:
    draws = random.Random(1)
    for _ in range(400):
        drawn = [draw_number(draws) for _ in range(12)]
        source, target = (find_numbers("  ".join(draws.choices(drawn, k=draws.randint(1, 9)))) for _ in range(2))
        expected = [list(source), list(target)]
        for is_related in (is_equal, is_magnitude, is_same_hour, is_same_decade):
            for number in list(expected[0]):
                match = next((candidate for candidate in expected[1] if is_related(number, candidate)), None)
                if match is not None:
                    expected[0].remove(number)
                    expected[1].remove(match)
        assert [*_unmatched(source, target, "9 Uhr in the 1960s")] == expected


def count_calls(function: Callable[[], object]) -> int:
    events: Counter[str] = Counter()
    sys.setprofile(lambda frame, event, argument: events.update([event]))
    try:
        function()
    finally:
        sys.setprofile(None)
    return events["call"] + events["c_call"]


def test_the_work_is_proportional_to_the_numbers() -> None:
    values = list(map(str, random.Random(1).sample(range(2_000_000, 9_000_000), 800)))

    def differences(count: int) -> Callable[[], object]:
        source, target = " ".join(values[:count:2]), " ".join(values[1:count:2])
        return lambda: find_differences(f"{source} 8 Uhr in the 1960s", target, ("en", "de"))

    calls, half_calls = count_calls(differences(800)), count_calls(differences(400))
    assert calls < 2.5 * half_calls


def test_a_number_of_numbers_is_looked_for_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    spelled = Counter[int]()
    monkeypatch.setattr(number_words, "spell", lambda number, language: (spelled.update([number]), ("zwanzig",))[1])
    table = " ".join(map(str, range(13, 1013)))
    differences = find_differences(f"{table} {table}", "zwanzig", ("en", "de"))
    assert len(spelled) == spelled.total() == number_words.MAX_SPELLED
    assert len(differences) == 2 * (1000 - number_words.MAX_SPELLED)
