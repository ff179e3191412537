"""Say what a file is, by its bytes: the documents that ZIP archives and OLE files are, PDF, and other formats."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

OLE: Final = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
ZIP: Final = b"PK\x03\x04"


@dataclass(frozen=True)
class FileKind:
    """What a file is.

    Attributes:
        description: What it is, with an article.
        suffix: The suffix with which it is translated; empty if it is not.
        fix: What to do with it, if it is not translated.
    """

    description: str
    suffix: str = ""
    fix: str = ""

    def advice(self) -> str:
        """Return what to do with a file that has another suffix."""
        return f"rename it to end in {self.suffix}" if self.suffix else self.fix


def convert_to(suffix: str) -> str:
    """Return how to convert an office document to a newer format."""
    return f"save it as {suffix}, for example by `soffice --convert-to {suffix[1:]} FILE`"


_OFFICE: Final = FileKind(
    "an Office document (.docx, .pptx or .xlsx)", fix="give it the suffix of its program: .docx, .pptx or .xlsx"
)
ENCRYPTED: Final = FileKind("an encrypted Office document", fix="save it without a password")
_ZIP_MEMBERS: Final[dict[bytes, FileKind]] = {
    b"word/": FileKind("a Word document", ".docx"),
    b"ppt/": FileKind("a PowerPoint presentation", ".pptx"),
    b"xl/": FileKind("an Excel workbook", ".xlsx"),
    b"application/epub+zip": FileKind("an EPUB", ".epub"),
    b"application/vnd.oasis.opendocument.text": FileKind("an OpenDocument text", ".odt"),
    b"application/vnd.oasis.opendocument.presentation": FileKind("an OpenDocument presentation", ".odp"),
    b"application/vnd.oasis.opendocument.spreadsheet": FileKind("an OpenDocument spreadsheet", ".ods"),
    b"application/vnd.oasis.opendocument.graphics": FileKind("an OpenDocument drawing", fix="save its text as .odt"),
    b"Index/": FileKind("an iWork document (.pages, .numbers or .key)", fix="export it as .docx, .xlsx or .pptx"),
}
"""Documents by the name of a member, or by their media type."""
_OLE_STREAMS: Final[dict[str, FileKind]] = {
    "EncryptedPackage": ENCRYPTED,
    "WordDocument": FileKind("an old Word document (.doc)", fix=convert_to(".docx")),
    "PowerPoint Document": FileKind("an old PowerPoint presentation (.ppt)", fix=convert_to(".pptx")),
    "Workbook": FileKind("an old Excel workbook (.xls)", fix=convert_to(".xlsx")),
    "Book": FileKind("an old Excel workbook (.xls)", fix=convert_to(".xlsx")),
    "__properties_version1.0": FileKind("an Outlook message (.msg)", fix="save its text as .txt or .html"),
}
"""Documents by the name of a stream."""
NAME_BYTES = 64  # of the name of a stream
_TEXTS: Final[tuple[tuple[re.Pattern[bytes], FileKind], ...]] = (
    (re.compile(rb"\{\\rtf"), FileKind("RTF", fix=convert_to(".docx"))),
    (re.compile(rb"\s*(?:<!doctype html|<html)\b", re.IGNORECASE), FileKind("HTML", ".html")),
)

_MEMBER = re.compile(
    rb"PK(?:\x03\x04[\s\S]{26}|\x01\x02[\s\S]{42})"  # the header of a member, or its entry in the directory
    rb"(?:(word/|ppt/|xl/|Index/)|mimetype[\s\S]{0,40}?(application/(?:epub\+zip|vnd\.oasis\.opendocument\.[a-z]+)))"
)
_OFFICE_MEMBER = re.compile(rb"PK\x03\x04[\s\S]{26}(?:\[Content_Types\]\.xml|_rels/|docProps/)")


def identify(data: bytes) -> FileKind | None:
    """Return what a document is, from its bytes or the first of them; None for anything else, also for most text."""
    if data.startswith(b"%PDF-"):
        return FileKind("a PDF", ".pdf")
    if data.startswith(OLE):
        streams = (
            kind for name, kind in _OLE_STREAMS.items() if name.encode("utf-16-le").ljust(NAME_BYTES, b"\0") in data
        )
        return next(streams, FileKind("an OLE document, as .doc, .ppt and .xls are", fix="save it in the newer format"))
    if data.startswith(ZIP):
        member = _MEMBER.search(data)
        if member is not None:
            return _ZIP_MEMBERS.get(member[1] or member[2])
        return _OFFICE if _OFFICE_MEMBER.match(data) else None
    return next((kind for pattern, kind in _TEXTS if pattern.match(data)), None)
