"""WebVTT and notebooks: what is text is translated, and other readers see the same structure."""

from __future__ import annotations

import json
from typing import Any

import nbformat
import pytest
import webvtt
from tests.unit.documents.scripted import fill, open_bytes, uppercase

VTT = """WEBVTT - some title
Kind: captions

STYLE
::cue { color: red }

NOTE a comment
goes on

intro
00:01.000 --> 00:02.500 align:start
<v Roger Bingham>We are <i>in</i> New York &amp; more

00:00:03.000 --> 00:00:04.000
- who goes there
- just <c.yellow>me</c> alone

00:05.000 --> 00:06.000
<00:05.100>one <00:05.500>two three

00:07.000 --> 00:08.000
"""


@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_webvtt(line_end: str) -> None:
    result = fill(".vtt", VTT.replace("\n", line_end).encode())
    expected = VTT
    for text in ("We are", ">in<", "New York", "more", "who goes there", "just", ">me<", "alone", ">one", ">two three"):
        expected = expected.replace(text, text.upper())
    assert result.data.decode() == expected.replace("\n", line_end)
    assert [report.reason for report in result.reports] == ["the cue has no text"]
    reader: Any = webvtt
    before, after = reader.from_string(VTT), reader.from_string(result.data.decode())
    assert [(cue.start, cue.end, cue.identifier) for cue in before] == [
        (cue.start, cue.end, cue.identifier) for cue in after
    ]
    assert [uppercase(cue.text) for cue in before] == [" ".join(cue.text.split()) for cue in after]
    assert b"--&gt;" in fill(".vtt", VTT.encode(), lambda text: text + " --> x").data


NBFORMAT: Any = nbformat


def notebook() -> Any:
    new = NBFORMAT.v4
    return new.new_notebook(
        cells=[
            new.new_markdown_cell("# The title\n\nSome *text* here goes\non with `code`\n\n- item one"),
            new.new_code_cell("# a comment\nprint('some text')", outputs=[new.new_output("stream", text="some text")]),
            new.new_markdown_cell("single line", metadata={"note": "some text"}),
            new.new_raw_cell("some text"),
        ]
    )


def test_a_notebook() -> None:
    source = NBFORMAT.writes(notebook())
    result = fill(".ipynb", source.encode())
    assert (result.entries, result.filled) == (4, 4)
    written = NBFORMAT.reads(result.data.decode(), as_version=4)
    NBFORMAT.validate(written)
    expected = notebook()
    for old, new in zip(expected.cells, written.cells, strict=True):
        old["id"] = new["id"]
    expected.cells[0]["source"] = "# THE TITLE\n\nSOME *TEXT* HERE\nGOES ON WITH `code`\n\n- ITEM ONE"
    expected.cells[2]["source"] = "SINGLE LINE"
    assert written == expected
    assert result.data.decode().count("\n") == source.count("\n")


def test_the_lines_of_a_cell_may_become_fewer() -> None:
    cell = '{"cells": [{"source": ["one two\\n", "six\\n", "\\n", "end"], "cell_type": "markdown", "x": "\\u00fc"}]}'
    result = fill(".ipynb", cell.encode(), lambda text: "Ü")
    assert json.loads(result.data)["cells"][0]["source"] == ["Ü\n", "\n", "Ü"]
    assert b"\\u00dc" in result.data and result.data.isascii()
    single = b'{"cells": [{"cell_type": "markdown", "source": "one\\n\\ntwo"}, {"cell_type": "code", "source": []}]}'
    assert fill(".ipynb", single).data == single.replace(b"one", b"ONE").replace(b"two", b"TWO")
    assert fill(".ipynb", b'{"cells": [{"cell_type": "markdown", "source": "\\ud800 x"}]}').untranslated == 1


def test_segments_of_a_notebook_belong_to_their_cells() -> None:
    cells = ['"source": "2026"', '"source": [\n"one\\n",\n"\\n",\n"two"]', '"source": ""', '"source": "*six*"']
    data = '{"cells": [' + ",\n".join(f'{{"cell_type": "markdown", {cell}}}' for cell in cells) + "]}"
    document = open_bytes(".ipynb", data.encode())
    assert [(segment.content.text, segment.line) for segment in document.segments] == [
        ("one", 3),
        ("two", 5),
        ("six", 7),
    ]
    answers = [document.check_translation(index, document.segments[2].content) for index in range(3)]
    assert answers == ["its markup would change", "its markup would change", ""]
