"""Find the languages that a file with both sides declares."""

from __future__ import annotations

from pathlib import Path

from regard.corpus.corrections import CorrectionStore
from regard.corpus.formats.compressed import format_suffix
from regard.corpus.formats.gettext import po_language
from regard.corpus.formats.sides import Sides
from regard.corpus.formats.tmx import tmx_languages
from regard.corpus.formats.xliff import xliff_languages
from regard.corpus.language_codes import base_code


def declared_languages(path: Path, sides: Sides) -> tuple[str, str]:
    """Return the languages of the pairs of a file, without countries and scripts; empty where it declares none.

    A TMX or XLIFF file is read completely: one with more than two languages is an error.

    Args:
        path: A file with both sides, in any format.
        sides: The requested sides.

    Raises:
        DataError: The file cannot be read, or it is not clear which of its languages to use.
    """
    languages = {("", "")}
    match format_suffix(path):
        case ".tmx":
            languages = {tmx_languages(path, sides)}
        case ".xlf" | ".xliff":
            languages = {xliff_languages(path, sides)}
        case ".po":
            languages = {("", po_language(path))}
        case ".sqlite":
            rows = CorrectionStore(path).read()
            languages = {(row.source_language, row.target_language) for _, row in rows if row is not None}
    source, target = languages.pop() if len(languages) == 1 else ("", "")
    return base_code(source), base_code(target)
