"""Translate texts: split them into segments, translate these in batches, and join them again.

Plain text is split by `Translator.segments`. Text with placeholders is handled by `regard.documents`, line by line, and
HTML as a document, which preserves whitespace, placeholders and markup. Parts whose translation cannot be filled in
stay untranslated and are reported.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from itertools import islice

from regard.corpus.language_codes import base_code
from regard.decoding.strategies import length_limit
from regard.documents.document import Columns, Document, LanguagePair, MarkedText, Segment, SkippedEntry
from regard.documents.html import HtmlDocument
from regard.documents.line_segments import Line, LineDocument
from regard.documents.paragraphs import ParagraphDocument
from regard.documents.translate import TranslatedText, TranslationRequest, fill_document
from regard.inference.translation import Translation, join
from regard.inference.translator import Translator
from regard.serving.batcher import Batcher, SearchKey, Sentence, Ticket
from regard.serving.confidence import RequestConfidence
from regard.serving.limits import Limits, invalid
from regard.serving.models import ServedModel
from regard.terms.glossary import Glossary
from regard.text.model_input import prepare_input
from regard.text.placeholders import find_placeholders
from regard.text.segments import Span
from regard.tokenizers.words import prefix_problem

# Declares UTF-8 ahead of any declaration in the text; the block element separates it from the text.
_UTF8_PREFIX = "\ufeff<hr>"


@dataclass(frozen=True)
class SkippedText:
    """A part that stays untranslated: the number of its text (from 1), its source, and the reason."""

    text: int
    source: str
    reason: str


@dataclass(frozen=True)
class Task:
    """Texts to translate with one model.

    Attributes:
        served: The model.
        texts: The texts.
        html: Whether the texts are HTML.
        alternatives: Number of alternatives per text; HTML has none.
        split_sentences: See Translator.stream.
        join_lines: Whether to treat line breaks as spaces.
        prefix: The beginning of the translation, for a single text without HTML.
        with_sentences: Whether to find the sentences of each text; not for HTML.
        as_document: Whether to treat texts without placeholders like those with them.
        with_confidence: Whether to return confidences.
        min_confidence: Sentences with less confidence stay untranslated; None: none do.
        glossary: Terms that translations must have; None: those of the run's default glossary.
    """

    served: ServedModel
    texts: Sequence[str]
    html: bool = False
    alternatives: int = 0
    split_sentences: bool | None = None
    join_lines: bool = False
    prefix: str = ""
    with_sentences: bool = False
    as_document: bool = False
    with_confidence: bool = False
    min_confidence: float | None = None
    glossary: Glossary | None = None


@dataclass
class TranslationResult:
    """For each text its translation and its alternatives, best first, and its sentences; and the skipped parts.

    Sentences are spans in the text and in its translation.
    """

    texts: list[str]
    alternatives: list[list[str]]
    skipped: list[SkippedText] = field(default_factory=list)
    sentences: list[list[tuple[Span, Span]]] = field(default_factory=list)
    confidence: RequestConfidence | None = None


def translate(batcher: Batcher, limits: Limits, task: Task, ticket: Ticket) -> TranslationResult:
    """Translate all texts of a task; block until that is done.

    Raises:
        RequestRejected: The queue is full, or the deadline has passed.
        RegardError: The translation failed.
    """
    count = 1 if task.html else task.alternatives + 1
    translator = task.served.translator
    confidence = RequestConfidence(len(task.texts), task.min_confidence)
    batched = _BatchTranslator(batcher, limits, task, count, ticket, confidence)
    plain = (
        {}
        if task.html or task.join_lines or task.as_document
        else {index: text for index, text in enumerate(task.texts) if task.prefix or is_plain(text, translator)}
    )
    spans = {index: translator.segments(text, task.split_sentences) for index, text in plain.items()}
    parts = [plain[index][start:end] for index, text_spans in spans.items() for start, end in text_spans]
    futures = batched.submit_after_prefix(parts, task.prefix) if task.prefix else batched.submit(parts)
    rest = [index for index in range(len(task.texts)) if index not in plain]
    document = _CombinedDocument([_document(task, task.texts[index]) for index in rest], rest)
    batched.attention = any(segment.content.tags for segment in document.segments)
    variants: list[list[str]] = [[] for _ in task.texts]  # the translations of each text
    skipped: list[SkippedText] = []
    split = not translator.trained_on_several if task.split_sentences is None else task.split_sentences
    language = base_code(task.served.source)
    for rank in range(count if rest else 0):
        batched.rank = rank
        outcome = fill_document(document, batched, language=language, split=split, requires=batched.requires)
        for index, text in zip(rest, document.filled, strict=True):
            variants[index].append(text)
        if not rank:
            skipped = [
                SkippedText(report.line, report.source, report.reason) for report in outcome.reports if report.reason
            ]
            confidence.add_segments(document.segments, outcome.confidences)
            for index, text in zip(() if task.html else rest, document.filled, strict=False):
                confidence.find_words(index, text, document.segments, outcome.confidences)
    results = iter(batched.results(futures))
    sentences: list[list[tuple[Span, Span]]] = [[] for _ in task.texts]
    for index, text in plain.items():
        segments = confidence.withhold(index, text, spans[index], list(islice(results, len(spans[index]))))
        joined = join(text, spans[index], segments, count)
        variants[index] = [variant.text for variant in joined]
        sentences[index] = [(part.source, part.target) for part in joined[0].parts]
        confidence.add(index, joined[0])
        literals = [] if is_plain(text, translator) else _literals(text)
        if task.prefix and (lost := [literal for literal in literals if literal not in joined[0].text]):
            raise invalid(f"with this prefix, the translation lacks {', '.join(lost)}")
    skipped += [SkippedText(index + 1, source, reason) for index, source, reason in confidence.withheld]
    unique = [list(dict.fromkeys(texts)) for texts in variants]
    if task.with_sentences and not task.html:
        for index in rest:
            sentences[index], _ = find_sentences(batcher, limits, task, task.texts[index], unique[index][0], ticket)
    best, alternatives = [texts[0] for texts in unique], [texts[1:] for texts in unique]
    return TranslationResult(best, alternatives, skipped, sentences, confidence)


def make_document_translator(
    batcher: Batcher, limits: Limits, task: Task, ticket: Ticket, *, with_attention: bool
) -> _BatchTranslator:
    """Return a translator of the sentences of a document; `with_attention` if it has inline markup.

    The task names the model and the glossary.
    """
    batched = _BatchTranslator(batcher, limits, task, 1, ticket, RequestConfidence(0, None))
    batched.attention = with_attention
    return batched


def find_sentences(
    batcher: Batcher, limits: Limits, task: Task, text: str, translation: str, ticket: Ticket
) -> tuple[list[tuple[Span, Span]], list[str]]:
    """Find the sentences of a text with placeholders in its translation, and return the translation of each, too.

    The sentences are translated one by one. If their translations, joined, differ from that of the text, the whole
    text is returned as one sentence.
    """
    spans = task.served.translator.segments(text, task.split_sentences)
    parts = [text[start:end] for start, end in spans]
    alone = replace(task, texts=parts, alternatives=0, prefix="", with_sentences=False, as_document=True)
    filled = translate(batcher, limits, alone, ticket).texts
    (joined,) = join(text, spans, [[Translation(part, 0.0, 0.0)] for part in filled], 1)
    if joined.text == translation:
        return [(part.source, part.target) for part in joined.parts], filled
    return [(stripped_span(text), stripped_span(translation))], [translation.strip()]


def stripped_span(text: str) -> Span:
    """Return the span of a text without the white space around it."""
    return len(text) - len(text.lstrip()), len(text.rstrip())


def check_prefix(translator: Translator, sentence: str, prefix: str, require: Sequence[str] = ()) -> None:
    """Raise RequestRejected if a prefix is not valid: it is too long, or the vocabulary lacks a part of it.

    Args:
        translator: The model.
        sentence: The sentence to translate.
        prefix: The prefix, which may have fewer tokens than the longest translation of the sentence.
        require: The phrases that are required.
    """
    longest = length_limit(len(translator.tokenizers.source.encode(sentence)), translator.search)
    if len(translator.tokenizers.target.encode(prefix)) >= longest:
        raise invalid(f"prefix must have fewer than {longest} tokens for this q")
    languages = translator.source_language, translator.target_language
    prepared = prepare_input(sentence, translator.tokenizers, (*require, prefix), languages)
    if problem := prefix_problem(translator.tokenizers.target, prepared.phrase(prefix)):
        raise invalid(problem)


def search_key(
    served: ServedModel, limits: Limits, count: int, *, with_attention: bool, is_constrained: bool = False
) -> SearchKey:
    """Return the search key for `count` translations per sentence."""
    search = served.translator.search
    beam = max(min(search.beam_size, limits.beam), count)
    if search.strategy == "diverse" and count == 1 and not is_constrained:
        return SearchKey(served.translator, with_attention=with_attention)
    return SearchKey(served.translator, count, beam, with_attention, is_constrained=is_constrained)


def make_sentence(
    served: ServedModel,
    text: str,
    require: tuple[str, ...] = (),
    prefix: str = "",
    *,
    glossary: Glossary | None = None,
) -> Sentence:
    """Return a sentence for the batcher, with the terms that a glossary has for it."""
    translator = served.translator
    terms = () if glossary is None else glossary.find(text, translator.terms.forms)
    return Sentence(text, len(translator.tokenizers.source.encode(text.strip())), require, prefix, terms)


def is_plain(text: str, translator: Translator) -> bool:
    """Return whether a text has no placeholders other than numbers. A source with several columns has none."""
    return translator.num_columns > 1 or not _literals(text)


def _literals(text: str) -> list[str]:
    """Return the placeholders of a text other than numbers, without repetition."""
    placeholders = (placeholder.text for placeholder in find_placeholders(text) if placeholder.kind != "number")
    return list(dict.fromkeys(placeholders))


def _document(task: Task, text: str) -> Document:
    if task.html:
        return _Html(text)
    return ParagraphDocument(text.encode(), "q", LanguagePair(), Columns()) if task.join_lines else _Lines(text)


class _Lines(LineDocument):
    """Plain text with one segment per line, so that all line breaks are preserved."""

    def __init__(self, text: str) -> None:
        super().__init__(text.encode(), "q")
        for number, match in enumerate(re.finditer(r"[^\r\n]+", self._text), start=1):
            line = match[0].strip()
            if any(map(str.isalnum, line)):
                start = match.start() + match[0].index(line)
                self.segments.append(Segment(MarkedText(line), number, len(self._lines), is_reflowable=True))
                self._lines.append([Line(start, start + len(line), match.end())])


class _Html(HtmlDocument):
    """HTML that is already decoded: an encoding declared in it is ignored."""

    def __init__(self, text: str) -> None:
        super().__init__((_UTF8_PREFIX + text).encode(), "q", LanguagePair(), Columns())

    def fill(self, translations: Sequence[MarkedText | None]) -> bytes:
        """See Document."""
        return super().fill(translations)[len(_UTF8_PREFIX.encode()) :]


class _CombinedDocument:
    """Several documents as one Document, so that all their sentences are translated together."""

    def __init__(self, documents: Sequence[Document], indices: Sequence[int]) -> None:
        self.name = "q"
        self.already_translated = 0
        self.skipped: list[SkippedEntry] = []
        self.segments: list[Segment] = []
        self.filled: list[str] = []  # the documents with the latest translations
        self._documents = documents
        self._origins: list[tuple[int, int]] = []  # the document of each segment, and its number in it
        for number, (document, index) in enumerate(zip(documents, indices, strict=True)):
            first = len(self.segments)
            for local, segment in enumerate(document.segments):
                self.segments.append(replace(segment, line=index + 1, entry=first + segment.entry))
                self._origins.append((number, local))

    def check_translation(self, number: int, translation: MarkedText) -> str:
        """See Document."""
        document, local = self._origins[number]
        return self._documents[document].check_translation(local, translation)

    def fill(self, translations: Sequence[MarkedText | None]) -> bytes:
        """See Document."""
        parts: list[list[MarkedText | None]] = [[] for _ in self._documents]
        for (document, _), translation in zip(self._origins, translations, strict=True):
            parts[document].append(translation)
        self.filled = [document.fill(part).decode() for document, part in zip(self._documents, parts, strict=True)]
        return b""


class _BatchTranslator:
    """Translates the requests of documents. Returns the translation at `rank` in the n-best list, or the last one."""

    def __init__(
        self, batcher: Batcher, limits: Limits, task: Task, count: int, ticket: Ticket, confidence: RequestConfidence
    ) -> None:
        self.rank = 0
        self.attention = False
        self.glossary = task.glossary or task.served.translator.terms.default
        self._batcher = batcher
        self._limits = limits
        self._served = task.served
        self._with_confidence = task.with_confidence or task.min_confidence is not None
        self._confidence = confidence
        self._count = count
        self._ticket = ticket
        self._known: dict[TranslationRequest, list[Translation]] = {}

    @property
    def requires(self) -> bool:
        """Whether the search supports required strings."""
        return self._count > 1 or self._served.translator.search.strategy == "beam"

    def submit(self, texts: Sequence[str], requires: Sequence[tuple[str, ...]] = ()) -> list[Future[list[Translation]]]:
        """Submit texts to the batcher. Raise RequestRejected if its queue is full."""
        key = search_key(self._served, self._limits, self._count, with_attention=self.attention)
        key = replace(key, with_confidence=self._with_confidence)
        required = requires or [()] * len(texts)
        sentences = [
            make_sentence(self._served, text, require, glossary=self.glossary)
            for text, require in zip(texts, required, strict=True)
        ]
        return self._batcher.submit(key, sentences, self._ticket)

    def submit_after_prefix(self, texts: Sequence[str], prefix: str) -> list[Future[list[Translation]]]:
        """Submit the sentences of a text whose translation begins with a prefix; placeholders are required."""
        if texts:
            first_literals = [literal for literal in _literals(texts[0]) if literal not in prefix]
            check_prefix(self._served.translator, texts[0], prefix, first_literals)
        key = search_key(self._served, self._limits, self._count, with_attention=False, is_constrained=True)
        key = replace(key, with_confidence=self._with_confidence)
        sentences = []
        for number, text in enumerate(texts):
            beginning = "" if number else prefix
            require = tuple(literal for literal in _literals(text) if literal not in beginning)
            sentences.append(make_sentence(self._served, text, require, beginning, glossary=self.glossary))
        return self._batcher.submit(key, sentences, self._ticket)

    def results(self, futures: Sequence[Future[list[Translation]]]) -> list[list[Translation]]:
        """Wait for the translations, best first. Raise RequestRejected after the deadline."""
        return self._batcher.results(futures, self._ticket)

    def __call__(self, requests: Sequence[TranslationRequest]) -> list[TranslatedText]:
        """See regard.documents.translate."""
        new = [request for request in dict.fromkeys(requests) if request not in self._known]
        futures = self.submit([request.text for request in new], [request.require for request in new])
        self._known.update(zip(new, self.results(futures), strict=True))
        n_best_lists = (self._known[request] for request in requests)
        ranked = (n_best[min(self.rank, len(n_best) - 1)] for n_best in n_best_lists)
        return [self._confidence.to_text(best) for best in ranked]
