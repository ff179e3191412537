"""PDF: paragraphs are joined, hyphenation is undone, and files without text or with traps are refused."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter

import pytest
from markdown_it import MarkdownIt
from tests.unit.documents.pdfs import Text, write_pdf
from tests.unit.documents.scripted import fill

from regard.documents import pdf
from regard.documents.pdf_lines import Line, extract_lines
from regard.documents.pdf_markdown import join_lines, make_line, write_markdown
from regard.errors import ConfigError, DataError

PAGES: list[list[Text]] = [
    [
        (60, 780, 9, "F1", "A manual"), (500, 780, 9, "F1", "1"),
        (60, 740, 20, "F1", "1. The title"),
        (60, 700, 11, "F1", "The first paragraph of this text goes"),
        (60, 687, 11, "F1", "on here, and has a divided trans-"),
        (60, 674, 11, "F1", "lation and a well-"),
        (60, 661, 11, "F1", "known word."),
        (60, 635, 11, "F1", "A well-known second paragraph, with a *star*, a_b_c"),
        (60, 622, 11, "F1", "and <tags>."),
        (60, 596, 11, "F1", "• first item that is long"),
        (70, 583, 11, "F1", "and goes on"),
        (60, 570, 11, "F1", "• second item"),
        (60, 544, 10, "F2", "x = 1"), (72, 532, 10, "F2", "y = `2`"),
        (60, 505, 11, "F1", "The last paragraph of the page goes"),
    ],
    [
        (60, 780, 9, "F1", "A manual"), (500, 780, 9, "F1", "2"),
        (60, 740, 11, "F1", "on here."),
        (60, 727, 11, "F1", "It ends."),
        (75, 714, 11, "F1", "An indented paragraph"),
        (60, 701, 11, "F1", "# goes on."),
    ],
    [(60, 780, 9, "F1", "A manual"), (500, 780, 9, "F1", "3"), (60, 740, 11, "F1", "1. Not a heading")],
]  # fmt: skip
MARKDOWN = """# 1. The title

The first paragraph of this text goes on here, and has a divided translation and a well-known word.

A well-known second paragraph, with a \\*star\\*, a\\_b\\_c and \\<tags>.

- first item that is long and goes on

- second item

```
x = 1
  y = `2`
```

The last paragraph of the page goes on here. It ends.

An indented paragraph # goes on.

1. Not a heading
"""


def test_the_text_becomes_markdown(monkeypatch: pytest.MonkeyPatch) -> None:
    data = write_pdf(PAGES)
    monkeypatch.setattr(pdf, "_extract", lambda data, name: extract_lines(data))
    result = fill(".pdf", data, str)
    assert result.data.decode() == MARKDOWN
    result = fill(".pdf", data, lambda text: text.upper())
    assert "# 1. THE TITLE\n" in result.data.decode() and "x = 1\n" in result.data.decode()
    assert result.untranslated == 0


def test_a_process_extracts_the_text_and_pages_are_the_lines_of_reports() -> None:
    result = fill(".pdf", write_pdf(PAGES), lambda text: "" if "indented" in text else text)
    assert [(report.line, report.reason) for report in result.reports] == [(2, "the translation is empty")]


def test_markdown_is_read_as_text() -> None:
    texts = [
        "> a",
        "+ b",
        "1) c",
        "#d",
        "- - -",
        "a &amp; `b` [c](d) **e**",
        "<http://x.y> https://z.z",
        r"\* f",
        "~~~",
    ]
    for text in texts:
        markdown, _ = write_markdown([[make_line(text, 0.0, 100.0, 10.0, "Times"), *fillers()]])
        first = markdown.split("\n\n")[0]
        tokens = [child for token in MarkdownIt("commonmark").parse(first) for child in token.children or ()]
        shown = "".join(token.content for token in tokens if token.type in ("text", "text_special"))
        listed = {"+ b": "+ b", "1) c": "c", "- - -": "- -"}
        assert shown == listed.get(text, text.replace("<http://x.y>", "http://x.y")), first


def fillers() -> list:  # type: ignore[type-arg]
    return [make_line(f"Some more text {index}.", 0.0, 60.0 - 12 * index, 10.0, "Times") for index in range(3)]


def test_hyphens() -> None:
    words = Counter(["well-known", "translation"])
    assert join_lines(["a trans-", "lation"], words) == "a translation"
    assert join_lines(["a well-", "known"], words) == "a well-known"
    assert join_lines(["unknown com-", "pound and Anglo-", "American 3-", "fold"], words) == (
        "unknown compound and Anglo- American 3- fold"
    )
    assert join_lines(["soft\u00ad", "ware"], words) == "software"
    assert make_line("ﬁne\x00", 0, 0, 9, "").text == "fine"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"no pdf", "the file is not a PDF"),
        (b"%PDF-1.4\n", "it is not a valid PDF ("),
        (write_pdf(PAGES)[:-300], "it is not a valid PDF ("),
        (write_pdf([[]]), "it has no text: its pages are pictures"),
        (write_pdf([[(0, 0, 9, "F1", "12 34")]]), "it has no text"),
    ],
)
def test_what_is_not_text_is_refused(data: bytes, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def extract(data: bytes, name: str) -> list[list[Line]]:
        try:
            return extract_lines(data)
        except ValueError as error:
            raise DataError(str(error), where=name, fix="x") from None

    monkeypatch.setattr(pdf, "_extract", extract)
    with pytest.raises(DataError) as caught:
        fill(".pdf", data)
    assert message in str(caught.value) and str(caught.value).startswith("a.pdf")


def test_a_decompression_bomb_is_refused() -> None:
    with pytest.raises(DataError) as caught:
        fill(".pdf", write_pdf([[]], content=bytes(76_000_000)))
    assert "page 1 cannot be read" in str(caught.value) or "within" in str(caught.value)


def test_a_process_that_fails_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(DataError, match="cannot be extracted within"):
        fill(".pdf", write_pdf(PAGES))
    monkeypatch.undo()
    monkeypatch.setattr(subprocess, "run", lambda *args, **options: _Result(b'{"missing": "pypdf"}'))
    with pytest.raises(ConfigError, match="pypdf"):
        fill(".pdf", write_pdf(PAGES))
    monkeypatch.setattr(subprocess, "run", lambda *args, **options: _Result(b'{"error": "it is encrypted"}'))
    with pytest.raises(DataError, match="it is encrypted"):
        fill(".pdf", write_pdf(PAGES))


class _Result:
    def __init__(self, stdout: bytes) -> None:
        self.stdout = stdout
