"""From a document and a translator to the document translated: nothing is lost, and what was left is told.

A sentence is translated as it is. Where the translation has not the placeholders of its source, it is asked for again
with those required that it lost, and then in parts, those between its placeholders; where that is of no use, its entry
stays untranslated.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from regard.documents.document import Document, MarkedText, Segment
from regard.documents.inline_markup import project_markup
from regard.documents.splitting import flatten, spans_between, split_columns, split_line_groups, wrap_lines
from regard.text.placeholders import (
    Placeholder,
    find_placeholders,
    locate_literals,
    place_accelerator,
    placeholder_error,
    split_accelerator,
)
from regard.text.segments import Alignment, JoinedTranslation, Piece, Span, join_pieces, split_sentences, strip_span

LONGEST = 20_000  # characters of a segment, which nobody writes; time grows with their square
MOST_MARKS = 500
UNUSABLE = {
    "cut": "the translation has no end",
    "loop": "the translation goes round in a loop",
}  # by the marks of a search


@dataclass(frozen=True)
class TranslationRequest:
    """A sentence, or a part of one, and what must be in its translation."""

    text: str
    require: tuple[str, ...] = ()


@dataclass(frozen=True)
class TranslatedText:
    """Its translation, the words of both that belong together, and what tells that it has gone wrong (mostly none)."""

    text: str
    alignment: Alignment = ()
    marks: tuple[str, ...] = ()


TranslateFunction = Callable[[Sequence[TranslationRequest]], Sequence[TranslatedText]]
"""Translates each of several texts, in order."""


@dataclass(frozen=True)
class EntryReport:
    """An entry that was left untranslated (`why`), or whose translation looks degenerate (`marks`)."""

    line: int
    source: str
    reason: str = ""
    marks: tuple[str, ...] = ()
    translation: str = ""


@dataclass
class DocumentResult:
    """The document's bytes, and the account: entries = filled + done + those of `reports` with a `why`.

    ways: how many sentences came through at first, with what was `required`, in `parts`, or not at all (`left`).
    """

    data: bytes = b""
    entries: int = 0
    filled: int = 0
    already_translated: int = 0
    reports: list[EntryReport] = field(default_factory=list)
    methods: Counter[str] = field(default_factory=Counter)

    @property
    def untranslated(self) -> int:
        """How many entries stay untranslated."""
        return sum(1 for report in self.reports if report.reason)


@dataclass
class _Sentence:
    """One sentence, wherever it stands, and how far its translation has come."""

    text: str
    holders: list[Placeholder]
    whole: JoinedTranslation | None = None
    way: str = "failed"
    reason: str = ""
    tried: str = ""
    lost: tuple[str, ...] = ()
    marks: tuple[str, ...] = ()


@dataclass
class _Draft:
    """One segment: its text without an accelerator's mark, and its sentences by the groups of lines they stand in."""

    segment: Segment
    content: MarkedText
    sign: str
    letter: str
    groups: list[tuple[Span, list[tuple[Span, _Sentence]]]]
    why: str = ""  # it cannot be translated at all


def fill_document(
    document: Document, ask: TranslateFunction, *, language: str = "", split: bool = True, requires: bool = True
) -> DocumentResult:
    """Translates what is untranslated. Raises what `ask` raises.

    language: of the source, for its sentences. split: whether sentences are translated one by one.
    requires: whether `ask` heeds what a request requires.
    """
    known: dict[tuple[str, tuple[Span, ...]], _Sentence] = {}
    drafts = [_draft(segment, language if split else None, known) for segment in document.segments]
    _translate(list(known.values()), ask, requires=requires)
    translations: list[MarkedText | None] = []
    whys: dict[int, EntryReport] = {}
    told: dict[int, EntryReport] = {}
    for number, draft in enumerate(drafts):
        translation, why = _finished(draft)
        if translation is not None:
            why = document.check_translation(number, translation)
        translations.append(translation)
        segment = draft.segment
        parts = [sentence for _, group in draft.groups for _, sentence in group]
        marks = tuple(sorted({mark for one in parts for mark in one.marks}))
        why = why or next((UNUSABLE[mark] for mark in marks if mark in UNUSABLE), "")
        tried = translation.text if translation else " / ".join(one.tried for one in parts if one.reason)
        if why:
            whys.setdefault(segment.entry, EntryReport(segment.line, segment.content.text, why, (), tried))
        elif marks:
            told.setdefault(segment.entry, EntryReport(segment.line, segment.content.text, "", marks, tried))
    entries = {segment.entry for segment in document.segments}
    for number, segment in enumerate(document.segments):
        if segment.entry in whys:
            translations[number] = None
    reports = [*whys.values(), *(report for entry, report in told.items() if entry not in whys)]
    reports += [EntryReport(skipped.line, "", skipped.reason) for skipped in document.skipped]
    return DocumentResult(
        data=document.fill(translations),
        entries=len(entries) + len(document.skipped) + document.already_translated,
        filled=len(entries) - len(whys),
        already_translated=document.already_translated,
        reports=sorted(reports, key=lambda report: report.line),
        methods=_ways(known.values()),
    )


def _ways(known: Iterable[_Sentence]) -> Counter[str]:
    return Counter(one.way for one in known)


def _draft(segment: Segment, language: str | None, known: dict[tuple[str, tuple[Span, ...]], _Sentence]) -> _Draft:
    marked, sign, letter = segment.content, "", ""
    if len(marked.text) > LONGEST or len(marked.tags) + len(marked.protected) > MOST_MARKS:
        why = f"it has more than {LONGEST:,} characters, or {MOST_MARKS} pieces of markup"
        return _Draft(segment, marked, sign, letter, [], why)
    if segment.can_have_accelerator and not marked.tags and not marked.protected:
        text, sign, letter = split_accelerator(marked.text)
        marked = MarkedText(text) if sign else marked
    text = marked.text
    atoms = [(atom.start, atom.end) for atom in marked.protected]
    kept = [(one.start, one.end) for one in find_placeholders(text, atoms)]
    groups = []
    for group in [(0, len(text))] if segment.is_reflowable else split_line_groups(text):
        found = []
        columns = [group] if segment.is_reflowable else split_columns(text, *group)
        for span in (span for column in columns for span in _spans(text, column, language, kept)):
            flat, literals = _flat(text, span, atoms)
            if (flat, literals) not in known:
                known[flat, literals] = _Sentence(flat, find_placeholders(flat, literals))
            found.append((span, known[flat, literals]))
        groups.append((group, found))
    return _Draft(segment, marked, sign, letter, groups)


def _spans(text: str, column: Span, language: str | None, kept: Sequence[Span]) -> Iterator[Span]:
    return strip_span(text, *column) if language is None else split_sentences(text, column, language, kept)


def _flat(text: str, span: Span, atoms: Sequence[Span]) -> tuple[str, tuple[Span, ...]]:
    """The span in one line with single spaces, and the atoms in it by their new places."""

    def flat(start: int, end: int) -> str:
        return re.sub(r"\s+", " ", text[start:end])

    start, end = span
    literals = [
        (len(flat(start, first)), len(flat(start, last))) for first, last in atoms if start <= first and last <= end
    ]
    return flat(start, end), tuple(literals)


def _translate(sentences_: Sequence[_Sentence], ask: TranslateFunction, *, requires: bool) -> None:
    asked = []
    for one in sentences_:
        if _parts(one):
            asked.append(one)
        else:  # nothing but what is to stay
            one.whole, one.way = JoinedTranslation(one.text, ()), "whole"
    _try(asked, ask, [TranslationRequest(one.text) for one in asked], "whole")
    again = [one for one in asked if one.whole is None and one.lost]
    if requires and again:
        _try(again, ask, [TranslationRequest(one.text, one.lost) for one in again], "required")
    again = [one for one in asked if one.whole is None and one.holders]
    spans = [_parts(one) for one in again]
    texts = [one.text[start:end] for one, parts in zip(again, spans, strict=True) for start, end in parts]
    said = iter(ask([TranslationRequest(text) for text in texts]) if texts else ())
    for one, parts in zip(again, spans, strict=True):
        pieces: list[Piece] = []
        marks: list[str] = []
        for start, end in parts:
            answer = next(said)
            pieces.append(Piece(start, end, _as_part(one.text[start:end], answer.text.strip()), answer.alignment))
            marks += answer.marks
        whole = join_pieces(one.text, pieces)
        if all(piece.text for piece in pieces) and not _wrong(one, whole.text)[0]:
            one.whole, one.way, one.reason, one.marks = whole, "parts", "", tuple(marks)


def _try(asked: Sequence[_Sentence], ask: TranslateFunction, requests: Sequence[TranslationRequest], way: str) -> None:
    for one, said in zip(asked, ask(requests) if requests else (), strict=True):
        text = said.text.strip()
        one.reason, one.lost = _wrong(one, text)
        one.tried = text
        if not one.reason:
            one.whole, one.way, one.marks = JoinedTranslation(text, said.alignment), way, said.marks


def _parts(one: _Sentence) -> list[Span]:
    return list(spans_between(one.text, 0, len(one.text), [(holder.start, holder.end) for holder in one.holders]))


def _as_part(source: str, translation: str) -> str:
    """Without the full stop that a model puts behind a part of a sentence."""
    if translation.endswith(".") and not translation.endswith("..") and not source.endswith("."):
        return translation[:-1]
    return translation


def _wrong(one: _Sentence, text: str) -> tuple[str, tuple[str, ...]]:
    """Why a translation will not do, and which placeholders it lost."""
    if not text:
        return "the translation is empty", ()
    literals = [holder for holder in one.holders if holder.kind == "literal"]
    spans = locate_literals(one.text, [(holder.start, holder.end) for holder in literals], text)
    if spans is None:
        names = tuple(holder.text for holder in literals)
        return "it has not as often " + ", ".join(names), names
    found = find_placeholders(text, spans)
    if not any(spans_between(text, 0, len(text), [(holder.start, holder.end) for holder in found])):
        return "the translation has no word", ()
    lost = Counter(holder.key for holder in one.holders) - Counter(holder.key for holder in found)
    return placeholder_error(one.holders, found), tuple(holder.text for holder in one.holders if holder.key in lost)


def _finished(draft: _Draft) -> tuple[MarkedText | None, str]:
    """The whole segment's translation, or why there is none."""
    if draft.why:
        return None, draft.why
    text = draft.content.text
    groups: list[Piece] = []
    for (start, end), found in draft.groups:
        pieces = []
        for (first, last), sentence in found:
            if sentence.whole is None:
                return None, sentence.reason
            pieces.append(Piece(first - start, last - start, sentence.whole.text, sentence.whole.alignment))
        whole = join_pieces(text[start:end], pieces)
        atoms = [(one.start - start, one.end - start) for one in draft.content.protected if start <= one.start < end]
        said = _wrapped(text[start:end], whole.text, atoms) if found else whole.text
        groups.append(Piece(start, end, said, whole.alignment))
    whole = join_pieces(text, groups)
    if not draft.segment.is_reflowable and whole.text.count("\n") != text.count("\n"):
        return None, "it has too few words for its lines"
    marked = project_markup(draft.content, whole.text, whole.alignment)
    if marked is None:
        return None, "it has not what is not to be translated as often as the source"
    atoms, before = [(atom.start, atom.end) for atom in marked.protected], draft.content.protected
    wrong = placeholder_error(
        find_placeholders(text, [(atom.start, atom.end) for atom in before]), find_placeholders(marked.text, atoms)
    )
    if wrong:
        return None, wrong
    return _with_accelerator(marked, draft) if draft.sign else (marked, "")


def _wrapped(source: str, text: str, atoms: Sequence[Span]) -> str:
    flat = flatten(text)
    kept = [(one.start, one.end) for one in find_placeholders(flat, locate_literals(source, atoms, flat) or ())]
    return wrap_lines(flat, source.count("\n") + 1, kept)


def _with_accelerator(marked: MarkedText, draft: _Draft) -> tuple[MarkedText | None, str]:
    taken = [(one.start, one.end) for one in find_placeholders(marked.text)]
    place = place_accelerator(marked.text, draft.letter, taken)
    if place is None or draft.sign in marked.text:
        return None, f"there is no place for its accelerator's {draft.sign}"
    return MarkedText(marked.text[:place] + draft.sign + marked.text[place:]), ""
