"""Open a file as a document; the suffix of its name selects the format."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

from regard.corpus.formats.compressed import format_suffix
from regard.documents.apple_strings import AppleStringsDocument
from regard.documents.containers.epub import EpubDocument
from regard.documents.containers.ooxml import OoxmlDocument
from regard.documents.containers.opendocument import OpenDocument
from regard.documents.containers.zip_archive import MAX_BYTES as MAX_CONTAINER_BYTES
from regard.documents.document import MAX_BYTES, Columns, Document, LanguagePair, read_document
from regard.documents.fluent import FluentDocument
from regard.documents.html import HtmlDocument
from regard.documents.json import ArbDocument, JsonDocument
from regard.documents.markdown import MarkdownDocument
from regard.documents.notebook import NotebookDocument
from regard.documents.paragraphs import ParagraphDocument
from regard.documents.pdf import PdfDocument
from regard.documents.po import PoDocument
from regard.documents.properties import PropertiesDocument
from regard.documents.srt import SrtDocument
from regard.documents.string_catalog import StringCatalogDocument
from regard.documents.stringsdict import StringsdictDocument
from regard.documents.table import TableDocument
from regard.documents.tmx import TmxDocument
from regard.documents.vtt import VttDocument
from regard.documents.xliff import XliffDocument
from regard.documents.xml_strings import open_xml
from regard.documents.yaml import YamlDocument

Opener = Callable[[bytes, str, LanguagePair, Columns], Document]
"""Takes the bytes of a document, its name for messages, and its languages and columns. Raises DataError."""

OPENERS: Final[dict[str, Opener]] = {
    ".po": PoDocument,
    ".pot": PoDocument,
    ".xlf": XliffDocument,
    ".xliff": XliffDocument,
    ".tmx": TmxDocument,
    ".tsv": partial(TableDocument, separator="\t"),
    ".csv": partial(TableDocument, separator=","),
    ".srt": SrtDocument,
    ".md": MarkdownDocument,
    ".html": HtmlDocument,
    ".htm": HtmlDocument,
    ".json": JsonDocument,
    ".arb": ArbDocument,
    ".yaml": YamlDocument,
    ".yml": YamlDocument,
    ".properties": PropertiesDocument,
    ".strings": AppleStringsDocument,
    ".stringsdict": StringsdictDocument,
    ".xcstrings": StringCatalogDocument,
    ".xml": open_xml,
    ".resx": open_xml,
    ".resw": open_xml,
    ".ftl": FluentDocument,
    ".vtt": VttDocument,
    ".ipynb": NotebookDocument,
    ".pdf": PdfDocument,
    ".docx": partial(OoxmlDocument, kind="wordprocessingml"),
    ".docm": partial(OoxmlDocument, kind="wordprocessingml"),
    ".pptx": partial(OoxmlDocument, kind="presentationml"),
    ".pptm": partial(OoxmlDocument, kind="presentationml"),
    ".xlsx": partial(OoxmlDocument, kind="spreadsheetml"),
    ".xlsm": partial(OoxmlDocument, kind="spreadsheetml"),
    ".odt": partial(OpenDocument, kind="text"),
    ".odp": partial(OpenDocument, kind="presentation"),
    ".ods": partial(OpenDocument, kind="spreadsheet"),
    ".epub": EpubDocument,
}

CONTAINERS: Final = frozenset({".docx", ".docm", ".pptx", ".pptm", ".xlsx", ".xlsm", ".odt", ".odp", ".ods", ".epub"})
"""Suffixes of documents that are ZIP archives."""

CONVERTED: Final[dict[str, str]] = {".pdf": ".md"}
"""Formats whose translation is written in another format, by suffix."""


def open_document(path: Path, languages: LanguagePair, columns: Columns, *, paragraphs: bool = False) -> Document:
    """Open a file as a document, or as plain paragraphs if `paragraphs` is true. Raise DataError if it is invalid."""
    suffix = format_suffix(path)
    opener = ParagraphDocument if paragraphs else OPENERS[suffix]
    max_bytes = MAX_CONTAINER_BYTES if suffix in CONTAINERS else MAX_BYTES
    return opener(read_document(path, max_bytes), str(path), languages, columns)
