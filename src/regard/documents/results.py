"""Requests to the translator of a document, their results, and the result of the whole document."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from regard.text.segments import Alignment


@dataclass(frozen=True)
class TranslationRequest:
    """A sentence or a part of one, and the strings that its translation must contain."""

    text: str
    require: tuple[str, ...] = ()


@dataclass(frozen=True)
class SegmentConfidence:
    """The probability that a translation is right, and its words in order, each with its own probability."""

    value: float
    words: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True)
class TranslatedText:
    """The translation of a request.

    Attributes:
        text: The translation.
        alignment: Pairs (source word, target word), counted from 0; empty if unknown.
        marks: Signs of degenerate output; see regard.evaluation.degenerate_output.
        confidence: Its confidence; None if unknown.
        withheld: Why it must not be used; empty if it may.
    """

    text: str
    alignment: Alignment = ()
    marks: tuple[str, ...] = ()
    confidence: SegmentConfidence | None = None
    withheld: str = ""


TranslateFunction = Callable[[Sequence[TranslationRequest]], Sequence[TranslatedText]]
"""Translates each request, in order."""


@dataclass(frozen=True)
class EntryReport:
    """An entry that stays untranslated (with a `reason`), looks degenerate (with `marks`), or has a `confidence`."""

    line: int
    source: str
    reason: str = ""
    marks: tuple[str, ...] = ()
    translation: str = ""
    part: str = ""
    confidence: SegmentConfidence | None = None


@dataclass
class DocumentResult:
    """A translated document: entries = filled + already_translated + untranslated.

    Attributes:
        data: The bytes of the document.
        entries: The number of entries.
        filled: The number of entries that were translated.
        already_translated: The number of entries that had a translation before.
        reports: A report for each entry that stays untranslated or looks degenerate; with confidence, for all.
        methods: The number of sentences that were translated `whole`, with placeholders `required`, in `parts`, or not
            at all (`failed`).
        confidences: For each segment the lowest confidence of its sentences, and all their words; None if unknown.
    """

    data: bytes = b""
    entries: int = 0
    filled: int = 0
    already_translated: int = 0
    reports: list[EntryReport] = field(default_factory=list)
    methods: Counter[str] = field(default_factory=Counter)
    confidences: list[SegmentConfidence | None] = field(default_factory=list)

    @property
    def untranslated(self) -> int:
        """The number of entries that stay untranslated."""
        return sum(1 for report in self.reports if report.reason)
