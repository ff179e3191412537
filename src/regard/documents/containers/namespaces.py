"""The prefixes that the code uses for the namespaces of office documents, whatever prefixes a document declares."""

from __future__ import annotations

from typing import Final

_OOXML = {
    "w": "wordprocessingml/main",
    "a": "drawingml/main",
    "c": "drawingml/chart",
    "p": "presentationml/main",
    "s": "spreadsheetml/main",
    "wp": "drawingml/wordprocessingDrawing",
    "xdr": "drawingml/spreadsheetDrawing",
    "m": "officeDocument/math",
}
OOXML: Final[dict[str, str]] = {
    **{
        f"http://schemas.openxmlformats.org/{path.replace('/', '/2006/', 1)}": prefix for prefix, path in _OOXML.items()
    },
    **{f"http://purl.oclc.org/ooxml/{path}": prefix for prefix, path in _OOXML.items()},
    "http://schemas.openxmlformats.org/markup-compatibility/2006": "mc",
    "http://schemas.microsoft.com/office/spreadsheetml/2018/threadedcomments": "threaded",
    "http://purl.org/dc/elements/1.1/": "dc",
    "http://www.w3.org/XML/1998/namespace": "xml",
}

OPENDOCUMENT: Final[dict[str, str]] = {
    **{f"urn:oasis:names:tc:opendocument:xmlns:{name}:1.0": name for name in ("office", "style", "text", "table")},
    **{f"urn:oasis:names:tc:opendocument:xmlns:{name}:1.0": name for name in ("meta", "presentation", "manifest")},
    "urn:oasis:names:tc:opendocument:xmlns:drawing:1.0": "draw",
    "urn:oasis:names:tc:opendocument:xmlns:xsl-fo-compatible:1.0": "fo",
    "urn:oasis:names:tc:opendocument:xmlns:svg-compatible:1.0": "svg",
    "http://openoffice.org/2009/office": "officeooo",
    "http://purl.org/dc/elements/1.1/": "dc",
    "http://www.w3.org/XML/1998/namespace": "xml",
}

EPUB: Final[dict[str, str]] = {
    "urn:oasis:names:tc:opendocument:xmlns:container": "container",
    "http://www.idpf.org/2007/opf": "opf",
    "http://www.daisy.org/z3986/2005/ncx/": "ncx",
    "http://purl.org/dc/elements/1.1/": "dc",
    "http://www.w3.org/2001/04/xmlenc#": "enc",
    "http://www.w3.org/XML/1998/namespace": "xml",
}
