"""A second search of lines whose translation lacks a number or an address."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from regard.config.schema import SearchConfig
from regard.inference.lines import Line
from regard.inference.options import ResolvedOptions
from regard.inference.second_search import search_with_fallback
from regard.inference.translation import Constraints, Translation

LANGUAGES = ("en", "de")
LINES = [
    Line(number, text, Constraints(require=("Hund",)))
    for number, text in enumerate(["1,000.5 dogs", "see www.x.org", "17 dogs", "a dog"])
]


def search(lines: Sequence[Line], settings: SearchConfig) -> list[list[Translation]]:
    """Return what is required; nothing that is required helps `17 dogs`."""
    results = []
    for line in lines:
        is_better = settings.beam_size == 5 and "17" not in line.text
        is_complete = "dog" in line.text if line.constraints.require == ("Hund",) else is_better
        marks = (
            () if line.text == "a dog" or is_complete is is_better is True or line.without_addresses else ("numbers",)
        )
        text = " ".join(line.constraints.require)
        results.append([Translation(text, 0.0, 0.0, marks=marks, attention=np.ones((1, 1)), alignment=((0, 0),))])
    return results


def options(*, keep_numbers: bool) -> ResolvedOptions:
    config = SearchConfig(strategy="exact", beam_size=2, keep_numbers=keep_numbers)
    return ResolvedOptions(config, None, 1, 64, False, "lines")


def test_what_is_missing_is_required_or_restored() -> None:
    results = search_with_fallback(search, LINES, options(keep_numbers=True), LANGUAGES)
    assert [n_best[0].text for n_best in results] == ["Hund 1.000,5", "Hund", "Hund", "Hund"]
    assert [n_best[0].marks for n_best in results] == [(), (), ("numbers",), ()]
    assert {(n_best[0].attention is None, n_best[0].alignment) for n_best in results} == {(True, ())}


def test_nothing_is_searched_again_by_default() -> None:
    results = search_with_fallback(search, LINES, options(keep_numbers=False), LANGUAGES)
    assert [n_best[0].marks for n_best in results] == [("numbers",)] * 3 + [()]
