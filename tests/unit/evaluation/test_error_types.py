from __future__ import annotations

import re
from pathlib import Path

import pytest

from regard.evaluation.degenerate_output import MARKS
from regard.evaluation.error_types import ERROR_TYPES, classify_errors, count_errors


@pytest.mark.parametrize(
    ("source", "hypothesis", "reference", "errors"),
    [
        ("I like cheese", "Ich mag Käse.", "Ich mag Käse.", ()),
        ("I like cheese", "Ich ich mag Käse.", "Ich mag Käse.", ("repeated",)),
        ("I like cheese", "Ich mag, ich mag Käse.", "Ich mag Käse.", ("repeated",)),
        ("It is very, very good", "Es ist sehr, sehr gut.", "Es ist sehr, sehr gut.", ()),
        ("I like cheese", "Ich mag Cheese.", "Ich mag Käse.", ("untranslated",)),
        ("I like Boston", "Ich mag Boston.", "Ich mag Boston.", ()),
        ("Tom is in", "Tom in", "Er ist da", ()),  # short words of both languages
        ("I like cheese", "Ja.", "Ich mag Käse.", ("half",)),
        ("I like cheese", "Ich mag Käse und Brot und Wein.", "Ich mag Käse", ("double",)),
        ("No", "Nein!", "Ne", ()),  # too short
    ],
)
def test_each_is_told(source: str, hypothesis: str, reference: str, errors: tuple[str, ...]) -> None:
    assert classify_errors((), source, hypothesis, reference) == errors


def test_each_mark_of_a_report_is_an_error_type() -> None:
    docs = (Path(__file__).parents[3] / "docs/search.md").read_text()
    table = docs.partition("| mark | meaning |")[2].partition("\n\n")[0]
    marks = {mark for row in table.splitlines() for mark in re.findall("`([a-z]+)`", row.partition(" | ")[0])}
    assert marks - {"unproved"} == set(MARKS)
    assert classify_errors(("numbers", "term"), "a", "b", "c") == ("numbers", "term")
    assert count_errors([("term",), ()])["term"] == 1


def test_degenerate_output_is_included_and_a_copy_is_not_untranslated() -> None:
    text = "these words stay as they are"
    assert classify_errors(("copy",), text, text, "diese Wörter bleiben wie sie sind") == ("copy",)
    assert classify_errors(("empty",), text, "", "diese Wörter") == ("empty",)
    assert count_errors([("copy",), ("copy", "half"), ()]) == {**dict.fromkeys(ERROR_TYPES, 0), "copy": 2, "half": 1}
