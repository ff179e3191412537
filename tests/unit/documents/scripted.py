"""Translators that are plain functions, without a model and without PyTorch."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from regard.documents.document import Columns, Document, LanguagePair
from regard.documents.open import OPENERS
from regard.documents.translate import (
    DocumentResult,
    TranslatedText,
    TranslateFunction,
    TranslationRequest,
    fill_document,
)
from regard.text.segments import diagonal_alignment


def translator(function: Callable[[str], str]) -> TranslateFunction:
    """Return a translator that calls a function for each text and aligns words along the diagonal."""

    def translate(requests: Sequence[TranslationRequest]) -> list[TranslatedText]:
        translations = [function(request.text) for request in requests]
        return [
            TranslatedText(text, diagonal_alignment(len(request.text.split()), len(text.split())))
            for request, text in zip(requests, translations, strict=True)
        ]

    return translate


def uppercase(text: str) -> str:
    """Return the text with words that consist of letters in upper case, and single spaces."""
    return " ".join(word.upper() if word.isalpha() else word for word in text.split())


def open_bytes(
    suffix: str, data: bytes, columns: Columns = Columns(), languages: LanguagePair | None = None
) -> Document:
    return OPENERS[suffix](data, f"a{suffix}", languages or LanguagePair("en", "de"), columns)


def fill(
    suffix: str, data: bytes, function: Callable[[str], str] = uppercase, columns: Columns = Columns()
) -> DocumentResult:
    result = fill_document(open_bytes(suffix, data, columns), translator(function), language="en")
    assert result.entries == result.filled + result.untranslated + result.already_translated
    return result
