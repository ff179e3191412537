"""ZIP archives that are damaged or hostile are refused with one clear error, in bounded memory and time."""

from __future__ import annotations

import io
import random
import struct
import zipfile
import zlib
from collections.abc import Callable

import pytest
from tests.unit.documents.containers.archives import epub, fill, open_document, pack, unpack, word

from regard.documents import xml
from regard.documents.containers import zip_archive
from regard.documents.containers.zip_archive import ZipArchive
from regard.documents.document import Columns, LanguagePair
from regard.documents.open import CONTAINERS, OPENERS
from regard.errors import DataError

DOCUMENT = word('<w:p><w:r><w:t xml:space="preserve">one</w:t></w:r></w:p>')
EXAMPLES = {".docx": DOCUMENT, ".odt": open_document("<text:p>one</text:p>"), ".epub": epub()}


def refuse(data: bytes, *parts: str, suffix: str = ".docx") -> None:
    with pytest.raises(DataError) as caught:
        OPENERS[suffix](data, f"a{suffix}", LanguagePair("en", "de"), Columns())
    assert str(caught.value).startswith(f"a{suffix}")
    for part in parts:
        assert part in str(caught.value)


def test_other_members_are_copied_without_being_decompressed() -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in unpack(DOCUMENT).items():
            archive.writestr(name, content, zipfile.ZIP_DEFLATED)
        info = zipfile.ZipInfo("word/media/ü.png", (2001, 2, 3, 4, 5, 6))
        info.comment, info.extra, info.external_attr = b"a comment", b"\x20\x02\x02\x00ab", 0o644 << 16
        info.compress_type = zipfile.ZIP_DEFLATED
        archive.writestr(info, b"not a picture")
        archive.comment = b"the end"
    data = bytearray(file.getvalue())
    deflated = zlib.compressobj(wbits=-15)
    at = data.index(deflated.compress(b"not a picture") + deflated.flush())
    data[at] ^= 0xFF  # a member that cannot be decompressed
    new = fill(".docx", bytes(data)).data
    with zipfile.ZipFile(io.BytesIO(bytes(data))) as old_file, zipfile.ZipFile(io.BytesIO(new)) as new_file:
        assert old_file.comment == new_file.comment
        for before, after in zip(old_file.infolist(), new_file.infolist(), strict=True):
            for name in (
                "filename",
                "date_time",
                "comment",
                "extra",
                "external_attr",
                "compress_type",
                "create_system",
            ):
                assert getattr(before, name) == getattr(after, name)
        before, after = old_file.infolist()[-1], new_file.infolist()[-1]
        assert (before.CRC, before.file_size, before.compress_size) == (after.CRC, after.file_size, after.compress_size)
    start, size = bytes(data).index(b"word/media"), before.compress_size + 30
    assert bytes(data)[start : start + size] in new
    assert b">ONE<" in ZipArchive(new, "a", "b").read("word/document.xml")


def test_streamed_archives_with_descriptors_and_zip64_headers() -> None:
    class Pipe(io.BytesIO):
        def seekable(self) -> bool:
            return False

        def seek(self, *_: int) -> int:
            raise OSError

    pipe = Pipe()
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in unpack(DOCUMENT).items():
            with archive.open(name, "w", force_zip64=True) as member:
                member.write(content)
    new = fill(".docx", pipe.getvalue()).data
    assert b">ONE<" in unpack(new)["word/document.xml"]
    assert struct.unpack_from("<H", new, 6)[0] & 8 == 0


@pytest.mark.parametrize("suffix", sorted(CONTAINERS))
def test_files_that_are_something_else(suffix: str) -> None:
    refuse(b"", "it is not a ZIP archive", suffix=suffix)
    refuse(b"some text\n", "it is not a ZIP archive", suffix=suffix)
    refuse(b"%PDF-1.7\n", "but a PDF", "rename it to end in .pdf", suffix=suffix)
    refuse(rb"{\rtf1 x}", "but RTF", "save it as .docx", "soffice --convert-to docx", suffix=suffix)
    refuse(b"<!DOCTYPE html><p>x", "but HTML", "rename it to end in .html", suffix=suffix)
    refuse(ole(), "an OLE document", suffix=suffix)
    refuse(ole("EncryptedPackage"), "it is encrypted", "without a password", suffix=suffix)
    refuse(pack({"a.txt": "x"}), "check its suffix", suffix=suffix)
    for actual, data in EXAMPLES.items():
        if actual[:3] != suffix[:3]:
            refuse(data, f"rename it to end in {actual}", suffix=suffix)


def ole(*names: str) -> bytes:
    """Return the beginning of an OLE document with these streams."""
    return (
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
        + bytes(504)
        + b"".join(name.encode("utf-16-le").ljust(128, b"\0") for name in ("Root Entry", *names))
    )


@pytest.mark.parametrize(
    ("suffix", "data", "kind", "advice"),
    [
        (".xlsx", DOCUMENT, "an Excel workbook, but a Word document", "rename it to end in .docx"),
        (".docx", EXAMPLES[".epub"], "a Word document, but an EPUB", "rename it to end in .epub"),
        (".epub", DOCUMENT, "an EPUB, but a Word document", "rename it to end in .docx"),
        (".odt", DOCUMENT, "an OpenDocument text, but a Word document", "rename it to end in .docx"),
        (".docx", EXAMPLES[".odt"], "a Word document, but an OpenDocument text", "rename it to end in .odt"),
        (".odp", EXAMPLES[".odt"], "presentation, but an OpenDocument text", "rename it to end in .odt"),
        (".odt", open_document("", "graphics"), "text, but an OpenDocument drawing", "save its text as .odt"),
        (".docx", ole("WordDocument"), "it is an old Word document (.doc)", "soffice --convert-to docx FILE"),
        (".docx", ole("Workbook"), "it is an old Excel workbook (.xls)", "save it as .xlsx"),
        (".xlsx", ole("PowerPoint Document"), "it is an old PowerPoint presentation (.ppt)", "save it as .pptx"),
        (".docx", pack({"Index/Document.iwa": "x"}), "but an iWork document", "export it as .docx"),
        (".epub", pack({"a.txt": "x", "ppt/presentation.xml": "x"}), "but a PowerPoint", "rename it to end in .pptx"),
    ],
)  # fmt: skip
def test_the_error_says_what_the_file_is(suffix: str, data: bytes, kind: str, advice: str) -> None:
    refuse(data, kind, advice, suffix=suffix)


def test_encrypted_members() -> None:
    data = bytearray(DOCUMENT)
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(signature) + offset] |= 1
    refuse(bytes(data), "[Content_Types].xml is encrypted")
    manifest = (
        '<manifest:manifest xmlns:manifest="urn:oasis:names:tc:opendocument:xmlns:manifest:1.0">'
        '<manifest:file-entry manifest:full-path="content.xml"><manifest:encryption-data/></manifest:file-entry>'
        "</manifest:manifest>"
    )
    members = {**unpack(EXAMPLES[".odt"]), "META-INF/manifest.xml": manifest.encode()}
    refuse(pack(members), "it is encrypted", suffix=".odt")


@pytest.mark.parametrize("name", ["../x", "/x", "a/../../x", "C:x", "a\\..\\x", "..\\x", "a\nb"])
def test_unsafe_names(name: str) -> None:
    refuse(pack({**unpack(DOCUMENT), name: "x"}), "unsafe member name")


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_duplicate_overlapping_and_too_many_members() -> None:
    file = io.BytesIO(DOCUMENT)
    with zipfile.ZipFile(file, "a") as archive:
        archive.writestr("word/document.xml", b"x")
    refuse(file.getvalue(), "two members named 'word/document.xml'")
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a", b"x" * 100)
        first = archive.infolist()[0]
        archive.filelist.append(first)
        archive.NameToInfo["b"] = first
    data = file.getvalue()
    second = data.rindex(b"PK\x01\x02")
    assert data[second + 46 : second + 47] == b"a"
    refuse(data, "two members named 'a'")
    inner = pack({"b": b"x"}, stored=("b",))[:40]
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a", inner)
        archive.writestr("b", b"x")
        archive.infolist()[1].header_offset = 31  # the header inside the first member
    refuse(file.getvalue(), "overlap")
    refuse(b"PK\x03\x04" + b"PK\x01\x02" * (zip_archive.MAX_MEMBERS + 1), "more than 10,000 members")


def test_bombs(monkeypatch: pytest.MonkeyPatch) -> None:
    bomb = b"<a>" + b" " * (1 << 23)
    refuse(pack({**unpack(DOCUMENT), "word/document.xml": bomb}), "expands to too many bytes", "200 times")
    monkeypatch.setattr(zip_archive, "MAX_MEMBER_BYTES", 1 << 20)
    compressor = zlib.compressobj(9, wbits=-15)
    endless = b"".join([compressor.compress(bytes(1 << 20)) for _ in range(4)]) + compressor.flush()
    data = bytearray(pack({"[Content_Types].xml": endless}, stored=("[Content_Types].xml",)))
    for signature, offset in ((b"PK\x03\x04", 8), (b"PK\x01\x02", 10)):
        data[data.index(signature) + offset] = 8  # deflated, whatever the size that it declares
    refuse(bytes(data), "expands to too many bytes")
    copied = fill(".docx", pack({**unpack(DOCUMENT), "media/bomb": bytes(1 << 23)}))
    assert copied.filled == 1  # it is never decompressed


def test_the_limit_of_all_members(monkeypatch: pytest.MonkeyPatch) -> None:
    archive = zip_archive.ZipArchive(DOCUMENT, "a.docx", "a document")
    monkeypatch.setattr(zip_archive, "MAX_READ_BYTES", len(unpack(DOCUMENT)["[Content_Types].xml"]))
    assert archive.read("[Content_Types].xml") == archive.read("[Content_Types].xml")  # counts once
    monkeypatch.setattr(zip_archive, "MAX_READ_BYTES", 700)
    refuse(DOCUMENT, "expands to too many bytes", "700 for all")
    monkeypatch.setattr(zip_archive, "MAX_TOTAL_BYTES", 100)
    refuse(DOCUMENT, "more than 100 bytes when decompressed")
    monkeypatch.setattr(zip_archive, "MAX_BYTES", 10)
    refuse(DOCUMENT, "more than 10 bytes")


def test_entities_and_deep_or_large_xml(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(xml, "MAX_NODES", 1000)
    members = unpack(DOCUMENT)
    laughs = b'<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><x>&b;</x>'
    for name in ("word/document.xml", "[Content_Types].xml"):
        refuse(pack({**members, name: laughs}), f"({name}):1", "declares entities")
    for content, message in (
        (b"<a>" * 300, "more than 256 elements are nested"),
        (members["word/document.xml"].replace(b"<w:t ", b"<w:p/>" * 1001 + b"<w:t "), "more than 1,000 nodes"),
        (b"<a>\n<b></a>", "(word/document.xml):2: this is not well-formed XML"),
    ):
        refuse(pack({**members, "word/document.xml": content}), message)


def test_the_members_of_epub_with_entities() -> None:
    laughs = b'<!DOCTYPE x [<!ENTITY a "aaaa">]><x>&a;</x>'
    for name in ("META-INF/container.xml", "OEBPS/book.opf", "OEBPS/toc.ncx", "OEBPS/nav.xhtml"):
        refuse(pack({**unpack(epub()), name: laughs}), name, "declares entities", suffix=".epub")


def test_macros_are_copied() -> None:
    members = unpack(DOCUMENT)
    main = b"openxmlformats-officedocument.wordprocessingml.document.main"
    types = members["[Content_Types].xml"].replace(main, b"ms-word.document.macroEnabled.main")
    data = pack({**members, "[Content_Types].xml": types, "word/vbaProject.bin": b"Sub AutoOpen()"})
    new = unpack(fill(".docm", data).data)
    assert new["word/vbaProject.bin"] == b"Sub AutoOpen()"
    assert b">ONE<" in new["word/document.xml"]


def damage_bytes(data: bytearray, rng: random.Random) -> bytes:
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(data))
        match rng.randrange(3):
            case 0:
                del data[at : at + rng.randint(1, 20)]
            case 1:
                data[at:at] = rng.randbytes(rng.randint(1, 20))
            case _:
                data[at] = rng.randrange(256)
    return bytes(data)


def damage_members(data: bytearray, rng: random.Random) -> bytes:
    members = unpack(bytes(data))
    name = rng.choice([name for name in members if name != "mimetype"])
    return pack({**members, name: damage_bytes(bytearray(members[name]), rng)})


@pytest.mark.parametrize("suffix", EXAMPLES)
@pytest.mark.parametrize("damage", [damage_bytes, damage_members])
def test_damaged_files(suffix: str, damage: Callable[[bytearray, random.Random], bytes]) -> None:
    rng = random.Random(1)
    filled = 0
    for _ in range(100):
        data = damage(bytearray(EXAMPLES[suffix]), rng)
        try:
            result = fill(suffix, data)
        except DataError as error:
            assert str(error).startswith(f"a{suffix}")
            continue
        if result.filled:
            ZipArchive(result.data, "a", "a document")
            filled += 1
    assert filled
    for end in (10, 30, 200, len(EXAMPLES[suffix]) - 30, len(EXAMPLES[suffix]) - 1):
        refuse(EXAMPLES[suffix][:end], suffix=suffix)
