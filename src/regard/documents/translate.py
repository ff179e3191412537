"""Translate the segments of a document: nothing is lost, and every entry that stays untranslated is reported.

Each sentence is translated whole first. If the translation lacks placeholders of its source, the sentence is translated
again with those placeholders required, and then in parts, between the placeholders. If that fails too, its entry stays
untranslated.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from regard.documents.document import Document, MarkedText, ProtectedSpan, Segment
from regard.documents.inline_markup import project_markup
from regard.documents.results import DocumentResult as DocumentResult
from regard.documents.results import EntryReport as EntryReport
from regard.documents.results import SegmentConfidence as SegmentConfidence
from regard.documents.results import TranslatedText as TranslatedText
from regard.documents.results import TranslateFunction as TranslateFunction
from regard.documents.results import TranslationRequest as TranslationRequest
from regard.documents.splitting import flatten, spans_between, split_columns, split_line_groups, wrap_lines
from regard.text.placeholders import (
    Placeholder,
    find_placeholders,
    joined_placeholder,
    locate_literals,
    place_accelerator,
    placeholder_error,
    split_accelerator,
)
from regard.text.segments import JoinedTranslation, Piece, Span, join_pieces, split_sentences, strip_span

_ENDS_SENTENCE = re.compile(r"""[.!?:;…。！？][\s"'”“»’)\]]*$""")
_PUNCTUATION = re.compile(r"[,.:;!?)\]}\u2013\u2014-]+\s+")
_ADDED_STOP = re.compile(r"(?<=[^\W\d_]{2})\.$|(?<=\w)。$")

MAX_SEGMENT_LENGTH = 20_000  # characters; the time to carry markup over is quadratic in the length
MAX_MARKUP = 500  # tags and protected spans of a segment
UNUSABLE = {
    "cut": "the translation does not end",
    "loop": "the translation repeats itself endlessly",
}
"""Why a translation with a mark of degenerate output cannot be used."""


@dataclass
class _Sentence:
    """A sentence, which may occur in several segments, and the state of its translation.

    Attributes:
        text: The sentence on one line.
        placeholders: Its placeholders.
        translation: A translation that has all placeholders, once there is one.
        method: How it was translated; see DocumentResult.
        reason: Why the last attempt failed.
        attempt: The text of the last attempt to translate it whole.
        lost: The placeholders that the attempt lacks.
        marks: The marks of the translation.
        confidence: The confidence of the last attempt; of parts, the lowest. None if unknown.
        is_withheld: Whether its translation must not be used because of its confidence.
        is_text: Whether it is a sentence, rather than a source with several columns.
    """

    text: str
    placeholders: list[Placeholder]
    translation: JoinedTranslation | None = None
    method: str = "failed"
    reason: str = ""
    attempt: str = ""
    lost: tuple[str, ...] = ()
    marks: tuple[str, ...] = ()
    confidence: SegmentConfidence | None = None
    is_withheld: bool = False
    is_text: bool = True


@dataclass
class _Draft:
    """A segment on its way to a translation.

    Attributes:
        segment: The segment.
        content: Its content without the mark of an accelerator.
        accelerator: The mark of its accelerator, `_` or `&`; empty without one.
        letter: The letter of its accelerator.
        groups: The spans of its line groups, each with the spans of its sentences.
        reason: Why it cannot be translated at all; empty if it can.
    """

    segment: Segment
    content: MarkedText
    accelerator: str
    letter: str
    groups: list[tuple[Span, list[tuple[Span, _Sentence]]]]
    reason: str = ""

    def sentences(self) -> list[_Sentence]:
        """Return the sentences of all groups."""
        return [sentence for _, group in self.groups for _, sentence in group]


Sentences = dict[tuple[str, tuple[Span, ...]], _Sentence]
"""The distinct sentences of a document, by their text and their protected spans."""
_HAS_COLUMNS: tuple[Span, ...] = ((-1, -1),)  # in place of the protected spans of a source with several columns


def fill_document(
    document: Document, translate: TranslateFunction, *, language: str = "", split: bool = True, requires: bool = True
) -> DocumentResult:
    """Translate the untranslated entries of a document.

    Args:
        document: The document.
        translate: Translates sentences. Its errors are passed on.
        language: The language code of the source, for finding sentences.
        split: Whether to translate sentences one by one, or each segment whole.
        requires: Whether `translate` supports `TranslationRequest.require`.
    """
    sentences: Sentences = {}
    drafts = [_make_draft(segment, language if split else None, sentences) for segment in document.segments]
    _translate_sentences(list(sentences.values()), translate, requires=requires)
    translations: list[MarkedText | None] = []
    failed: dict[int, EntryReport] = {}  # by entry
    filled: dict[int, EntryReport] = {}
    for index, draft in enumerate(drafts):
        translation, reason = _assemble(draft)
        if translation is not None:
            reason = document.check_translation(index, translation)
        translations.append(translation)
        marks = tuple(sorted({mark for sentence in draft.sentences() for mark in sentence.marks}))
        reason = reason or next((UNUSABLE[mark] for mark in marks if mark in UNUSABLE), "")
        attempts = (sentence.attempt for sentence in draft.sentences() if sentence.reason)
        attempt = translation.text if translation else " / ".join(attempts)
        entry, line, source = draft.segment.entry, draft.segment.line, draft.segment.content.text
        part, confidence = draft.segment.part, _lowest(sentence.confidence for sentence in draft.sentences())
        if reason:
            failed.setdefault(entry, EntryReport(line, source, reason, (), attempt, part, confidence))
        elif marks or confidence is not None:
            filled.setdefault(entry, EntryReport(line, source, "", marks, attempt, part, confidence))
    for index, segment in enumerate(document.segments):
        if segment.entry in failed:
            translations[index] = None
    reports = [*failed.values(), *(report for entry, report in filled.items() if entry not in failed)]
    reports += [EntryReport(skipped.line, "", skipped.reason, part=skipped.part) for skipped in document.skipped]
    parts = {part: order for order, part in enumerate(dict.fromkeys(segment.part for segment in document.segments))}
    num_entries = len({segment.entry for segment in document.segments})
    return DocumentResult(
        data=document.fill(translations),
        entries=num_entries + len(document.skipped) + document.already_translated,
        filled=num_entries - len(failed),
        already_translated=document.already_translated,
        reports=sorted(reports, key=lambda report: (parts.get(report.part, len(parts)), report.line)),
        methods=Counter(sentence.method for sentence in sentences.values()),
        confidences=[_lowest(sentence.confidence for sentence in draft.sentences()) for draft in drafts],
    )


def _make_draft(segment: Segment, language: str | None, sentences: Sentences) -> _Draft:
    """Split a segment into sentences, and add new ones to `sentences`. Without a language, nothing is split."""
    content, accelerator, letter = segment.content, "", ""
    if len(content.text) > MAX_SEGMENT_LENGTH or len(content.tags) + len(content.protected) > MAX_MARKUP:
        reason = f"the text has more than {MAX_SEGMENT_LENGTH:,} characters, or more than {MAX_MARKUP} pieces of markup"
        return _Draft(segment, content, accelerator, letter, [], reason)
    if segment.has_columns:
        sentence = sentences.setdefault((content.text, _HAS_COLUMNS), _Sentence(content.text, [], is_text=False))
        span = 0, len(content.text)
        return _Draft(segment, content, accelerator, letter, [(span, [(span, sentence)])])
    if segment.can_have_accelerator and not content.tags and not content.protected:
        text, accelerator, letter = split_accelerator(content.text)
        content = MarkedText(text) if accelerator else content
    text = content.text
    protected = _spans(content.protected)
    unbreakable = _spans(find_placeholders(text, protected))
    groups = []
    for group in [(0, len(text))] if segment.is_reflowable else split_line_groups(text):
        group_sentences = []
        columns = [group] if segment.is_reflowable else split_columns(text, *group)
        for span in (span for column in columns for span in _sentence_spans(text, column, language, unbreakable)):
            key = _as_one_line(text, span, protected)
            if key not in sentences:
                sentences[key] = _Sentence(key[0], find_placeholders(*key))
            group_sentences.append((span, sentences[key]))
        groups.append((group, group_sentences))
    return _Draft(segment, content, accelerator, letter, groups)


def _lowest(confidences: Iterable[SegmentConfidence | None]) -> SegmentConfidence | None:
    """Return the lowest value, and all words in order; None if no confidence is known."""
    known = [confidence for confidence in confidences if confidence is not None]
    if not known:
        return None
    words = tuple(word for confidence in known for word in confidence.words)
    return SegmentConfidence(min(confidence.value for confidence in known), words)


def _spans(parts: Sequence[Placeholder] | Sequence[ProtectedSpan]) -> list[Span]:
    return [(part.start, part.end) for part in parts]


def _sentence_spans(text: str, column: Span, language: str | None, unbreakable: Sequence[Span]) -> Iterator[Span]:
    return strip_span(text, *column) if language is None else split_sentences(text, column, language, unbreakable)


def _as_one_line(text: str, span: Span, protected: Sequence[Span]) -> tuple[str, tuple[Span, ...]]:
    """Return a span of the text on one line with single spaces, and the protected spans in it."""

    def collapse(start: int, end: int) -> str:
        return re.sub(r"\s+", " ", text[start:end])

    start, end = span
    inside = [
        (len(collapse(start, first)), len(collapse(start, last)))
        for first, last in protected
        if start <= first and last <= end
    ]
    return collapse(start, end), tuple(inside)


def _translate_sentences(sentences: Sequence[_Sentence], translate: TranslateFunction, *, requires: bool) -> None:
    """Translate sentences whole, then with lost placeholders required, then in parts."""
    pending = []
    for sentence in sentences:
        if not sentence.is_text or _translatable_parts(sentence):
            pending.append(sentence)
        else:  # it consists of placeholders only
            sentence.translation, sentence.method = JoinedTranslation(sentence.text, ()), "whole"
    _translate_whole(pending, translate, [TranslationRequest(sentence.text) for sentence in pending], "whole")
    if requires:
        lossy = [sentence for sentence in pending if sentence.translation is None and sentence.lost]
        requests = [TranslationRequest(sentence.text, sentence.lost) for sentence in lossy]
        _translate_whole(lossy, translate, requests, "required")
    incomplete = [
        sentence
        for sentence in pending
        if sentence.translation is None and sentence.placeholders and not sentence.is_withheld
    ]
    _translate_in_parts(incomplete, translate)


def _translate_whole(
    sentences: Sequence[_Sentence],
    translate: TranslateFunction,
    requests: Sequence[TranslationRequest],
    method: str,
) -> None:
    """Translate each sentence by its request, and keep the translations that have all placeholders."""
    translations = translate(requests) if requests else ()
    for sentence, translation in zip(sentences, translations, strict=True):
        sentence.attempt = translation.text.strip()
        if sentence.is_text:
            sentence.attempt = _strip_added_stop(sentence.text, sentence.attempt)
        sentence.confidence = translation.confidence
        if translation.withheld:
            sentence.reason, sentence.lost, sentence.is_withheld = translation.withheld, (), True
            continue
        sentence.reason, sentence.lost = _check_placeholders(sentence, sentence.attempt)
        if not sentence.reason:
            sentence.translation = JoinedTranslation(sentence.attempt, translation.alignment)
            sentence.method, sentence.marks = method, translation.marks


def _translate_in_parts(sentences: Sequence[_Sentence], translate: TranslateFunction) -> None:
    """Translate the parts between the placeholders of each sentence, and keep the placeholders as they are."""
    all_spans = [_translatable_parts(sentence) for sentence in sentences]
    requests = [
        TranslationRequest(sentence.text[start:end])
        for sentence, spans in zip(sentences, all_spans, strict=True)
        for start, end in spans
    ]
    translations = iter(translate(requests) if requests else ())
    for sentence, spans in zip(sentences, all_spans, strict=True):
        pieces: list[Piece] = []
        marks: list[str] = []
        parts = list(islice(translations, len(spans)))
        for (start, end), translation in zip(spans, parts, strict=True):
            text = _strip_added_stop(sentence.text[start:end], translation.text.strip())
            pieces.append(Piece(start, end, text, translation.alignment))
            marks += translation.marks
        sentence.confidence = _lowest(part.confidence for part in parts)
        if withheld := next((part.withheld for part in parts if part.withheld), ""):
            sentence.reason, sentence.is_withheld = withheld, True
            continue
        joined = join_pieces(sentence.text, pieces)
        if all(piece.text for piece in pieces) and not _check_placeholders(sentence, joined.text)[0]:
            sentence.translation, sentence.method = joined, "parts"
            sentence.reason, sentence.marks = "", tuple(marks)


def _translatable_parts(sentence: _Sentence) -> list[Span]:
    """Return the spans between the placeholders that have letters, without punctuation that follows a placeholder."""
    text = sentence.text
    parts = []
    for start, end in spans_between(text, 0, len(text), _spans(sentence.placeholders)):
        punctuation = _PUNCTUATION.match(text, start, end) if start else None
        parts.append((punctuation.end() if punctuation else start, end))
    return parts


def _strip_added_stop(source: str, translation: str) -> str:
    """Remove the full stop that a model adds to a heading, or to a part of a sentence.

    The stop of an abbreviation, an ordinal or an ellipsis stays.
    """
    return translation if _ENDS_SENTENCE.search(source) else _ADDED_STOP.sub("", translation)


def _check_placeholders(sentence: _Sentence, translation: str) -> tuple[str, tuple[str, ...]]:
    """Return why a translation cannot be used (empty if it can), and the placeholders that it lacks."""
    if not translation:
        return "the translation is empty", ()
    if not sentence.is_text:
        return "", ()
    literals = [placeholder for placeholder in sentence.placeholders if placeholder.kind == "literal"]
    spans = locate_literals(sentence.text, _spans(literals), translation)
    if spans is None:
        texts = tuple(placeholder.text for placeholder in literals)
        return "the translation does not have the same number of " + ", ".join(texts), texts
    placeholders = find_placeholders(translation, spans)
    if not any(spans_between(translation, 0, len(translation), _spans(placeholders))):
        return "the translation has no word", ()
    source_keys = Counter(placeholder.key for placeholder in sentence.placeholders)
    missing = source_keys - Counter(placeholder.key for placeholder in placeholders)
    lost = tuple(placeholder.text for placeholder in sentence.placeholders if placeholder.key in missing)
    reason = placeholder_error(sentence.placeholders, placeholders)
    if not reason and (joined := joined_placeholder(sentence.text, sentence.placeholders, translation, placeholders)):
        reason = f"the translation joins {joined} to a word"
    return reason, lost


def _assemble(draft: _Draft) -> tuple[MarkedText | None, str]:
    """Return the translation of a segment with its markup, or None and the reason why there is none."""
    if draft.reason:
        return None, draft.reason
    text = draft.content.text
    if draft.segment.has_columns:
        (sentence,) = draft.sentences()
        return None if sentence.translation is None else MarkedText(sentence.translation.text), sentence.reason
    groups: list[Piece] = []
    for (start, end), sentences in draft.groups:
        pieces = []
        for (first, last), sentence in sentences:
            if sentence.translation is None:
                return None, sentence.reason
            translation = sentence.translation
            pieces.append(Piece(first - start, last - start, translation.text, translation.alignment))
        joined = join_pieces(text[start:end], pieces)
        protected = [
            (span.start - start, span.end - start) for span in draft.content.protected if start <= span.start < end
        ]
        wrapped = _wrap_like(text[start:end], joined.text, protected) if sentences else joined.text
        groups.append(Piece(start, end, wrapped, joined.alignment))
    joined = join_pieces(text, groups)
    if not draft.segment.is_reflowable and joined.text.count("\n") != text.count("\n"):
        return None, "the translation has too few words for its lines"
    content = project_markup(draft.content, joined.text, joined.alignment)
    if content is None:
        return None, "the translation does not have the same untranslatable parts as the source"
    reason = placeholder_error(
        find_placeholders(text, _spans(draft.content.protected)),
        find_placeholders(content.text, _spans(content.protected)),
    )
    if reason:
        return None, reason
    return _insert_accelerator(content, draft) if draft.accelerator else (content, "")


def _wrap_like(source: str, translation: str, protected: Sequence[Span]) -> str:
    """Wrap a translation into as many lines as its source has."""
    flat = flatten(translation)
    placeholders = find_placeholders(flat, locate_literals(source, protected, flat) or ())
    return wrap_lines(flat, source.count("\n") + 1, _spans(placeholders))


def _insert_accelerator(content: MarkedText, draft: _Draft) -> tuple[MarkedText | None, str]:
    """Put the accelerator mark of a label into its translation."""
    text = content.text
    position = place_accelerator(text, draft.letter, _spans(find_placeholders(text)))
    if position is None or draft.accelerator in text:
        return None, f"there is no place for the accelerator mark {draft.accelerator}"
    return MarkedText(text[:position] + draft.accelerator + text[position:]), ""
