"""`regard translate` of files in formats that it does not know."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.end_to_end.helpers import Files, call, recipe, refused

from regard.corpus.formats.unsupported import NEWER_FORMATS

NAMES = [
    ["a.jsonl", "a.toml", "a.ass", "a.xhtml", "a.rst", "a.rtf"],
    ["a.doc", "a.xls", "a.ppt", "a.mo"],
]


def test_a_format_that_is_not_known_is_refused(run: Path, tmp_path: Path) -> None:
    for plain, names in zip((True, False), NAMES, strict=True):
        for name in (*names, names[0].upper()):
            (path := tmp_path / name).write_text("{\n12\n")
            failed = call("translate", run, "--input", path, "--output", tmp_path / "out")
            is_old = path.suffix.lower() in NEWER_FORMATS
            refused(failed, str(path), "not supported", "soffice --convert-to" if is_old else ".html")
            assert ("--plain" in failed.err) == (plain and not is_old)
            assert "iconv" not in failed.err
            assert not (tmp_path / "out").exists()
    expected = call("translate", run, stdin=b"{\n12\n")
    assert expected.code == 0
    assert call("translate", run, "--input", tmp_path / "a.jsonl", "--plain").out == expected.out


def test_plain_insists_on_lines(run: Path, tmp_path: Path) -> None:
    (page := tmp_path / "a.html").write_text("12\n<p>\n")
    expected = call("translate", run, stdin=b"12\n<p>\n").out
    assert call("translate", run, "--input", page, "--plain").out == expected
    refused(call("translate", run, "--input", page, "--plain", "--paragraphs"), "--plain, --paragraphs")
    (page := tmp_path / "a.txt").write_bytes(b"PK\x03\x04\n")
    refused(call("translate", run, "--input", page, "--plain"), "a ZIP archive")


@pytest.mark.parametrize("command", ["train", "inspect"])
def test_sides_that_are_no_lines_are_refused(tmp_path: Path, command: str) -> None:
    for name in ("a.json", "b.txt"):
        (tmp_path / name).write_text('{"a": "one"}\n' * 50)
    options = ("--source", tmp_path / "a.json", "--target", tmp_path / "b.txt")
    out = ("--out", tmp_path / "run") if command == "train" else ()
    refused(call(command, *options, *out), "a.json", "JSON", "--data")
    assert not (tmp_path / "run").exists()


def test_a_recipe_and_a_test_set_likewise(run: Path, files: Files, tmp_path: Path) -> None:
    recipe(files)
    (source := tmp_path / "a.vtt").write_text("12\n")
    failed = call("train", files / "tiny.toml", "--set", f'data.source="{source}"', "--out", tmp_path / "run")
    refused(failed, "a.vtt", "WebVTT")
    refused(call("evaluate", run, "--source", source, "--reference", source), "a.vtt", "WebVTT")
