"""Which document a file is, by the end of its name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from regard.text.documents.document import Columns, Document, Languages, read_bytes
from regard.text.documents.html import Page
from regard.text.documents.markdown import Markdown
from regard.text.documents.paragraphs import Paragraphs
from regard.text.documents.po import Catalogue
from regard.text.documents.srt import Subtitles
from regard.text.documents.table import open_csv, open_tsv
from regard.text.documents.tmx import Tmx
from regard.text.documents.xliff import Xliff
from regard.text.formats.compressed import ending_of

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
    opener = Paragraphs if paragraphs else OPENERS[ending_of(path)]
    return opener(read_bytes(path), str(path), languages, columns)
