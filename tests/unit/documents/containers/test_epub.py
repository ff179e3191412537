"""EPUB: chapters, navigation, titles and the language."""

from __future__ import annotations

import pytest
from tests.unit.documents.containers.archives import changed_members, epub, fill, pack, texts, unpack

from regard.errors import DataError


def test_a_book() -> None:
    result = fill(".epub", epub())
    assert not result.reports
    assert changed_members(epub(), result.data) == {
        f"OEBPS/{name}" for name in ("book.opf", "nav.xhtml", "toc.ncx", "text/one day.xhtml")
    }
    new = {name: content.decode() for name, content in unpack(result.data).items()}
    chapter = new["OEBPS/text/one day.xhtml"]
    assert "<p>A MAN IN A <b>RED SHIRT</b> &amp; A dog.<br/>THEY run.</p><p>2026</p>" in chapter
    assert 'lang="de" xml:lang="de"' in chapter
    assert ">THE FIRST DAY</a>" in new["OEBPS/nav.xhtml"]
    assert "<text>THE FIRST DAY</text>" in new["OEBPS/toc.ncx"]
    assert "<dc:title>A LONG WALK</dc:title><dc:language>de</dc:language>" in new["OEBPS/book.opf"]
    assert texts(".epub", epub()).count("The first day") == 3
    assert result.data[30:58] == b"mimetypeapplication/epub+zip"


def test_copy_protection() -> None:
    encryption = (
        '<encryption xmlns="urn:oasis:names:tc:opendocument:xmlns:container" '
        'xmlns:enc="http://www.w3.org/2001/04/xmlenc#"><enc:EncryptedData><enc:CipherData>'
        '<enc:CipherReference URI="{}"/></enc:CipherData></enc:EncryptedData></encryption>'
    )
    members = unpack(epub())
    book = pack({**members, "META-INF/encryption.xml": encryption.format("OEBPS/fonts/a.otf")})
    assert fill(".epub", book).filled
    book = pack({**members, "META-INF/encryption.xml": encryption.format("OEBPS/text/one day.xhtml")})
    with pytest.raises(DataError, match="encrypted"):
        fill(".epub", book)
    chapter = b'<!DOCTYPE html [<!ENTITY a "b">]>' + members["OEBPS/nav.xhtml"]
    with pytest.raises(DataError, match=r"a\.epub \(OEBPS/nav\.xhtml\): it declares entities"):
        fill(".epub", pack({**members, "OEBPS/nav.xhtml": chapter}))
