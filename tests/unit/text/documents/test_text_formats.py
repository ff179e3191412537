"""Tables, subtitles, Markdown, HTML and paragraphs, by examples."""

from __future__ import annotations

import sys
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from markdown_it import MarkdownIt
from tests.unit.text.documents.scripted import by, filled, loud, opened

from regard.errors import DataError
from regard.text.documents.document import Columns, Languages
from regard.text.documents.filling import fill
from regard.text.documents.markdown_inline import inline
from regard.text.documents.paragraphs import Paragraphs

ROOT = Path(__file__).parents[4]


@pytest.mark.parametrize(
    ("ending", "text", "columns", "wanted"),
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
def test_tables(ending: str, text: str, columns: Columns, wanted: str) -> None:
    say = str.upper if "two" in text and ending == ".csv" else loud
    assert filled(ending, text.encode(), say, columns).data.decode() == wanted


@pytest.mark.parametrize(
    ("ending", "text", "columns", "what"),
    [
        (".csv", 'a,"b\nc', Columns(), "a.csv:1: this is no CSV"),
        (".csv", 'a,b\nc,d"e\n', Columns(), "a.csv:2: this is no CSV"),
        (".tsv", "a\tb\tc\n", Columns(), "which of the 3 columns"),
        (".tsv", "a\tb\n", Columns("x", "y"), "no column 'x'"),
        (".tsv", "a\tb\n", Columns("4", ""), "columns 1 to 2"),
        (".tsv", "a\tb\n", Columns("", "b"), "the source is not said"),
        (".srt", "1\n00:00:01,000 --> 00:00:02,000\nHi\n\nno cue\n", Columns(), "a.srt:5: a cue begins"),
        (".html", '<meta charset="utf-8">\n\ufeff', Columns(), ""),
    ],
)
def test_what_is_wrong_is_told(ending: str, text: str, columns: Columns, what: str) -> None:
    if not what:
        opened(ending, text.encode(), columns)
        return
    with pytest.raises(DataError) as told:
        opened(ending, text.encode(), columns)
    assert what in str(told.value)


def test_subtitles() -> None:
    text = (
        "\ufeff1\r\n00:00:01,000 --> 00:00:02,500\r\n<i>Hello there</i> my\r\ngood friend\r\n\r\n"
        "2\r\n00:00:03,000 --> 00:00:04,500 X1:0\r\n- who goes\r\n- me alone\r\n\r\n"
        "3\r\n00:00:05,000 --> 00:00:06,000\r\n"
    )
    wanted = text.replace("<i>Hello there</i> my\r\ngood friend", "<i>HELLO THERE</i> MY\r\nGOOD FRIEND").replace(
        "- who goes\r\n- me alone", "- WHO GOES\r\n- ME ALONE"
    )
    outcome = filled(".srt", text.encode())
    assert outcome.data.decode() == wanted
    assert [report.why for report in outcome.reports] == ["the cue has no text"]


def test_paragraphs() -> None:
    text = "First one. Second one\n  goes on here and there.\n\n\n\tnext part\n---\n\nlast"
    outcome = fill(Paragraphs(text.encode(), "a", Languages(), Columns()), by(str.upper), language="en")
    assert outcome.data.decode() == "FIRST ONE. SECOND ONE\n  GOES ON HERE AND THERE.\n\n\n\tNEXT PART\n---\n\nLAST"
    assert outcome.ways == {"whole": 4}


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
    said = filled(".md", MARKDOWN.encode(), str.upper).data.decode()
    for kept in (
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
        assert kept in said
    assert said.count("\n") == MARKDOWN.count("\n")


def test_a_translation_that_would_be_other_markdown_is_escaped_or_left() -> None:
    assert filled(".md", b"one thing\n", lambda _: "- ein Ding").data == b"\\- ein Ding\n"
    assert filled(".md", b"one thing\n", lambda _: "# ein").data == b"\\# ein\n"
    assert filled(".md", b"| a b |\n|---|\n| c d |\n", lambda text: text + " | x").data.count(b"\\| x") == 2
    outcome = filled(".md", b"one thing\n", lambda _: "ein *Ding*")
    assert (outcome.data, outcome.left) == (b"one thing\n", 1)


@pytest.mark.parametrize("page", ["README.md", "docs/search.md", "docs/map.md", "docs/papers/modern.md"])
def test_own_pages_keep_their_structure(page: str) -> None:
    data = (ROOT / page).read_bytes()
    outcome = filled(".md", data)
    assert outcome.left <= 1
    before, after = (
        [(one.type, one.level, one.markup) for one in MarkdownIt().enable("table").parse(text.decode())]
        for text in (data, outcome.data)
    )
    assert before == after


def test_html() -> None:
    text = (
        "<!DOCTYPE html><html><head><title>The page &amp; more</title><script>a = '<p>no</p>';</script></head>\n"
        '<body class="x"><p>Say <b>dear <i>world</i></b>, run <code>ls -l</code> now<br>and go\n'
        "<ul><li>one item<li>two &lt;items</ul><p translate=no>Brand</p><pre>kept text</pre>"
        "<!-- note --> loose <img src=a>"
    )
    said = filled(".html", text.encode(), lambda one: one.replace("ls -l", "\0").upper().replace("\0", "ls -l"))
    wanted = (
        text.replace("The page &amp; more", "THE PAGE &amp; MORE")
        .replace("Say <b>dear <i>world</i></b>, run", "SAY <b>DEAR <i>WORLD</i></b>, RUN")
        .replace("now<br>and go", "NOW<br>AND GO")
        .replace("<li>one item<li>two &lt;items", "<li>ONE ITEM<li>TWO &lt;ITEMS")
        .replace("loose", "LOOSE")
    )
    assert said.data.decode() == wanted
    assert said.reports == []


def test_html_keeps_its_encoding() -> None:
    data = '<meta charset="iso-8859-1"><p>größer'.encode("latin-1")
    assert filled(".html", data, lambda _: "größte €").data == data.replace(b"er", b"te &#8364;")


SLOW = ["[](", "[", "](", "[a](b) ", "![a](", "*a _b ", "`a``b ", "<b>a ", "[*a](b) ", "![[a](b)](c) "]


@pytest.mark.parametrize("unit", SLOW)
def test_the_work_for_markup_in_a_paragraph_grows_as_its_length(unit: str) -> None:
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
            inline(text, Labels())
        finally:
            sys.settrace(before)
        return steps

    assert work(8000) < 2.2 * work(4000)


def test_emphasis_within_an_image_is_its_own() -> None:
    marks = inline("*one ![two *x [a](b)](c) three* four", frozenset()).marks
    assert [(mark.markup, mark.opens) for mark in marks] == [("*", True), ("![two *x [a](b)](c)", False), ("*", False)]
    assert marks[0].pair == marks[2].pair != marks[1].pair == 0
