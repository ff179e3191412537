"""A translator that is a function: no model, no torch."""

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


def by(say: Callable[[str], str]) -> TranslateFunction:
    """A translator of one text at a time, aligned along the diagonal."""

    def ask(requests: Sequence[TranslationRequest]) -> list[TranslatedText]:
        said = [say(request.text) for request in requests]
        return [
            TranslatedText(text, diagonal_alignment(len(request.text.split()), len(text.split())))
            for request, text in zip(requests, said, strict=True)
        ]

    return ask


def loud(text: str) -> str:
    """Words of letters alone in capitals."""
    return " ".join(word.upper() if word.isalpha() else word for word in text.split())


def opened(ending: str, data: bytes, columns: Columns = Columns(), languages: LanguagePair | None = None) -> Document:
    return OPENERS[ending](data, f"a{ending}", languages or LanguagePair("en", "de"), columns)


def filled(ending: str, data: bytes, say: Callable[[str], str] = loud, columns: Columns = Columns()) -> DocumentResult:
    outcome = fill_document(opened(ending, data, columns), by(say), language="en")
    assert outcome.entries == outcome.filled + outcome.untranslated + outcome.already_translated
    return outcome
