"""What holds of every format: nothing filled is nothing changed, any bytes are a document or a DataError."""

from __future__ import annotations

import random
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.documents.scripted import by, loud

from regard.documents.document import Columns, LanguagePair
from regard.documents.open import OPENERS
from regard.documents.paragraphs import ParagraphDocument
from regard.documents.translate import fill_document
from regard.errors import DataError

XLIFF = b"""<?xml version="1.0"?>
<xliff version="1.2"><file source-language="en" original="a" datatype="plaintext"><body>
<trans-unit id="1"><source>Open <g id="1">the file</g> now</source></trans-unit>
<trans-unit id="2"><source>Close</source><target/></trans-unit></body></file></xliff>
"""
TMX = b"""<tmx version="1.4"><header srclang="en"/><body>
<tu><tuv xml:lang="en"><seg>Open <bpt i="1">x</bpt>it<ept i="1">y</ept></seg></tuv></tu></body></tmx>
"""
EXAMPLES = {
    ".po": b'#, c-format\nmsgid "Open %s\\n"\nmsgstr ""\n\nmsgctxt "x"\nmsgid ""\n"a b"\nmsgstr "c"\n',
    ".xlf": XLIFF,
    ".tmx": TMX,
    ".tsv": b"source\ttarget\nOne thing\t\nAnother\tEin anderes\n",
    ".csv": b'source,target\r\n"One, thing",\r\nAnother,x\r\n',
    ".srt": b"1\n00:00:01,000 --> 00:00:02,000\nHello <i>there</i>\nfriend\n\n2\n00:00:03,000 --> 00:00:04,000\nBye\n",
    ".md": b"---\na: b\n---\n# Head\n\n"
    b"Some *text* and `code`\nhere [link](u).\n\n- item\n\n> said\n\n| a | b |\n|---|---|\n",
    ".html": b"<!doctype html><title>T</title>"
    b"<p>Some <b>bold</b> text<br>and <code>code</code> now<script>a<b</script>",
    "": b"First one. Second one\n  goes on.\n\n\tNext\r\nline\r\n",
}


def opener(ending: str):  # type: ignore[no-untyped-def]
    return OPENERS.get(ending, ParagraphDocument)


def try_all(ending: str, data: bytes) -> None:
    try:
        document = opener(ending)(data, "a", LanguagePair("en", "de"), Columns())
    except DataError:
        return
    assert document.fill([None] * len(document.segments)) == data
    for say in (loud, str, lambda text: text.replace("e", ""), lambda text: "- # <x> | * 1. " + text + " \\"):
        outcome = fill_document(document, by(say), language="en")
        assert outcome.entries == outcome.filled + outcome.untranslated + outcome.already_translated
        if not outcome.filled:
            assert outcome.data == data


@pytest.mark.parametrize("ending", EXAMPLES, ids=lambda ending: ending or "paragraphs")
def test_an_example_is_filled_and_reads_again(ending: str) -> None:
    data = EXAMPLES[ending]
    document = opener(ending)(data, "a", LanguagePair("en", "de"), Columns())
    outcome = fill_document(document, by(loud), language="en")
    assert outcome.filled == len({segment.entry for segment in document.segments}) > 0
    assert outcome.data != data
    again = opener(ending)(outcome.data, "a", LanguagePair("en", "de"), Columns())
    if ending in (".po", ".xlf", ".tmx", ".tsv", ".csv"):
        assert not again.segments
        assert again.already_translated == outcome.filled + outcome.already_translated
    else:
        assert len(again.segments) == len(document.segments)
    try_all(ending, data)


@pytest.mark.parametrize("ending", EXAMPLES, ids=lambda ending: ending or "paragraphs")
@given(data=st.binary(max_size=200))
@settings(max_examples=60, deadline=None)
def test_any_bytes(ending: str, data: bytes) -> None:
    try_all(ending, data)


@pytest.mark.parametrize("ending", EXAMPLES, ids=lambda ending: ending or "paragraphs")
@given(text=st.text(alphabet="ab .,\n\r\t\"'<>/&;:#*_`[]()!|\\-=12%s{}\ufeffü", max_size=120))
@settings(max_examples=60, deadline=None)
def test_any_text(ending: str, text: str) -> None:
    try_all(ending, text.encode())


@pytest.mark.parametrize("ending", EXAMPLES, ids=lambda ending: ending or "paragraphs")
def test_damaged_examples(ending: str) -> None:
    dice = random.Random(1)
    for _ in range(150):
        data = bytearray(EXAMPLES[ending])
        for _ in range(dice.randint(1, 4)):
            at = dice.randrange(len(data))
            match dice.randrange(3):
                case 0:
                    del data[at : at + dice.randint(1, 20)]
                case 1:
                    data[at:at] = data[dice.randrange(len(data)) :][: dice.randint(1, 30)]
                case _:
                    data[at] = dice.choice(b'<>"&;\n\\%[]*`|#\xff\x00')
            data = data or bytearray(b" ")
        try_all(ending, bytes(data))


@pytest.mark.parametrize("ending", EXAMPLES, ids=lambda ending: ending or "paragraphs")
def test_no_hang_on_long_input(ending: str) -> None:
    for data in (b"<a " * 20_000, b'<a "' * 20_000, b"[" * 20_000, b"*a " * 10_000, b"<!--" * 20_000, b"`a``" * 5_000):
        with suppress(DataError):
            opener(ending)(data, "a", LanguagePair("en", "de"), Columns())
