"""What `regard translate` is asked to do: the search, the outputs, and how to read a document."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from regard.corpus.formats.compressed import format_suffix
from regard.corpus.formats.identify import convert_to
from regard.corpus.formats.unsupported import MARKUP, NEWER_FORMATS, format_by_name
from regard.errors import ConfigError, DataError

if TYPE_CHECKING:
    from regard.inference.terms import GlossaryMethod
    from regard.inference.translator import SearchOptions


@dataclass(frozen=True)
class SearchRequest:
    """How to search.

    Attributes:
        search: Overrides of the recipe's [search].
        fallback: Overrides with which degenerate translations are searched again; None: never.
        top_beams: The number of translations per line.
        constraints: A file with the constraints of each line.
        split_sentences: Whether sentences are translated separately; None: as the run was trained.
        min_confidence: Segments with less confidence stay untranslated; None: none do.
        batch_size: Sentences decoded at a time.
        workers: The number of processes, or of actors on a Ray cluster; 0: what is fastest.
        ray: The address of a Ray cluster; empty: translate on this machine.
        column: The column of a Parquet file to translate, empty for its only one; None: the input is lines of text.
        glossary: A glossary file, or `none`; empty: the default of the run.
        glossary_method: How its terms get into translations.
    """

    search: SearchOptions
    fallback: SearchOptions | None = None
    top_beams: int = 1
    constraints: Path | None = None
    split_sentences: bool | None = None
    min_confidence: float | None = None
    batch_size: int = 64
    workers: int = 0
    ray: str = ""
    column: str | None = None
    glossary: str = ""
    glossary_method: GlossaryMethod = "auto"


@dataclass(frozen=True)
class OutputOptions:
    """What to write, and where; `text` is standard output if None."""

    text: Path | None
    scores: bool = False
    confidence: bool = False
    alignments: Path | None = None
    report: Path | None = None

    def files(self) -> list[Path | None]:
        """Return all paths that are written."""
        return [self.text, self.alignments, self.report]


@dataclass(frozen=True)
class DocumentOptions:
    """How to read the input as a document. Empty columns and languages are those of the file or of the run.

    See Columns for the keys.
    """

    paragraphs: bool = False
    plain: bool = False
    source_column: str = ""
    target_column: str = ""
    source_language: str = ""
    target_language: str = ""
    keys: tuple[str, ...] = ()
    keys_are_source: bool = False

    def apply_to(self, path: Path | None) -> bool:
        """Return whether the input is a document, rather than lines of text.

        Raises:
            ConfigError: An option that needs a document is given for lines of text.
            DataError: The name of the file belongs to a format that is not supported.
        """
        if self.plain and self.paragraphs:
            raise ConfigError(
                "text is either lines or paragraphs", where="--plain, --paragraphs", fix="remove one of them"
            )
        if self.paragraphs:
            return True
        if path is not None and not self.plain and not is_parquet(path) and _is_document_or_lines(path):
            return True
        source_column = "" if is_parquet(path) else self.source_column
        languages = (self.source_language, self.target_language)
        if any((source_column, self.target_column, *languages, self.keys, self.keys_are_source)):
            raise ConfigError(
                "columns, keys and languages belong to documents, but the input is lines of text",
                where="standard input" if path is None else path,
                fix="name a file that is a document, or remove these options",
            )
        return False


def is_parquet(path: Path | None) -> bool:
    """Return whether a file is Parquet, by its name: its rows are translated like lines."""
    return path is not None and format_suffix(path) == ".parquet"


def _is_document_or_lines(path: Path) -> bool:
    """Return whether a file is a document. Raise DataError if it is neither a document nor lines of text."""
    from regard.documents.open import OPENERS

    if format_suffix(path) in OPENERS and (format_suffix(path) != ".arb" or format_by_name(path)):
        return True
    if name := format_by_name(path):
        known = ", ".join(OPENERS)
        fix = f"export it, or its text, in a supported format: {known}, or .txt in UTF-8"
        if newer := NEWER_FORMATS.get(format_suffix(path)):
            fix = convert_to(newer)
        elif format_suffix(path) in MARKUP:
            fix = f"convert it to a supported format: {known}; or give --plain to translate every line, markup included"
        raise DataError(f"the file is {name}, which is not supported", where=path, fix=fix)
    return False
