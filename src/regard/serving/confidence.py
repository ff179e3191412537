"""The confidence of the translations of a request, and the sentences that it leaves untranslated."""

from __future__ import annotations

from collections.abc import Sequence

from regard.documents.document import Segment
from regard.documents.results import SegmentConfidence, TranslatedText
from regard.inference.confidence import to_document_text, withheld_reason, withhold
from regard.inference.translation import Translation, Word
from regard.text.segments import Span


class RequestConfidence:
    """The confidence of each text of a request, and that of the words of each.

    Attributes:
        texts: The lowest confidence of a sentence of each text; 1 for a text without sentences.
        words: The words of each translation, with their offsets; none for HTML.
        withheld: The sentences that stay untranslated: the index of the text, the sentence, and the reason.
    """

    def __init__(self, texts: int, min_confidence: float | None) -> None:
        self.texts = [1.0] * texts
        self.words: list[list[Word]] = [[] for _ in range(texts)]
        self.withheld: list[tuple[int, str, str]] = []
        self._min_confidence = min_confidence

    def withhold(
        self, index: int, text: str, spans: Sequence[Span], segments: list[list[Translation]]
    ) -> list[list[Translation]]:
        """Return the translations of a text's segments; those with too little confidence are replaced by the source."""
        for (start, end), n_best in zip(spans, segments, strict=True):
            if reason := withheld_reason(n_best[0], self._min_confidence):
                self.withheld.append((index, text[start:end], reason))
        return [
            withhold(text[start:end], n_best, self._min_confidence)
            for (start, end), n_best in zip(spans, segments, strict=True)
        ]

    def add(self, index: int, translation: Translation) -> None:
        """Add the confidence of the translation of a text."""
        if translation.confidence is not None:
            self.texts[index], self.words[index] = translation.confidence, list(translation.words)

    def add_segments(self, segments: Sequence[Segment], confidences: Sequence[SegmentConfidence | None]) -> None:
        """Add the confidences of segments, whose `line` is the number of their text, from 1."""
        for segment, confidence in zip(segments, confidences, strict=True):
            if confidence is not None:
                self.texts[segment.line - 1] = min(self.texts[segment.line - 1], confidence.value)

    def find_words(
        self, index: int, filled: str, segments: Sequence[Segment], confidences: Sequence[SegmentConfidence | None]
    ) -> None:
        """Find the words of a text's segments in its translation, in their order."""
        at = 0
        for segment, confidence in zip(segments, confidences, strict=True):
            if segment.line != index + 1 or confidence is None:
                continue
            for word, value in confidence.words:
                start = filled.find(word, at)
                if start >= 0:
                    at = start + len(word)
                    self.words[index].append(Word(start, at, value))

    def to_text(self, best: Translation) -> TranslatedText:
        """Return a translation for a document."""
        return to_document_text(best, self._min_confidence)
