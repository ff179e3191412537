"""The language codes that documents declare for their text."""

from __future__ import annotations

from dataclasses import dataclass

from regard.corpus.formats.sides import matches_language
from regard.documents.document import LanguagePair


@dataclass(frozen=True)
class Relabeling:
    """Replaces declarations of the source language by the target language, with its most likely region.

    Attributes:
        languages: Source and target. If either is empty, nothing is replaced.
    """

    languages: LanguagePair

    @property
    def target(self) -> str:
        """The target language with a region: `de-DE` for `de`."""
        return with_region(self.languages.target)

    def replaces(self, code: str) -> bool:
        """Return whether a declared language is the source language or a variety of it."""
        source, target = self.languages.source, self.languages.target
        return bool(source and target) and matches_language(code, source)


def with_region(code: str) -> str:
    """Return a language code with a region, such as `de-DE` for `de`. Office programs expect it."""
    from babel.core import get_global

    code = code.replace("_", "-")
    parts = code.split("-")
    if len(parts) > 1:
        return code
    likely = get_global("likely_subtags").get(code.lower(), "").split("_")
    return f"{code}-{likely[-1]}" if len(likely) == 3 else code
