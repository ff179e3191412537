"""`regard translate` with documents: what is filled and reported, and where it is written."""

from __future__ import annotations

import gzip
import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from tests.end_to_end.helpers import call
from tests.unit.documents.containers.archives import body, word
from tests.unit.documents.pdfs import write_pdf

from regard.cli import translate_document
from regard.cli.translator_options import TranslatorOptions
from regard.documents.translate import TranslatedText, TranslationRequest

CATALOGUE = b'msgid "Open %s"\nmsgstr ""\n\nmsgid "%s: %d"\nmsgstr ""\n\nmsgid "Close"\nmsgstr "Zu"\n'


@pytest.fixture
def catalogue(tmp_path: Path) -> Path:
    (path := tmp_path / "a.po").write_bytes(CATALOGUE)
    return path


@pytest.fixture
def uppercase_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replace the model by a function that returns the text in upper case."""

    def translate(_self: object, requests: Sequence[TranslationRequest]) -> list[TranslatedText]:
        return [
            TranslatedText(" ".join(w.upper() if w.isalpha() else w for w in request.text.split()))
            for request in requests
        ]

    monkeypatch.setattr(translate_document._SegmentTranslator, "__call__", translate)


def test_an_entry_with_broken_placeholders_stays_untranslated(run: Path, catalogue: Path, tmp_path: Path) -> None:
    out, report = tmp_path / "new" / "a.de.po", tmp_path / "report.jsonl"
    result = call(
        "translate", run, "--input", catalogue, "--output", out, "--report", report
    )  # the model knows only digits
    assert result.code == 0, result.err
    assert "3 entries: " in result.err
    lines = [json.loads(line) for line in report.read_text().splitlines()]
    untranslated = [line for line in lines if "why" in line]
    assert f"{2 - len(untranslated)} filled, {len(untranslated)} not translated, 1 already translated" in result.err
    expected = CATALOGUE.replace(b'msgid "%s: %d"\nmsgstr ""', b'#, fuzzy\nmsgid "%s: %d"\nmsgstr "%s: %d"')
    assert out.read_bytes() == expected
    assert [(line["file"], line["line"], line["source"]) for line in untranslated] == [(str(catalogue), 1, "Open %s")]
    assert f"not translated: {catalogue}:1: " in result.err


@pytest.mark.usefixtures("uppercase_model")
def test_output_to_a_file_to_standard_output_and_compressed(run: Path, catalogue: Path, tmp_path: Path) -> None:
    expected = CATALOGUE.replace(b'msgid "Open %s"\nmsgstr ""', b'#, fuzzy\nmsgid "Open %s"\nmsgstr "OPEN %s"').replace(
        b'msgid "%s: %d"\nmsgstr ""', b'#, fuzzy\nmsgid "%s: %d"\nmsgstr "%s: %d"'
    )
    result = call("translate", run, "--input", catalogue)
    assert (result.code, result.out) == (0, expected)
    (packed := tmp_path / "b.po.gz").write_bytes(gzip.compress(CATALOGUE))
    result = call("translate", run, "--input", packed, "--output", tmp_path / "c.po.gz")
    assert result.code == 0
    assert gzip.decompress((tmp_path / "c.po.gz").read_bytes()) == expected
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.po", "b.po.gz", "c.po.gz"]


@pytest.mark.usefixtures("uppercase_model")
def test_columns_and_paragraphs(run: Path, tmp_path: Path) -> None:
    (table := tmp_path / "a.csv").write_text("id,text\n1,one thing\n")
    result = call("translate", run, "--input", table, "--source-column", "text", "--target-column", "de")
    assert result.out == b"id,text,de\n1,one thing,ONE THING\n"
    (text := tmp_path / "a.txt").write_text("One. And\ntwo.\n\nthree\n")
    assert call("translate", run, "--input", text, "--paragraphs").out == b"One. AND\ntwo.\n\nTHREE\n"


@pytest.mark.usefixtures("uppercase_model")
def test_keys_are_selected_and_a_pdf_becomes_markdown(run: Path, tmp_path: Path) -> None:
    (strings := tmp_path / "a.json").write_text('{"a": {"t": "one two", "d": "six"}, "Open it": ""}')
    result = call("translate", run, "--input", strings, "--keys", "*.t")
    assert result.out == b'{"a": {"t": "ONE TWO", "d": "six"}, "Open it": ""}'
    result = call("translate", run, "--input", strings, "--source-keys", "--keys", "!a.*")
    assert result.out == b'{"a": {"t": "one two", "d": "six"}, "Open it": "OPEN IT"}'
    (pdf := tmp_path / "a.pdf").write_bytes(write_pdf([[(60, 700, 11, "F1", "one two")]]))
    result = call("translate", run, "--input", pdf, "--output", tmp_path / "b.pdf")
    assert (result.code, "name the output b.md" in result.err) == (1, True)
    assert call("translate", run, "--input", pdf).out == b"ONE TWO\n"
    (arabic := tmp_path / "a.arb").write_text("12\n")  # a text in Standard Arabic, not ARB
    assert call("translate", run, "--input", arabic).out.count(b"\n") == 1
    refused = call("translate", run, "--input", arabic, "--keys", "x")
    assert (refused.code, "columns, keys and languages belong to documents" in refused.err) == (1, True)


def test_lines_stay_lines(run: Path, tmp_path: Path) -> None:
    (text := tmp_path / "a.txt").write_text("12\n\n34\n")
    assert call("translate", run, "--input", text).out.count(b"\n") == 3
    result = call("translate", run, "--input", text, "--source-column", "1")
    assert result.code == 1
    assert "the input is lines of text" in result.err


@pytest.mark.parametrize(
    "options",
    [["--top-beams", "2"], ["--scores"], ["--workers", "2"], ["--constraints", "c"], ["--alignments", "d"]],
    ids=lambda options: options[0],
)
def test_options_for_lines_are_refused(run: Path, catalogue: Path, options: list[str]) -> None:
    result = call("translate", run, "--input", catalogue, *options)
    assert result.code == 1
    assert options[0] in result.err and "remove the option" in result.err


def test_an_error_leaves_the_output_file_unchanged(run: Path, catalogue: Path, tmp_path: Path) -> None:
    catalogue.write_bytes(CATALOGUE + b"nonsense\n")
    (out := tmp_path / "out.po").write_text("before")
    result = call("translate", run, "--input", catalogue, "--output", out)
    assert (result.code, out.read_text()) == (1, "before")
    assert f"{catalogue}:9: this is not a line of a PO file" in result.err
    result = call("translate", run, "--input", tmp_path / "no.po", "--output", out)
    assert "there is no such file" in result.err
    result = call("translate", run, "--input", catalogue, "--output", catalogue)
    assert "would be overwritten" in result.err
    catalogue.write_bytes(CATALOGUE)
    result = call("translate", run, "--input", catalogue, "--output", catalogue / "x.po")
    assert (result.code, "cannot be written" in result.err) == (1, True)
    assert "--paragraphs" in call("translate", run, "--paragraphs", stdin=b"a").err


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("a.docx", b"PK\x03\x04 and no more", "damaged or incomplete"),
        ("a.json", b'{"a": "b"', "a.json:1: "),
        ("a.po", b"nonsense\n", "a.po:1: "),
        ("a.xlf", None, "there is no such file"),
    ],
)
def test_a_broken_document_is_reported_before_the_model_is_loaded(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, data: bytes | None, message: str
) -> None:
    monkeypatch.setattr(TranslatorOptions, "loader", lambda _: pytest.fail("the model is loaded"))
    if data is not None:
        (tmp_path / name).write_bytes(data)
    result = call("translate", run, "--input", tmp_path / name, "--output", tmp_path / f"new-{name}")
    assert (result.code, message in result.err) == (1, True), result.err
    assert not (tmp_path / f"new-{name}").exists()


@pytest.mark.usefixtures("uppercase_model")
def test_a_container(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paragraphs = ["one two", "1"]
    data = word("".join(f"<w:p><w:r><w:t>{text}</w:t></w:r></w:p>" for text in paragraphs))
    (path := tmp_path / "a.docx").write_bytes(data)
    out, report = tmp_path / "new.docx", tmp_path / "report.jsonl"
    result = call("translate", run, "--input", path, "--output", out, "--report", report)
    assert (result.code, result.err.splitlines()[0]) == (
        0,
        "1 entries: 1 filled, 0 not translated, 0 already translated",
    )
    assert ">ONE TWO<" in body(out.read_bytes())
    assert report.read_text() == ""
    assert call("translate", run, "--input", path).out == out.read_bytes()
    monkeypatch.setattr(
        translate_document._SegmentTranslator, "__call__", lambda _, requests: [TranslatedText("") for _ in requests]
    )
    result = call("translate", run, "--input", path, "--output", out, "--report", report)
    assert f"not translated: {path} (word/document.xml, paragraph 1): the translation is empty" in result.err
    (line,) = map(json.loads, report.read_text().splitlines())
    assert (line["part"], line["paragraph"], line["source"]) == ("word/document.xml", 1, "one two")
    assert out.read_bytes() == data
    path.write_bytes(data[:-100])
    result = call("translate", run, "--input", path, "--output", out)
    assert (result.code, f"{path}: the ZIP archive is damaged" in result.err) == (1, True)
    assert out.read_bytes() == data
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a.docx", "new.docx", "report.jsonl"]
