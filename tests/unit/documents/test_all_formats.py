"""Laws of every format: without translations nothing changes, and any bytes are a document or a DataError."""

from __future__ import annotations

import random
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.documents.scripted import translator, uppercase

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
ANDROID = b"""<?xml version="1.0" encoding="utf-8"?>
<resources xmlns:xliff="urn:x"><string name="a">Some <b>bold</b> text <xliff:g id="x">%1$s</xliff:g> it\\'s</string>
<plurals name="p"><item quantity="one">a file</item><item quantity="other">two files</item></plurals>
<string name="c"><![CDATA[Some <i>html</i> here]]></string></resources>
"""
RESX = b"""<root><data name="a" xml:space="preserve"><value>Some &lt;b&gt;bold&lt;/b&gt; text</value></data>
<data name="b"><value>two words</value><comment>no</comment></data></root>
"""
FLUENT = b"""# a comment
hi = Hello { $name } there
-term = Some thing
pick = { $n ->
    [one] one file
   *[other] { $n } files
 } of text
    .label = Some label
"""
NOTEBOOK = b"""{"cells": [{"cell_type": "markdown", "metadata": {}, "source": ["# Some head\\n", "text *goes*\\n",
 "on"]},
 {"cell_type": "code", "metadata": {}, "outputs": [], "source": ["x = 'some text'"], "execution_count": null}],
 "metadata": {}, "nbformat": 4, "nbformat_minor": 4}
"""
STRINGSDICT = b"""<?xml version="1.0" encoding="UTF-8"?>
<plist version="1.0"><dict><key>a</key><dict><key>NSStringLocalizedFormatKey</key><string>copied %#@n@</string>
<key>n</key><dict><key>NSStringFormatSpecTypeKey</key><string>NSStringPluralRuleType</string>
<key>one</key><string>%d file</string><key>other</key><string>%d files</string></dict></dict></dict></plist>
"""
CATALOG = b"""{"sourceLanguage": "en", "strings": {"some text": {}, "b": {"localizations": {
"en": {"stringUnit": {"state": "translated", "value": "two <b>words</b>"}},
"de": {"stringUnit": {"state": "new", "value": ""}}}}}}
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
    ".json": b'{"a": {"t": "some text", "n": 3}, "p": "{n, plural, one{# file} other{# files}} of {who}", '
    b'"u": "\\u00fc b"}',
    ".arb": b'{"@@locale": "en", "a": "some {x} text", "@a": {"description": "what it is"}}',
    ".yaml": b"# comment\nen:\n  a: some text # x\n  b: |\n    two lines\n    of text\n"
    b"  c: ['it''s one', \"two words\"]\n",
    ".properties": b"# comment\na = some text \\\n   goes on\nb: caf\\u00e9 {0} here\n",
    ".strings": b'/* comment */\n"a" = "some \\"text\\" %@";\nb = "two words";\n',
    ".stringsdict": STRINGSDICT,
    ".xcstrings": CATALOG,
    ".xml": ANDROID,
    ".resx": RESX,
    ".ftl": FLUENT,
    ".vtt": b"WEBVTT\n\nNOTE some note\n\n1\n00:01.000 --> 00:02.000\n<v Ann>Some <i>text</i>\nhere &amp; there\n",
    ".ipynb": NOTEBOOK,
    "": b"First one. Second one\n  goes on.\n\n\tNext\r\nline\r\n",
}


def opener(suffix: str):  # type: ignore[no-untyped-def]
    return OPENERS.get(suffix, ParagraphDocument)


def check_laws(suffix: str, data: bytes) -> None:
    try:
        document = opener(suffix)(data, "a", LanguagePair("en", "de"), Columns())
    except DataError:
        return
    assert document.fill([None] * len(document.segments)) == data
    for function in (uppercase, str, lambda text: text.replace("e", ""), lambda text: "- # <x> | * 1. " + text + " \\"):
        result = fill_document(document, translator(function), language="en")
        assert result.entries == result.filled + result.untranslated + result.already_translated
        if not result.filled:
            assert result.data == data


@pytest.mark.parametrize("suffix", EXAMPLES, ids=lambda suffix: suffix or "paragraphs")
def test_an_example_is_filled_and_can_be_read_again(suffix: str) -> None:
    data = EXAMPLES[suffix]
    document = opener(suffix)(data, "a", LanguagePair("en", "de"), Columns())
    result = fill_document(document, translator(uppercase), language="en")
    assert result.filled == len({segment.entry for segment in document.segments}) > 0
    assert result.data != data
    again = opener(suffix)(result.data, "a", LanguagePair("en", "de"), Columns())
    if suffix in (".po", ".xlf", ".tmx", ".tsv", ".csv", ".xcstrings"):
        assert not again.segments
        assert again.already_translated == result.filled + result.already_translated
    else:
        assert len(again.segments) == len(document.segments)
    check_laws(suffix, data)


@pytest.mark.parametrize("suffix", EXAMPLES, ids=lambda suffix: suffix or "paragraphs")
@given(data=st.binary(max_size=200))
@settings(max_examples=60, deadline=None)
def test_any_bytes(suffix: str, data: bytes) -> None:
    check_laws(suffix, data)


@pytest.mark.parametrize("suffix", EXAMPLES, ids=lambda suffix: suffix or "paragraphs")
@given(text=st.text(alphabet="ab .,\n\r\t\"'<>/&;:#*_`[]()!|\\-=12%s{}\ufeffü", max_size=120))
@settings(max_examples=60, deadline=None)
def test_any_text(suffix: str, text: str) -> None:
    check_laws(suffix, text.encode())


@pytest.mark.parametrize("suffix", EXAMPLES, ids=lambda suffix: suffix or "paragraphs")
def test_damaged_examples(suffix: str) -> None:
    rng = random.Random(1)
    for _ in range(150):
        data = bytearray(EXAMPLES[suffix])
        for _ in range(rng.randint(1, 4)):
            at = rng.randrange(len(data))
            match rng.randrange(3):
                case 0:
                    del data[at : at + rng.randint(1, 20)]
                case 1:
                    data[at:at] = data[rng.randrange(len(data)) :][: rng.randint(1, 30)]
                case _:
                    data[at] = rng.choice(b'<>"&;\n\\%[]*`|#\xff\x00')
            data = data or bytearray(b" ")
        check_laws(suffix, bytes(data))


@pytest.mark.parametrize("suffix", EXAMPLES, ids=lambda suffix: suffix or "paragraphs")
def test_long_input_is_parsed_in_linear_time(suffix: str) -> None:
    for data in (b"<a " * 20_000, b'<a "' * 20_000, b"[" * 20_000, b"*a " * 10_000, b"<!--" * 20_000, b"`a``" * 5_000):
        with suppress(DataError):
            opener(suffix)(data, "a", LanguagePair("en", "de"), Columns())
