from collections import defaultdict
from datetime import date, timedelta

import pytest
from babel import Locale
from babel.dates import format_date

from regard.corpus.builtin import BUILTIN, HAND_PATTERNS, dates, wordings


def test_a_known_date_in_words() -> None:
    day = date(2026, 11, 22)
    texts = {wording(day) for wording in wordings()}
    assert {
        "Sunday, November 22, 2026",
        "22 Nov 2026",
        "Sonntag, 22. November 2026",
        "dimanche 22 novembre 2026",
        "22 de noviembre de 2026",
        "22 nov 2026",
        "22 de nov. de 2026",
        "zondag 22 november 2026",
    } <= texts
    assert {wording.locale for wording in wordings()} == set(HAND_PATTERNS)


def test_every_wording_has_day_month_in_words_and_full_year() -> None:
    day = date(1987, 3, 24)
    for wording in wordings():
        text = wording(day)
        assert "24" in text and "1987" in text
        assert "3" not in text


def test_no_month_word_means_two_months() -> None:
    """Day and year are digits in every wording, so only the month's word could be read in two ways."""
    meanings: dict[str, set[int]] = defaultdict(set)
    for locale in HAND_PATTERNS:
        for form in ("wide", "abbreviated"):
            for month, word in Locale.parse(locale).months["format"][form].items():
                meanings[word.lower()].add(month)
    assert {word: months for word, months in meanings.items() if len(months) > 1} == {}


@pytest.mark.parametrize("year", [1900, 2024])
def test_no_two_dates_of_a_year_read_the_same(year: int) -> None:
    meanings: dict[str, set[date]] = defaultdict(set)
    for number in range(366 if year == 2024 else 365):
        day = date(year, 1, 1) + timedelta(number)
        for wording in wordings():
            meanings[wording(day)].add(day)
    assert all(len(days) == 1 for days in meanings.values())


def test_splits_share_no_date_and_have_their_sizes() -> None:
    corpora = dates(1)
    assert [len(split) for split in (corpora.train, corpora.dev, corpora.test)] == [20_000, 500, 1_000]
    train, dev, test = ({pair.target for pair in split} for split in (corpora.train, corpora.dev, corpora.test))
    assert not train & dev
    assert not train & test
    assert not dev & test
    assert min(train) >= "1900-01-01" and max(train) <= "2099-12-31"
    assert [pair.line for pair in corpora.dev] == list(range(1, 501))


def test_every_source_is_what_babel_writes() -> None:
    for pair in dates(7, train=500).train:
        day = date.fromisoformat(pair.target)
        assert pair.source in {format_date(day, wording.pattern, wording.locale) for wording in wordings()}


def test_the_seed_decides() -> None:
    small = {"train": 50, "dev": 5, "test": 5}
    assert dates(1, **small) == dates(1, **small)
    assert list(dates(1, **small).train) != list(dates(2, **small).train)
    assert list(BUILTIN["dates"](1).dev) == list(dates(1).dev)


def test_dates_return_in_other_wordings_without_repeated_pairs() -> None:
    corpora = dates(1, train=400, dev=0, test=73_049 - 200)
    assert len({pair.target for pair in corpora.train}) == 200
    counts: dict[str, set[str]] = defaultdict(set)
    for pair in corpora.train:
        counts[pair.target].add(pair.source)
    assert sum(map(len, counts.values())) > 350  # two patterns may read alike on one day


def test_too_large_sizes_are_rejected() -> None:
    with pytest.raises(ValueError, match="73049 dates"):
        dates(1, train=73_049 * 100)
    with pytest.raises(ValueError, match="73049 dates"):
        dates(1, train=0, dev=73_049, test=1)
