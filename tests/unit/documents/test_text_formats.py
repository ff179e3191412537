"""Examples of tables, subtitles, Markdown, HTML and paragraphs."""

from __future__ import annotations

import sys
from html.parser import HTMLParser
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from markdown_it import MarkdownIt
from tests.unit.documents.scripted import fill, open_bytes, translator, uppercase

from regard.documents.document import Columns, LanguagePair, MarkedText
from regard.documents.markdown_inline import parse_inline
from regard.documents.paragraphs import ParagraphDocument
from regard.documents.translate import fill_document
from regard.errors import DataError

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize(
    ("suffix", "text", "columns", "expected"),
    [
        (".tsv", "source\ttarget\none\t\ntwo\tzwei\n", Columns(), "source\ttarget\none\tONE\ntwo\tzwei\n"),
        (".tsv", "one\ntwo\r\n", Columns(), "one\tONE\ntwo\tTWO\r\n"),
        (".tsv", "a\tone\t\nb\ttwo\tx", Columns("2", "3"), "a\tone\tONE\nb\ttwo\tx"),
        (".tsv", "id\ten\n1\tone\n", Columns("en", "de"), "id\ten\tde\n1\tone\tONE\n"),
        (".csv", '"one, ""two""",\r\n"a\nb",c\r\n', Columns(), '"one, ""two""","ONE, ""TWO"""\r\n"a\nb",c\r\n'),
        (".csv", "en,de\n,\none,", Columns(), "en,de\n,\none,ONE"),
        (".csv", '\ufeff"one","x"\r\n"t\r\nwo"\r\n', Columns("1", "3"), '\ufeff"one","x",ONE\r\n"t\r\nwo"\r\n'),
        (".tsv", "\ufeffone\t\n", Columns(), "\ufeffone\tONE\n"),
    ],
)
def test_tables(suffix: str, text: str, columns: Columns, expected: str) -> None:
    function = str.upper if "two" in text and suffix == ".csv" else uppercase
    assert fill(suffix, text.encode(), function, columns).data.decode() == expected


@pytest.mark.parametrize(
    ("suffix", "text", "columns", "message"),
    [
        (".csv", 'a,"b\nc', Columns(), "a.csv:1: this is not valid CSV"),
        (".csv", 'a,b\nc,d"e\n', Columns(), "a.csv:2: this is not valid CSV"),
        (".tsv", "a\tb\tc\n", Columns(), "which of the 3 columns"),
        (".tsv", "a\tb\n", Columns("x", "y"), "no column 'x'"),
        (".tsv", "a\tb\n", Columns("4", ""), "columns 1 to 2"),
        (".tsv", "a\tb\n", Columns("", "b"), "the source column is not given"),
        (".srt", "1\n00:00:01,000 --> 00:00:02,000\nHi\n\nno cue\n", Columns(), "a.srt:5: a cue must start"),
        (".html", '<meta charset="utf-8">\n\ufeff', Columns(), ""),
    ],
)
def test_an_invalid_document_is_refused(suffix: str, text: str, columns: Columns, message: str) -> None:
    if not message:
        open_bytes(suffix, text.encode(), columns)
        return
    with pytest.raises(DataError) as caught:
        open_bytes(suffix, text.encode(), columns)
    assert message in str(caught.value)


def test_subtitles() -> None:
    text = (
        "\ufeff1\r\n00:00:01,000 --> 00:00:02,500\r\n<i>Hello there</i> my\r\ngood friend\r\n\r\n"
        "2\r\n00:00:03,000 --> 00:00:04,500 X1:0\r\n- who goes\r\n- me alone\r\n\r\n"
        "3\r\n00:00:05,000 --> 00:00:06,000\r\n"
    )
    expected = text.replace("<i>Hello there</i> my\r\ngood friend", "<i>HELLO THERE</i> MY\r\nGOOD FRIEND").replace(
        "- who goes\r\n- me alone", "- WHO GOES\r\n- ME ALONE"
    )
    result = fill(".srt", text.encode())
    assert result.data.decode() == expected
    assert [report.reason for report in result.reports] == ["the cue has no text"]


def test_paragraphs() -> None:
    text = "First one. Second one\n  goes on here and there.\n\n\n\tnext part\n---\n\nlast"
    result = fill_document(
        ParagraphDocument(text.encode(), "a", LanguagePair(), Columns()), translator(str.upper), language="en"
    )
    assert result.data.decode() == "FIRST ONE. SECOND ONE\n  GOES ON HERE AND THERE.\n\n\n\tNEXT PART\n---\n\nLAST"
    assert result.methods == {"whole": 4}


MARKDOWN = """---
title: one
---
# Head *of all* #

Some **bold text** and `code here` and
a [link to it](http://x.y/z "t") end ![img](a.png)

> quoted text
> goes on

1. item one
   - item [ref] two

| head one | second |
|---|---|
| cell a | cell `b` c |

```
code
```
<div>html text</div>

hard break@
next line

[ref]: http://example.com
""".replace("@", "  ")


def test_markdown() -> None:
    output = fill(".md", MARKDOWN.encode(), str.upper).data.decode()
    for part in (
        "---\ntitle: one\n---\n# HEAD *OF ALL* #\n",
        "**BOLD TEXT**",
        "`code here`",
        '[LINK TO IT](http://x.y/z "t")',
        "![img](a.png)",
        "> QUOTED TEXT\n> GOES ON\n",
        "1. ITEM ONE\n   - ITEM [REF][ref] TWO\n",
        "| CELL A | CELL `b` C |\n",
        "```\ncode\n```\n<div>html text</div>\n",
        "HARD BREAK  \nNEXT LINE\n",
        "[ref]: http://example.com\n",
    ):
        assert part in output
    assert output.count("\n") == MARKDOWN.count("\n")


def test_a_translation_that_would_be_other_markdown_is_escaped_or_refused() -> None:
    assert fill(".md", b"one thing\n", lambda _: "- ein Ding").data == b"\\- ein Ding\n"
    assert fill(".md", b"one thing\n", lambda _: "# ein").data == b"\\# ein\n"
    assert fill(".md", b"| a b |\n|---|\n| c d |\n", lambda text: text + " | x").data.count(b"\\| x") == 2
    result = fill(".md", b"one thing\n", lambda _: "ein *Ding*")
    assert (result.data, result.untranslated) == (b"one thing\n", 1)


@pytest.mark.parametrize("page", ["README.md", "docs/search.md", "docs/map.md", "docs/papers/modern.md"])
def test_own_pages_keep_their_structure(page: str) -> None:
    data = (ROOT / page).read_bytes()
    result = fill(".md", data)
    assert result.untranslated <= 1
    before, after = (
        [(token.type, token.level, token.markup) for token in MarkdownIt().enable("table").parse(text.decode())]
        for text in (data, result.data)
    )
    assert before == after


def test_html() -> None:
    text = (
        "<!DOCTYPE html><html><head><title>The page &amp; more</title><script>a = '<p>no</p>';</script></head>\n"
        '<body class="x"><p>Say <b>dear <i>world</i></b>, run <code>ls -l</code> now<br>and go\n'
        "<ul><li>one item<li>two &lt;items</ul><p translate=no>Brand</p><pre>kept text</pre>"
        "<!-- note --> loose <img src=a>"
    )
    result = fill(".html", text.encode(), lambda part: part.replace("ls -l", "\0").upper().replace("\0", "ls -l"))
    expected = (
        text.replace("The page &amp; more", "THE PAGE &amp; MORE")
        .replace("Say <b>dear <i>world</i></b>, run", "SAY <b>DEAR <i>WORLD</i></b>, RUN")
        .replace("now<br>and go", "NOW<br>AND GO")
        .replace("<li>one item<li>two &lt;items", "<li>ONE ITEM<li>TWO &lt;ITEMS")
        .replace("loose", "LOOSE")
    )
    assert result.data.decode() == expected
    assert result.reports == []


def test_html_keeps_its_encoding() -> None:
    data = '<meta charset="iso-8859-1"><p>größer'.encode("latin-1")
    assert fill(".html", data, lambda _: "größte €").data == data.replace(b"er", b"te &#8364;")


SLOW = ["[](", "[", "](", "[a](b) ", "![a](", "*a _b ", "`a``b ", "<b>a ", "[*a](b) ", "![[a](b)](c) "]


@pytest.mark.parametrize("unit", SLOW)
def test_parsing_inline_markup_takes_linear_time(unit: str) -> None:
    def work(length: int) -> int:
        steps = 0

        def step(_frame: FrameType, event: str, _argument: object) -> Any:
            nonlocal steps
            steps += event == "line"
            return step

        class Labels(frozenset[str]):
            def __contains__(self, label: object) -> bool:
                nonlocal steps
                steps += len(str(label))
                return False

        text = unit * (length // len(unit))
        if unit == "[":
            text += "]" * len(text)
        before = sys.gettrace()
        sys.settrace(step)
        try:
            parse_inline(text, Labels())
        finally:
            sys.settrace(before)
        return steps

    assert work(8000) < 2.2 * work(4000)


def test_emphasis_inside_an_image_does_not_end_emphasis_outside() -> None:
    tags = parse_inline("*one ![two *x [a](b)](c) three* four", frozenset()).tags
    assert [(tag.markup, tag.is_opening) for tag in tags] == [
        ("*", True),
        ("![two *x [a](b)](c)", False),
        ("*", False),
    ]
    assert tags[0].pair == tags[2].pair != tags[1].pair == 0


CUE = "1\n00:00:01,000 --> 00:00:02,500\n"


def drop_dashes(text: str) -> str:
    """Translate like a model that has never seen dialogue dashes."""
    return uppercase(text.replace("- ", " ").replace("-", " ").replace("– ", " "))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("- who goes\n- me alone\n", "- WHO GOES\n- ME ALONE\n"),
        ("-who goes\n-me alone\n", "-WHO GOES\n-ME ALONE\n"),
        ("– who goes\r\n– me alone\r\n", "– WHO GOES\r\n– ME ALONE\r\n"),
        ("- a woman here\n", "- A WOMAN HERE\n"),
        ("- who goes there\nso late now\n- me\n", "- WHO GOES THERE\nSO LATE NOW\n- ME\n"),
        ("Who goes there.\n- me alone\n", "WHO GOES there.\n- ME ALONE\n"),
        ("<i>- who goes</i>\n<i>- me alone</i>\n", "<i>- WHO GOES</i>\n<i>- ME ALONE</i>\n"),
        ("<i>- who goes\n- me alone</i>\n", "<i>- WHO GOES\n- ME ALONE</i>\n"),
        ("- <i>who</i> goes\n- [me] alone\n", "- <i>WHO</i> GOES\n- [me] ALONE\n"),
    ],
)
def test_dialogue_dashes_survive(text: str, expected: str) -> None:
    result = fill(".srt", (CUE + text).encode(), drop_dashes)
    assert result.data.decode() == CUE + expected
    assert (result.entries, result.filled) == (1, 1)


def test_visible_attributes_are_translated() -> None:
    text = (
        '<html lang="en-US">\n<body title=\'a "good" day\'>\n<p>one <img src="one.png" alt="two dogs"> three</p>\n'
        '<input placeholder="search here" value="stays" title="">\n<img alt=dog>\n'
        '<button aria-label="close &amp; go">1</button>\n<p translate="no"><img alt="stays"></p>'
        '<img translate="no" alt="stays">\n<textarea placeholder="say it">stays</textarea>\n'
        '<p><code title="stays">x</code> and <a href="#" TITLE = "more">more</a></p>\n<!-- <img alt="stays"> -->\n'
    )
    result = fill(".html", text.encode())
    expected = text.replace("en-US", "de").replace("two dogs", "TWO DOGS").replace("one <img", "ONE <img")
    expected = expected.replace("> three", ">THREE" if ">THREE" in result.data.decode() else "> THREE")
    for word in ("search here", "close &amp; go", "say it", 'a "good" day'):
        expected = expected.replace(word, uppercase(word.replace("&amp;", "&")).replace("&", "&amp;"))
    expected = (
        expected.replace("alt=dog", 'alt="DOG"')
        .replace('"more">more', '"MORE">MORE')
        .replace("</code> and", "</code> AND")
    )
    assert result.data.decode() == expected
    assert result.untranslated == 0


def test_quotes_in_an_attribute_are_escaped() -> None:
    for quote in "\"'":
        text = f"<p><img alt={quote}say it{quote}></p><img alt=it>\n"
        result = fill(".html", text.encode(), lambda part: part.upper() + " \"<b>\" 'x' &amp;")
        data = result.data.decode()
        assert data.count("<b") == 0 or result.untranslated
        parser = Attributes()
        parser.feed(data)
        assert all(value in ("say it", "it") or value.startswith(('SAY IT "', 'IT "')) for value in parser.values)


class Attributes(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.values: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.values += [value or "" for name, value in attrs if name == "alt"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('<html lang="en"><p>one</p></html>', '<html lang="de"><p>ONE</p></html>'),
        ("<html lang=en xml:lang='en'><p>one</p></html>", "<html lang=de xml:lang='de'><p>ONE</p></html>"),
        ('<html lang="fr"><p>one</p></html>', '<html lang="fr"><p>ONE</p></html>'),
        ('<p lang="en">one</p>', '<p lang="en">ONE</p>'),
        ('<html lang="en"><p>...</p></html>', '<html lang="en"><p>...</p></html>'),
    ],
)
def test_the_language_of_a_page_becomes_the_target(text: str, expected: str) -> None:
    assert fill(".html", text.encode()).data.decode() == expected
    document = open_bytes(".html", text.encode(), languages=LanguagePair())
    assert "de" not in document.fill([MarkedText("ONE") for _ in document.segments]).decode()


def test_the_number_of_a_note_is_not_part_of_the_word_before_it() -> None:
    page = b"<p>A street<sup><a href='#n'>1</a></sup> and x<sup>2</sup>, the 1<sup>st</sup> here.</p>"
    result = fill(".html", page)
    assert b"A STREET<sup><a href='#n'>1</a></sup> AND" in result.data
    assert b"x<sup>2</sup>," in result.data.lower()
