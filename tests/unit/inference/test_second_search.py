"""A second search of lines whose translation lacks a number or an address."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from regard.config.schema import SearchConfig
from regard.inference.lines import Line
from regard.inference.options import ResolvedOptions
from regard.inference.second_search import search_with_fallback
from regard.inference.translation import Constraints, Translation
from regard.terms.glossary import Term

LANGUAGES = ("en", "de")
TEXTS = ["1,000.5 dogs", "see www.x.org", "17 dogs", "a dog"]
LINES = [Line(number, text, Constraints()) for number, text in enumerate(TEXTS)]
CONSTRAINED = Line(4, "18 dogs", Constraints(require=("Hund",)))


def search(lines: Sequence[Line], settings: SearchConfig) -> list[list[Translation]]:
    """Return what is removed from each line; it does not help `17 dogs`."""
    results = []
    for line in lines:
        is_right = line.text == "a dog" or (bool(line.removed) and line.text != "17 dogs")
        translation = Translation(
            " ".join(line.removed), 0.0, 0.0, marks=() if is_right else ("numbers",), attention=np.ones((1, 1))
        )
        results.append([translation])
    return results


def options(*, keep_numbers: bool) -> ResolvedOptions:
    return ResolvedOptions(SearchConfig(keep_numbers=keep_numbers), None, 1, 64, False, "lines")


def test_what_is_missing_is_removed_from_the_source() -> None:
    results = search_with_fallback(search, [*LINES, CONSTRAINED], options(keep_numbers=True), LANGUAGES)
    assert [n_best[0].text for n_best in results] == ["1,000.5", "www.x.org", "", "", ""]
    assert [n_best[0].marks for n_best in results] == [(), (), ("numbers",), (), ("numbers",)]
    assert all(n_best[0].attention is None for n_best in results)


def test_numbers_of_terms_stay_in_the_source() -> None:
    terms = Term("Python 3", "Python 3", ("Python 3",)), Term("dogs", "Hunde", ("Hunde",))
    line = Line(0, "Python 3 and 18 dogs", Constraints(terms=terms))
    removed: list[tuple[str, ...]] = []

    def note(lines: Sequence[Line], settings: SearchConfig) -> list[list[Translation]]:
        removed.extend(line.removed for line in lines)
        assert all(line.constraints.terms == terms for line in lines)
        return [[Translation("", 0.0, 0.0, marks=("numbers",))] for _ in lines]

    search_with_fallback(note, [line], options(keep_numbers=True), LANGUAGES)
    assert removed == [(), ("18",)]


def test_nothing_is_searched_again_by_default() -> None:
    results = search_with_fallback(search, LINES, options(keep_numbers=False), LANGUAGES)
    assert [n_best[0].marks for n_best in results] == [("numbers",)] * 3 + [()]
