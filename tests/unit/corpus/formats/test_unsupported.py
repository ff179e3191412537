"""Files of other formats are rejected with the name of the format."""

from __future__ import annotations

import gzip
import io
import zipfile
from pathlib import Path

import pytest

from regard.corpus.formats.plain import read_lines
from regard.corpus.formats.sides import Sides
from regard.corpus.formats.unsupported import BINARY, MARKUP, format_by_name
from regard.corpus.paths import CorpusPaths
from regard.documents.document import Columns, LanguagePair
from regard.documents.open import open_document
from regard.errors import DataError


def archive(name: str = "word/document.xml") -> bytes:
    with io.BytesIO() as data:
        with zipfile.ZipFile(data, "w") as file:
            file.writestr(name, "<w:document/>")
        return data.getvalue()


CONTENTS = [
    (archive("a.txt"), "a ZIP archive"),
    (archive(), "a Word document what to do: rename it to end in .docx, or export its text as UTF-8"),
    (archive("[Content_Types].xml"), "an Office document (.docx, .pptx or .xlsx)"),
    (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n", "a PDF"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(500), "an OLE document"),
    (gzip.compress(b"one\n"), "compressed by gzip"),
    ("one\ntwo\n".encode("utf-16"), "UTF-16"),
    ("\ufeffone\ntwo\n".encode("utf-16-be"), "UTF-16"),
    ("one\ntwo\n".encode("utf-32"), "UTF-32"),
]


@pytest.mark.parametrize(("data", "description"), CONTENTS, ids=[description for _, description in CONTENTS])
def test_a_renamed_file_is_recognised_by_its_first_bytes(tmp_path: Path, data: bytes, description: str) -> None:
    for name in ("a.txt", "a.md", "a.srt", "a.html", "a.tsv"):
        (path := tmp_path / name).write_bytes(data)
        with pytest.raises(DataError) as caught:
            if name == "a.txt":
                list(read_lines(path))
            else:
                open_document(path, LanguagePair(), Columns("1", "2"))
        assert description in " ".join(str(caught.value).split()), name
        assert ("iconv" in str(caught.value)) == description.startswith("UTF"), name


def test_text_that_begins_like_another_format_is_text(tmp_path: Path) -> None:
    for text in ("PK\n", "PAR1 is a name\n", "BZh\n", "%PDF\n", "\ufeffone\n", "яю\n"):
        (path := tmp_path / "a").write_text(text, encoding="utf-8")
        assert list(read_lines(path)) == [text.removeprefix("\ufeff").strip()]
    (path := tmp_path / "a.ru").write_bytes("яю\n".encode("cp1251"))  # the bytes of a byte order mark
    assert list(read_lines(path, "cp1251")) == ["яю"]


def test_latin_1_is_reported_with_its_line_and_its_text(tmp_path: Path) -> None:
    (path := tmp_path / "a").write_bytes("one\ndie Männer gehen\n".encode("latin-1"))
    with pytest.raises(DataError) as caught:
        list(read_lines(path))
    assert f"{path}:2: " in str(caught.value)
    assert "'die Männer gehen'" in str(caught.value)
    assert "iconv -f WINDOWS-1252 -t UTF-8" in str(caught.value)


@pytest.mark.parametrize("suffix", [*MARKUP, *BINARY])
def test_a_corpus_is_rejected_by_its_suffix(tmp_path: Path, suffix: str) -> None:
    (path := tmp_path / f"a{suffix}").write_text('{"a": 1}')
    (text_file := tmp_path / "b.txt").write_text("one\n")
    for source, target in ((path, text_file), (text_file, path)):
        with pytest.raises(DataError) as caught:
            CorpusPaths(source, target).open(Sides())
        assert (MARKUP | BINARY)[suffix] in str(caught.value)
        assert "both sides in one file" in str(caught.value)


def test_standard_arabic_has_the_suffix_of_a_format(tmp_path: Path) -> None:
    (path := tmp_path / "train.arb").write_text("كلب يجري\n")
    assert format_by_name(path) == ""
    path.write_text('{\n  "hello": "Hello"\n}\n')
    assert format_by_name(path) == "ARB"
