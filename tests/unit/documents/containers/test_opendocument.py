"""OpenDocument files: spans, white space, notes, cells, and the language of styles."""

from __future__ import annotations

import pytest
from tests.unit.documents.containers.archives import changed_members, content, fill, open_document, pack, texts, unpack

from regard.errors import DataError

BOLD = (
    '<style:style style:name="B" style:family="text"><style:text-properties fo:font-weight="bold"/></style:style>'
    '<style:style style:name="B2" style:family="text">'
    '<style:text-properties fo:font-weight="bold" officeooo:rsid="0012"/></style:style>'
    '<style:style style:name="T" style:family="text"><style:text-properties officeooo:rsid="0013"/></style:style>'
)


def translated(paragraph: str) -> str:
    """Return the content of a translated paragraph."""
    data = open_document(f"<text:p>{paragraph}</text:p>", styles=BOLD)
    return content(fill(".odt", data).data).removeprefix("<text:p>").removesuffix("</text:p>")


def span(text: str, style: str = "B") -> str:
    return f'<text:span text:style-name="{style}">{text}</text:span>'


def test_spans_with_equal_styles_are_one_text() -> None:
    assert translated(f"one {span('t', 'T')}w{span('o', 'T')} end") == "ONE TWO END"
    assert translated(f"one {span('two')}{span(' or', 'B2')} three") == f"ONE {span('TWO OR')} THREE"
    link = '<text:a xlink:href="u" xmlns:xlink="x">'
    assert translated(f"one {link}{span('two')}</text:a> three") == f"ONE {link}{span('TWO')}</text:a> THREE"
    assert translated(f"{span('one')} &amp; two or three") == f"{span('ONE')} &amp; TWO OR THREE"


def test_white_space() -> None:
    paragraph = "<text:p>\n  one\n  two<text:s/> x<text:tab/>three<text:line-break/>Four</text:p>"
    assert texts(".odt", open_document(paragraph)) == ["one two  x\tthree\nFour"]
    assert translated("one<text:tab/>two<text:line-break/>Three") == "ONE<text:tab/>TWO<text:line-break/>THREE"
    assert translated('<text:s text:c="4"/>one') == '<text:s text:c="4"/>ONE'


def test_notes_frames_and_comments_are_translated_inside_their_paragraph() -> None:
    for before in (
        '<text:note text:note-class="footnote"><text:note-citation>1</text:note-citation><text:note-body>'
        "<text:p>{}</text:p></text:note-body></text:note>",
        "<office:annotation><dc:creator>x</dc:creator><text:p>{}</text:p></office:annotation>",
        "<draw:frame><draw:text-box><text:p>{}</text:p></draw:text-box></draw:frame>",
        "<draw:frame><draw:image/><svg:desc>{}</svg:desc></draw:frame>",
    ):
        new = translated(f"one{before.format('inner text')} two")
        assert new == f"ONE{before.format('INNER TEXT')} TWO"
    assert translated('one<text:page-number text:select-page="current">1</text:page-number> two') == (
        'ONE<text:page-number text:select-page="current">1</text:page-number> TWO'
    )


def test_deleted_text_numbers_and_formulas_stay() -> None:
    cell = '<table:table-cell office:value-type="{}"{}><text:p>{}</text:p></table:table-cell>'
    body = (
        "<text:tracked-changes><text:changed-region><text:deletion><text:p>gone</text:p></text:deletion>"
        "</text:changed-region></text:tracked-changes><table:table><table:table-row>"
        + cell.format("string", "", "a cell")
        + cell.format("date", ' office:date-value="2026-05-03"', "May the third")
        + cell.format("string", ' table:formula="of:=[.A1]"', "a formula")
        + '<table:table-cell office:value-type="float" office:value="1"><office:annotation><text:p>a comment</text:p>'
        "</office:annotation><text:p>one</text:p></table:table-cell></table:table-row></table:table>"
    )
    assert texts(".ods", open_document(body, "spreadsheet")) == ["a cell", "a comment"]


def test_languages_and_metadata() -> None:
    style = (
        '<style:default-style style:family="paragraph"><style:text-properties fo:language="{}" fo:country="{}"/>'
        "</style:default-style>"
    )
    space = "urn:oasis:names:tc:opendocument:xmlns"
    namespaces = (
        f'xmlns:style="{space}:style:1.0" xmlns:fo="{space}:xsl-fo-compatible:1.0" xmlns:office="{space}:office:1.0"'
    )
    members = {
        "styles.xml": f"<office:document-styles {namespaces}>{style.format('en', 'US')}</office:document-styles>",
        "meta.xml": f'<office:document-meta {namespaces} xmlns:dc="http://purl.org/dc/elements/1.1/">'
        "<dc:title>the title</dc:title><dc:language>en-US</dc:language></office:document-meta>",
        "thumb.png": "x",
    }
    data = open_document("<text:h>one</text:h>", **members)
    result = fill(".odt", data)
    new = unpack(result.data)
    assert style.format("de", "DE").encode() in new["styles.xml"]
    assert b"<dc:title>THE TITLE</dc:title><dc:language>de-DE</dc:language>" in new["meta.xml"]
    assert changed_members(data, result.data) == {"content.xml", "styles.xml", "meta.xml"}
    assert result.data[30:38] == b"mimetype"
    assert result.data[8:10] == b"\0\0"  # stored


@pytest.mark.parametrize(("suffix", "kind"), [(".odt", "text"), (".odp", "presentation"), (".ods", "spreadsheet")])
def test_every_kind(suffix: str, kind: str) -> None:
    result = fill(suffix, open_document("<text:p>one</text:p>", kind))
    assert content(result.data) == "<text:p>ONE</text:p>"


def test_a_manifest_without_namespaces_as_old_versions_wrote_it() -> None:
    manifest = (
        '<?xml version="1.0"?>\n<!DOCTYPE manifest:manifest PUBLIC "-//OpenOffice.org//DTD Manifest 1.0//EN" '
        '"Manifest.dtd">\n<manifest:manifest><manifest:file-entry manifest:full-path="Object 1/content.xml"/>{}'
        "</manifest:manifest>"
    )
    members = unpack(open_document("<text:p>one</text:p>"))
    members |= {"Object 1/content.xml": members["content.xml"], "META-INF/manifest.xml": manifest.format("").encode()}
    assert texts(".odt", pack(members)) == ["one", "one"]
    entry = '<manifest:file-entry manifest:full-path="content.xml"><manifest:encryption-data/></manifest:file-entry>'
    members["META-INF/manifest.xml"] = manifest.format(entry).encode()
    with pytest.raises(DataError, match="it is encrypted"):
        texts(".odt", pack(members))


def test_headers_and_footers_of_sheets() -> None:
    space = "urn:oasis:names:tc:opendocument:xmlns"
    names = " ".join(f'xmlns:{name}="{space}:{name}:1.0"' for name in ("office", "style", "text"))
    styles = (
        f"<office:document-styles {names}><office:master-styles><style:master-page><style:header><style:region-left>"
        "<text:p>{}</text:p></style:region-left><style:region-center><text:p><text:sheet-name>???</text:sheet-name>"
        "</text:p></style:region-center></style:header><style:footer><text:p>{} <text:page-number>1</text:page-number>"
        " {} <text:page-count>9</text:page-count></text:p></style:footer></style:master-page></office:master-styles>"
        "</office:document-styles>"
    )
    data = open_document("", "spreadsheet", **{"styles.xml": styles.format("my title", "Page", "of")})
    assert unpack(fill(".ods", data).data)["styles.xml"].decode() == styles.format("MY TITLE", "PAGE", "OF")
