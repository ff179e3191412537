"""Which document a file is, by the end of its name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from regard.corpus.formats.compressed import format_suffix
from regard.documents.document import Columns, Document, LanguagePair, read_document
from regard.documents.html import HtmlDocument
from regard.documents.markdown import MarkdownDocument
from regard.documents.paragraphs import ParagraphDocument
from regard.documents.po import PoDocument
from regard.documents.srt import SrtDocument
from regard.documents.table import open_csv, open_tsv
from regard.documents.tmx import TmxDocument
from regard.documents.xliff import XliffDocument

Opener = Callable[[bytes, str, LanguagePair, Columns], Document]
"""From the bytes of a document and what to call it. Raises DataError, with the line."""

OPENERS: Final[dict[str, Opener]] = {
    ".po": PoDocument,
    ".pot": PoDocument,
    ".xlf": XliffDocument,
    ".xliff": XliffDocument,
    ".tmx": TmxDocument,
    ".tsv": open_tsv,
    ".csv": open_csv,
    ".srt": SrtDocument,
    ".md": MarkdownDocument,
    ".html": HtmlDocument,
    ".htm": HtmlDocument,
}


def open_document(path: Path, languages: LanguagePair, columns: Columns, *, paragraphs: bool = False) -> Document:
    """A file as a document; as plain paragraphs where they are asked for. Raises DataError."""
    opener = ParagraphDocument if paragraphs else OPENERS[format_suffix(path)]
    return opener(read_document(path), str(path), languages, columns)
