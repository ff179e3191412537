from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regard.text.placeholders import (
    find_placeholders,
    locate_literals,
    place_accelerator,
    placeholder_error,
    split_accelerator,
)

SAMPLES = [
    ("%s and %d", ["%s", "%d"]),
    ("%.*s: %<PRIuMAX> of %'lu", ["%.*s", "%<PRIuMAX>", "%'lu"]),
    ("option '%c%s'", ["%c", "%s"]),
    ("%(name)s at %2$s or %1", ["%(name)s", "%2$s", "%1"]),
    ("{name} {0} {0:.2f} ${var} $HOME %%", ["{name}", "{0}", "{0:.2f}", "${var}", "$HOME", "%%"]),
    ("see https://a.org/b?c=1, or write to me@example.org.", ["https://a.org/b?c=1", "me@example.org"]),
    ("&debian; has 1,234.5 pages", ["&debian;", "1,234.5"]),
    ("use --no-warn in the file <name>", ["--no-warn", "<name>"]),
    (r"a literal \n here", [r"\n"]),
    ("a well-known thing is 100% sure", ["100"]),
    ("nothing here", []),
]


@pytest.mark.parametrize(("text", "expected"), SAMPLES, ids=[text for text, _ in SAMPLES])
def test_placeholders_are_found(text: str, expected: list[str]) -> None:
    assert [placeholder.text for placeholder in find_placeholders(text)] == expected


@pytest.mark.parametrize(
    "text",
    [
        "www.a.org",
        "mailto:a",
        "a@b.c",
        "<b>",
        "&a;",
        "%(a)s",
        "%1$s",
        "%s",
        "%1",
        "$a",
        "{a}",
        "--a",
        "\\n",
        "1",
        "©\ufe0f",
    ],
)
def test_a_placeholder_is_found_alone(text: str) -> None:
    assert [placeholder.text for placeholder in find_placeholders(text)] == [text]


@pytest.mark.parametrize(
    ("source", "target", "expected"),
    [
        ("%s of %d", "%s von %d", ""),
        ("%s of %d", "%d von %s", "the translation changes the order of %s, %d"),
        ("%1$s of %2$d", "%2$d von %1$s", ""),
        ("%s here", "hier", "the translation lacks %s"),
        ("here", "hier %s", "the translation adds %s"),
        ("1,000.5 files", "1.000,5 Dateien", ""),
        ("1,000 files", "1.001 Dateien", "the translation lacks 1,000"),
        ("{a} {a}", "{a}", "the translation lacks {a}"),
    ],
)
def test_broken_placeholders(source: str, target: str, expected: str) -> None:
    error = placeholder_error(find_placeholders(source), find_placeholders(target))
    assert error == expected


@given(st.text(alphabet="ab %s{}d&;$1.,\\n@:/_-<>()*", max_size=60))
def test_spans_do_not_overlap_and_hold_their_text(text: str) -> None:
    placeholders = find_placeholders(text)
    at = 0
    for placeholder in placeholders:
        assert at <= placeholder.start < placeholder.end <= len(text)
        assert text[placeholder.start : placeholder.end] == placeholder.text
        at = placeholder.end
    assert not placeholder_error(placeholders, find_placeholders(text))


HOLDERS = st.sampled_from(["%s", "%d", "{name}", "%1$s", "${x}", "https://a.org/x", "17", "&amp;"])


@given(st.lists(HOLDERS, min_size=1, max_size=6), st.data())
def test_a_removed_placeholder_is_missed(holders: list[str], data: st.DataObject) -> None:
    complete = " und ".join(holders)
    index = data.draw(st.integers(0, len(holders) - 1))
    incomplete = " und ".join([*holders[:index], "x", *holders[index + 1 :]])
    before, after = find_placeholders(complete), find_placeholders(incomplete)
    assert placeholder_error(before, after).startswith("the translation lacks ")
    assert placeholder_error(after, before).startswith("the translation adds ")


def test_literals_are_whole_words_and_appear_as_often() -> None:
    source = "Run ls in the false ls"
    assert locate_literals(source, [(4, 6)], "In false ls, so ls") == [(9, 11)]
    assert locate_literals(source, [(4, 6)], "In false ls") is None
    assert locate_literals(source, [(4, 6)], "ls ls ls") is None
    assert locate_literals(source, [], "anything") == []


@pytest.mark.parametrize(
    ("label", "text", "sign", "letter"),
    [
        ("_File", "File", "_", "F"),
        ("Save _As…", "Save As…", "_", "A"),
        ("&Open", "Open", "&", "O"),
        ("E&xit", "Exit", "&", "x"),
        ("F_ull", "Full", "_", "u"),
        ("file_name", "file_name", "", ""),
        ("ARGP_HELP_FMT: %s", "ARGP_HELP_FMT: %s", "", ""),
        ("R&D", "R&D", "", ""),
        ("the &debian; file", "the &debian; file", "", ""),
        ("a__b", "a__b", "", ""),
    ],
)
def test_accelerators(label: str, text: str, sign: str, letter: str) -> None:
    assert split_accelerator(label) == (text, sign, letter)


def test_an_accelerator_prefers_the_same_letter_at_the_start_of_a_word() -> None:
    assert place_accelerator("Ordner Offen", "O") == 0
    assert place_accelerator("Datei öffnen", "n") == 9
    assert place_accelerator("Datei", "x") == 0
    assert place_accelerator("a {b}", "b", [(2, 5)]) == 0
    assert place_accelerator("123", "b") is None


def test_emoji_are_placeholders() -> None:
    (placeholder,) = find_placeholders("press 1️⃣ now")
    assert (placeholder.text, placeholder.kind) == ("1️⃣", "emoji")
    assert placeholder_error(find_placeholders("a 👍🏽 b"), find_placeholders("a 👍 b")) == "the translation lacks 👍🏽"
