"""Translated containers are opened by LibreOffice and EPUBCheck, which must see the same document in other words."""

from __future__ import annotations

import io
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from xml.etree import ElementTree

import pptx
import pytest
import xlsxwriter
from tests.unit.documents.containers.archives import epub, fill, saved

SUFFIXES = {
    ".odt": ".fodt",
    ".docx": ".fodt",
    ".odp": ".fodp",
    ".pptx": ".fodp",
    ".ods": ".fods",
    ".xlsx": ".fods",
}
"""The format in XML as which LibreOffice writes each document."""

TEXT = """<?xml version="1.0" encoding="UTF-8"?>
<office:document office:version="1.3" office:mimetype="application/vnd.oasis.opendocument.text"
 xmlns:office="urn:oasis:names:tc:opendocument:xmlns:office:1.0"
 xmlns:style="urn:oasis:names:tc:opendocument:xmlns:style:1.0"
 xmlns:text="urn:oasis:names:tc:opendocument:xmlns:text:1.0"
 xmlns:table="urn:oasis:names:tc:opendocument:xmlns:table:1.0"
 xmlns:draw="urn:oasis:names:tc:opendocument:xmlns:drawing:1.0"
 xmlns:fo="urn:oasis:names:tc:opendocument:xmlns:xsl-fo-compatible:1.0"
 xmlns:svg="urn:oasis:names:tc:opendocument:xmlns:svg-compatible:1.0"
 xmlns:xlink="http://www.w3.org/1999/xlink" xmlns:dc="http://purl.org/dc/elements/1.1/">
<office:styles><style:default-style style:family="paragraph">
<style:text-properties fo:language="en" fo:country="US"/></style:default-style>
<style:style style:name="Heading_20_1" style:family="paragraph" style:default-outline-level="1"/></office:styles>
<office:automatic-styles>
<style:style style:name="B" style:family="text"><style:text-properties fo:font-weight="bold"/></style:style>
<style:style style:name="F" style:family="graphic">
<style:graphic-properties text:anchor-type="paragraph"/></style:style>
</office:automatic-styles>
<office:body><office:text>
<text:tracked-changes><text:changed-region text:id="c1"><text:deletion><office:change-info><dc:creator>x</dc:creator>
<dc:date>2026-01-01T00:00:00</dc:date></office:change-info><text:p>angry </text:p></text:deletion></text:changed-region>
</text:tracked-changes>
<text:h text:style-name="Heading_20_1" text:outline-level="1">A day in the city</text:h>
<text:p>A man <text:span text:style-name="B">plays the guitar</text:span> on the street<text:note
 text:note-class="footnote"><text:note-citation>1</text:note-citation><text:note-body><text:p>He has a <text:span
 text:style-name="B">hat</text:span></text:p></text:note-body></text:note> near <text:a
 xlink:href="https://example.org/">a large building</text:a></text:p>
<text:p>An <text:change text:change-id="c1"/>old man<text:line-break/>Two dogs<text:tab/>are here</text:p>
<text:p><draw:frame draw:style-name="F" svg:width="7cm" text:anchor-type="paragraph"><draw:text-box
 fo:min-height="1cm"><text:p>A woman on a bench</text:p></draw:text-box></draw:frame>People in the park</text:p>
<table:table><table:table-column table:number-columns-repeated="2"/><table:table-row>
<table:table-cell office:value-type="string"><text:p>A red car</text:p></table:table-cell>
<table:table-cell office:value-type="string"><text:p>2026</text:p></table:table-cell></table:table-row></table:table>
<text:p>A man<office:annotation><dc:creator>x</dc:creator><dc:date>2026-01-01T00:00:00</dc:date>
<text:p>Who is it</text:p></office:annotation> reads</text:p>
</office:text></office:body></office:document>
"""


def presentation() -> bytes:
    file = pptx.Presentation()
    slide = file.slides.add_slide(file.slide_layouts[1])
    slide.shapes.title.text = "Two dogs"
    paragraph = slide.placeholders[1].text_frame.paragraphs[0]
    for text, is_bold in (("A man in a ", False), ("red shirt", True), (" runs", False)):
        run = paragraph.add_run()
        run.text, run.font.bold = text, is_bold
    slide.notes_slide.notes_text_frame.text = "A note"
    return saved(file)


def workbook() -> bytes:
    file = io.BytesIO()
    book = xlsxwriter.Workbook(file)
    sheet = book.add_worksheet("Data")
    sheet.write_rich_string(0, 0, "A man in a ", book.add_format({"bold": True}), "red shirt")
    sheet.write_row(1, 0, ["price", 3.5])
    sheet.write_formula(2, 0, "=B2*2", None, 7)
    sheet.write_row(4, 0, ["name", "size"])
    sheet.add_table("A5:B6", {"columns": [{"header": "name"}, {"header": "size"}]})
    book.close()
    return file.getvalue()


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder for LibreOffice's settings, or skip the test if it is not installed."""
    if shutil.which("soffice") is None:
        pytest.skip("LibreOffice is not installed: soffice")
    return tmp_path_factory.mktemp("office")


def convert(paths: Sequence[Path], suffix: str, office: Path) -> list[str]:
    """Convert documents to XML by LibreOffice."""
    command = ["soffice", f"-env:UserInstallation={office.as_uri()}", "--headless", "--convert-to", suffix.lstrip(".")]
    folder = paths[0].parent / "converted"
    subprocess.run([*command, "--outdir", folder, *paths], check=True, capture_output=True, timeout=300)
    return [(folder / f"{path.stem}{suffix}").read_text(encoding="utf-8", errors="replace") for path in paths]


def comparable(xml: str) -> str:
    """Return the body of a document without letter case, languages, and the numbers of automatic styles."""
    body = xml.partition("<office:body>")[2].lower()
    body = re.sub(r'\s(?:\w+:)?(?:language|country|change-id|style-name|name|id)="[^"]*"', "", body)
    body = re.sub(r"<text:span>|</text:span>", "", re.sub(r"\s+", " ", body))
    return re.sub(r">\s+<", "><", body)


def texts_of(element: ElementTree.Element | None) -> Iterator[str]:
    """Yield the texts in an element, except names of authors, and numbers of pages."""
    assert element is not None
    name = element.tag.rpartition("}")[2]
    if name not in ("creator", "date", "page-number", "sender-initials"):
        yield element.text or ""
        for child in element:
            yield from texts_of(child)
            yield child.tail or ""


@pytest.mark.slow
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_libreoffice_opens_a_translated_document(suffix: str, office: Path, tmp_path: Path) -> None:
    source = tmp_path / f"a{suffix}"
    if suffix in (".pptx", ".xlsx"):
        source.write_bytes(presentation() if suffix == ".pptx" else workbook())
    else:
        names = {".odp": ("a.pptx", presentation), ".ods": ("a.xlsx", workbook)}
        name, content = names.get(suffix, ("a.fodt", TEXT.encode))
        (original := tmp_path / name).write_bytes(content())
        convert([original], suffix, office)
        source = tmp_path / "converted" / f"a{suffix}"
    result = fill(suffix, source.read_bytes(), str.upper)
    assert result.filled and not result.reports
    (target := source.parent / f"b{suffix}").write_bytes(result.data)
    before, after = convert([source, target], SUFFIXES[suffix], office)
    assert comparable(after) == comparable(before)
    text = "".join(texts_of(ElementTree.fromstring(after).find("{*}body")))
    assert not re.search("[a-z]", text.replace("angry", ""))  # deleted


@pytest.mark.slow
def test_epubcheck_accepts_a_translated_book(tmp_path: Path) -> None:
    program = shutil.which("epubcheck")
    if program is None or shutil.which("java") is None:
        pytest.skip("EPUBCheck is not installed: epubcheck and java")
    command = ["java", "-jar", program] if Path(program).read_bytes()[:2] == b"PK" else [program]
    (book := tmp_path / "a.epub").write_bytes(fill(".epub", epub()).data)
    check = subprocess.run([*command, str(book)], capture_output=True, text=True, timeout=300)
    assert check.returncode == 0, check.stdout + check.stderr
    assert "0 fatals / 0 errors" in check.stdout + check.stderr
