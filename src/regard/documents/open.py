"""Which document a file is, by the end of its name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from regard.corpus.formats.compressed import format_suffix
from regard.documents.document import Columns, Document, Languages, read_bytes
from regard.documents.html import Page
from regard.documents.markdown import Markdown
from regard.documents.paragraphs import Paragraphs
from regard.documents.po import Catalogue
from regard.documents.srt import Subtitles
from regard.documents.table import open_csv, open_tsv
from regard.documents.tmx import Tmx
from regard.documents.xliff import Xliff

Opener = Callable[[bytes, str, Languages, Columns], Document]
"""From the bytes of a document and what to call it. Raises DataError, with the line."""

OPENERS: Final[dict[str, Opener]] = {
    ".po": Catalogue,
    ".pot": Catalogue,
    ".xlf": Xliff,
    ".xliff": Xliff,
    ".tmx": Tmx,
    ".tsv": open_tsv,
    ".csv": open_csv,
    ".srt": Subtitles,
    ".md": Markdown,
    ".html": Page,
    ".htm": Page,
}


def open_document(path: Path, languages: Languages, columns: Columns, *, paragraphs: bool = False) -> Document:
    """A file as a document; as plain paragraphs where they are asked for. Raises DataError."""
    opener = Paragraphs if paragraphs else OPENERS[format_suffix(path)]
    return opener(read_bytes(path), str(path), languages, columns)
