"""Containers that tests need: written by independent libraries, or member by member."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Callable, Mapping
from functools import cache

from tests.unit.documents.scripted import translator, uppercase

from regard.documents.document import Columns, LanguagePair
from regard.documents.open import OPENERS
from regard.documents.translate import DocumentResult, fill_document

PNG = (
    b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x01\x00\x00\x00\x01\x08\x02\x00\x00\x00\x90wS\xde"
    + struct.pack(">I", 12)
    + (data := b"IDAT" + zlib.compress(b"\x00\xff\x00\x00"))
    + struct.pack(">I", zlib.crc32(data))
    + b"\x00\x00\x00\x00IEND\xaeB`\x82"
)


def pack(members: Mapping[str, bytes | str], stored: tuple[str, ...] = ("mimetype",)) -> bytes:
    """Return a ZIP archive."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content, zipfile.ZIP_STORED if name in stored else zipfile.ZIP_DEFLATED)
    return file.getvalue()


def unpack(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.testzip() is None
        return {info.filename: archive.read(info) for info in archive.infolist()}


def saved(document: object) -> bytes:
    """Return what the `save` method of a library's document writes."""
    file = io.BytesIO()
    document.save(file)  # type: ignore[attr-defined]
    return file.getvalue()


def fill(suffix: str, data: bytes, function: Callable[[str], str] = uppercase) -> DocumentResult:
    document = OPENERS[suffix](data, f"a{suffix}", LanguagePair("en", "de"), Columns())
    return fill_document(document, translator(function), language="en")


def texts(suffix: str, data: bytes) -> list[str]:
    document = OPENERS[suffix](data, f"a{suffix}", LanguagePair("en", "de"), Columns())
    return [segment.content.text for segment in document.segments]


def changed_members(before: bytes, after: bytes) -> set[str]:
    """Return which members differ; the archives must have the same members in the same order."""
    old, new = unpack(before), unpack(after)
    assert list(old) == list(new)
    return {name for name, content in old.items() if content != new[name]}


WORD = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"


def word(body: str, **parts: str) -> bytes:
    """Return a Word document with this body; `parts` are more parts, each the content of its root element."""
    types = "application/vnd.openxmlformats-officedocument.wordprocessingml"
    names = {"document": f"<w:body>{body}</w:body>", **parts}
    overrides = "".join(
        f'<Override PartName="/word/{name}.xml" ContentType="{types}.{name}{".main" * (name == "document")}+xml"/>'
        for name in names
    )
    package = "http://schemas.openxmlformats.org/package/2006"
    office = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    main = f'<Relationship Id="r1" Type="{office}/officeDocument" Target="word/document.xml"/>'
    more = "".join(
        f'<Relationship Id="r{number}" Type="{office}/{name}" Target="{name}.xml"/>'
        for number, name in enumerate(parts, start=1)
    )
    namespaces = (
        f'xmlns:w="{WORD}" xmlns:r="{office}" xmlns:wp='
        '"http://schemas.openxmlformats.org/drawingml/2006/wordprocessingDrawing" '
        'xmlns:mc="http://schemas.openxmlformats.org/markup-compatibility/2006"'
    )
    members = {
        "[Content_Types].xml": f'<Types xmlns="{package}/content-types"><Default Extension="rels" '
        f'ContentType="application/vnd.openxmlformats-package.relationships+xml"/>{overrides}</Types>',
        "_rels/.rels": f'<Relationships xmlns="{package}/relationships">{main}</Relationships>',
        "word/_rels/document.xml.rels": f'<Relationships xmlns="{package}/relationships">{more}</Relationships>',
    }
    for name, content in names.items():
        members[f"word/{name}.xml"] = f"<w:{name} {namespaces}>{content}</w:{name}>"
    return pack(members)


def body(data: bytes) -> str:
    """Return the body of a Word document."""
    return unpack(data)["word/document.xml"].decode().partition("<w:body>")[2].partition("</w:body>")[0]


def open_document(content: str, kind: str = "text", styles: str = "", **members: str) -> bytes:
    """Return an OpenDocument file whose body is `content`; `styles` are automatic styles."""
    names = ("office", "style", "text", "table", "draw", "fo", "svg", "presentation", "manifest")
    paths = {"draw": "drawing", "fo": "xsl-fo-compatible", "svg": "svg-compatible"}
    spaces = " ".join(
        f'xmlns:{name}="urn:oasis:names:tc:opendocument:xmlns:{paths.get(name, name)}:1.0"' for name in names
    )
    spaces += ' xmlns:officeooo="http://openoffice.org/2009/office" xmlns:dc="http://purl.org/dc/elements/1.1/"'
    media_type = f"application/vnd.oasis.opendocument.{kind}"
    text = (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<office:document-content {spaces} office:version="1.3">'
        f"<office:automatic-styles>{styles}</office:automatic-styles>"
        f"<office:body><office:{kind}>{content}</office:{kind}></office:body></office:document-content>"
    )
    manifest = (
        f"<manifest:manifest {spaces} manifest:version='1.3'>"
        f'<manifest:file-entry manifest:full-path="/" manifest:media-type="{media_type}"/>'
        '<manifest:file-entry manifest:full-path="content.xml" manifest:media-type="text/xml"/></manifest:manifest>'
    )
    return pack({"mimetype": media_type, "content.xml": text, **members, "META-INF/manifest.xml": manifest})


def content(data: bytes) -> str:
    """Return the body of an OpenDocument file."""
    text = unpack(data)["content.xml"].decode()
    return text.partition("<office:body>")[2].partition(">")[2].rpartition("</office:body>")[0].rpartition("</")[0]


@cache
def epub() -> bytes:
    """Return an EPUB 3 with an NCX for old readers."""
    head = '<?xml version="1.0" encoding="UTF-8"?>\n'
    page = (
        head + '<!DOCTYPE html>\n<html xmlns="http://www.w3.org/1999/xhtml" '
        'xmlns:epub="http://www.idpf.org/2007/ops" lang="en" xml:lang="en">\n<head><title>{title}</title></head>\n'
        "<body>\n{body}\n</body>\n</html>\n"
    )
    chapter = "<h1>The first day</h1>\n<p>A man in a <b>red shirt</b> &amp; a dog.<br/>They&#160;run.</p><p>2026</p>"
    nav = '<nav epub:type="toc"><ol><li><a href="text/one%20day.xhtml">The first day</a></li></ol></nav>'
    return pack(
        {
            "mimetype": "application/epub+zip",
            "META-INF/container.xml": head
            + '<container version="1.0" xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles><rootfile '
            'full-path="OEBPS/book.opf" media-type="application/oebps-package+xml"/></rootfiles></container>',
            "OEBPS/book.opf": head + '<package xmlns="http://www.idpf.org/2007/opf" version="3.0" '
            'unique-identifier="id" xml:lang="en"><metadata xmlns:dc="http://purl.org/dc/elements/1.1/">'
            '<dc:identifier id="id">urn:uuid:8a5f2cb0-6f7a-4e0e-9a56-0e2d6f6c1f2d</dc:identifier>'
            "<dc:title>A long walk</dc:title><dc:language>en</dc:language>"
            '<meta property="dcterms:modified">2026-01-01T00:00:00Z</meta></metadata><manifest>'
            '<item id="nav" href="nav.xhtml" media-type="application/xhtml+xml" properties="nav"/>'
            '<item id="ncx" href="toc.ncx" media-type="application/x-dtbncx+xml"/>'
            '<item id="one" href="text/one%20day.xhtml" media-type="application/xhtml+xml"/>'
            '<item id="css" href="a.css" media-type="text/css"/></manifest>'
            '<spine toc="ncx"><itemref idref="one"/></spine></package>\n',
            "OEBPS/nav.xhtml": page.format(title="Contents", body=nav),
            "OEBPS/toc.ncx": head + '<ncx xmlns="http://www.daisy.org/z3986/2005/ncx/" version="2005-1"><head>'
            '<meta name="dtb:uid" content="urn:uuid:8a5f2cb0-6f7a-4e0e-9a56-0e2d6f6c1f2d"/></head>'
            '<docTitle><text>A long walk</text></docTitle><navMap><navPoint id="n1" playOrder="1"><navLabel><text>'
            'The first day</text></navLabel><content src="text/one%20day.xhtml"/></navPoint></navMap></ncx>\n',
            "OEBPS/text/one day.xhtml": page.format(title="One", body=chapter),
            "OEBPS/a.css": "p { margin: 0 }\n",
        }
    )
