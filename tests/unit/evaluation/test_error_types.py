from __future__ import annotations

import pytest

from regard.evaluation.error_types import EXPLAINED, counted, faults


@pytest.mark.parametrize(
    ("source", "hypothesis", "reference", "told"),
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
        ("No", "Nein!", "Ne", ()),  # too little to tell
    ],
)
def test_each_is_told(source: str, hypothesis: str, reference: str, told: tuple[str, ...]) -> None:
    assert faults((), source, hypothesis, reference) == told


def test_marks_are_among_them_and_a_whole_copy_is_no_untranslated_word() -> None:
    text = "these words stay as they are"
    assert faults(("copy",), text, text, "diese Wörter bleiben wie sie sind") == ("copy",)
    assert faults(("empty",), text, "", "diese Wörter") == ("empty",)
    assert counted([("copy",), ("copy", "half"), ()]) == {**dict.fromkeys(EXPLAINED, 0), "copy": 2, "half": 1}
