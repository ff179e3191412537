"""A translator that is a function: no model, no torch."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from regard.documents.document import Columns, Document, Languages
from regard.documents.open import OPENERS
from regard.documents.translate import Ask, Outcome, Request, Said, fill
from regard.text.segments import diagonal_alignment


def by(say: Callable[[str], str]) -> Ask:
    """A translator of one text at a time, aligned along the diagonal."""

    def ask(requests: Sequence[Request]) -> list[Said]:
        said = [say(request.text) for request in requests]
        return [
            Said(text, diagonal_alignment(len(request.text.split()), len(text.split())))
            for request, text in zip(requests, said, strict=True)
        ]

    return ask


def loud(text: str) -> str:
    """Words of letters alone in capitals."""
    return " ".join(word.upper() if word.isalpha() else word for word in text.split())


def opened(ending: str, data: bytes, columns: Columns = Columns(), languages: Languages | None = None) -> Document:
    return OPENERS[ending](data, f"a{ending}", languages or Languages("en", "de"), columns)


def filled(ending: str, data: bytes, say: Callable[[str], str] = loud, columns: Columns = Columns()) -> Outcome:
    outcome = fill(opened(ending, data, columns), by(say), language="en")
    assert outcome.entries == outcome.filled + outcome.left + outcome.done
    return outcome
