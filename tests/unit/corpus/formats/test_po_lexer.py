"""The lexer of PO lines, which corpora and documents share."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regard.corpus.formats.po_lexer import decode_bytes, escape, is_fuzzy, parse_line, unescape
from regard.errors import DataError


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ('msgid "a"', ("msgid", "a")),
        ('msgid_plural  "a" "b"', ("msgid_plural", "ab")),
        ('msgstr[01] "a"', ("msgstr[1]", "a")),
        ('"a\\tb"', ("", "a\tb")),
        (r'msgstr "\x41\101 \q \""', ("msgstr", r"AA \q " + '"')),
        (r'"\1" "01"', ("", "\x0101")),  # an escape ends with its string
    ],
)
def test_lines_of_keywords_and_strings(line: str, expected: tuple[str, str]) -> None:
    assert parse_line(line, "x.po:1") == expected


@pytest.mark.parametrize("line", ['msgid "a', "msgid a", 'msgid[0] "a"', '"a" b', "nonsense", r'"a\"'])
def test_other_lines_are_errors(line: str) -> None:
    with pytest.raises(DataError, match="not a line of a PO file") as caught:
        parse_line(line, "x.po:7")
    assert caught.value.where == "x.po:7"


@pytest.mark.parametrize(
    ("line", "fuzzy"), [("#, fuzzy", True), ("#,c-format,fuzzy", True), ("#= fuzzy", True), ("# fuzzy", False)]
)
def test_flags(line: str, fuzzy: bool) -> None:
    assert is_fuzzy(line) is fuzzy


@pytest.mark.parametrize(
    ("escaped", "charset", "text"),
    [
        (r"caf\303\251", "utf-8", "café"),
        (r"caf\xC3\xa9 \303\251", "utf-8", "café é"),
        (r"caf\351", "iso8859-1", "café"),
        (r"\203A\201[\203\\\225\\", "shift_jis", "アーソ表"),  # as `msgcat -E` writes it
        (r"\101\351b", "utf-8", "A\ufffdb"),
        (r"\777", "utf-8", "\ufffd"),
    ],
)
def test_numeric_escapes_are_bytes(escaped: str, charset: str, text: str) -> None:
    assert decode_bytes(unescape(escaped), charset) == text


@given(st.text())
def test_escaped_text_is_read_back(text: str) -> None:
    assert unescape(escape(text)) == text
