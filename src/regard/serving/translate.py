"""From texts to their translations: divided into segments, searched in company, and joined again.

Text is divided by `Translator.segments`, as everywhere. Text with placeholders goes through `regard.documents`,
line by line, so that they come through, and HTML as a document: white space and markup stay, and what cannot be filled
stays as it was and is reported.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from itertools import islice

from regard.documents.document import Columns, Document, LanguagePair, MarkedText, Segment, SkippedEntry
from regard.documents.html import HtmlDocument
from regard.documents.line_segments import Line, LineDocument
from regard.documents.paragraphs import ParagraphDocument
from regard.documents.translate import TranslatedText, TranslationRequest, fill_document
from regard.errors import DataError
from regard.inference.translation import Translation, join
from regard.serving.batcher import Batcher, Order, Sentence, Ticket
from regard.serving.limits import Limits
from regard.serving.models import Served
from regard.text.placeholders import find_placeholders

# Says UTF-8 before anything in the text can say otherwise, and is divided from it by a tag of a block.
_UTF8 = "\ufeff<hr>"


@dataclass(frozen=True)
class Left:
    """What stays as it was: in which text (from 1), what, and why."""

    text: int
    source: str
    why: str


@dataclass(frozen=True)
class Task:
    """Texts for one model, and how many alternatives of each are wanted (of HTML none is given).

    split_sentences: as Translator.stream has it. flows: a line break in a text is only white space.
    """

    served: Served
    texts: Sequence[str]
    html: bool = False
    alternatives: int = 0
    split_sentences: bool | None = None
    flows: bool = False


@dataclass
class Done:
    """For each text its translation and its alternatives, best first; and what was left."""

    texts: list[str]
    alternatives: list[list[str]]
    left: list[Left] = field(default_factory=list)


def translate(batcher: Batcher, limits: Limits, task: Task, ticket: Ticket) -> Done:
    """Blocks until all is done. Raises Refused, RegardError."""
    wanted = 1 if task.html else task.alternatives + 1
    translator = task.served.translator
    asking = _Asking(batcher, limits, task.served, wanted, ticket)
    plain = {} if task.html or task.flows else {place: text for place, text in enumerate(task.texts) if is_plain(text)}
    spans = {place: translator.segments(text, task.split_sentences) for place, text in plain.items()}
    begun = asking.begin([plain[place][start:end] for place, some in spans.items() for start, end in some])
    rest = [place for place in range(len(task.texts)) if place not in plain]
    document = _Together([_document(task, task.texts[place]) for place in rest], rest)
    asking.attention = any(segment.content.tags for segment in document.segments)
    kinds: list[list[str]] = [[] for _ in task.texts]  # of each text its translations
    left: list[Left] = []
    split = not translator.trained_on_several if task.split_sentences is None else task.split_sentences
    language = task.served.source.split("-")[0]
    for rank in range(wanted if rest else 0):
        asking.rank = rank
        outcome = fill_document(document, asking, language=language, split=split, requires=asking.requires)
        for place, text in zip(rest, document.filled, strict=True):
            kinds[place].append(text)
        if not rank:
            left = [Left(report.line, report.source, report.reason) for report in outcome.reports if report.reason]
    found = iter(asking.end(begun))
    for place, text in plain.items():
        own = list(islice(found, len(spans[place])))
        kinds[place] = [one.text for one in join(text, spans[place], own, wanted)]
    different = [list(dict.fromkeys(one)) for one in kinds]
    return Done([one[0] for one in different], [one[1:] for one in different], left)


def order(served: Served, limits: Limits, wanted: int, *, with_attention: bool) -> Order:
    """How a sentence is searched of which so many translations are wanted."""
    own = served.translator.search
    beam = max(min(own.beam_size, limits.beam), wanted)
    if own.strategy == "diverse" and wanted == 1:
        return Order(served.translator, with_attention=with_attention)
    return Order(served.translator, wanted, beam, with_attention)


def sentence(served: Served, text: str, require: tuple[str, ...] = ()) -> Sentence:
    """Return what the batcher takes."""
    return Sentence(text, len(served.translator.tokenizers.source.encode(text.strip())), require)


def is_plain(text: str) -> bool:
    """Return whether nothing in a text has to come through as it is but numbers."""
    return all(holder.kind == "number" for holder in find_placeholders(text))


def _document(task: Task, text: str) -> Document:
    if task.html:
        return _Html(text)
    return ParagraphDocument(text.encode(), "q", LanguagePair(), Columns()) if task.flows else _Lines(text)


class _Lines(LineDocument):
    """Plain text in which each line is a segment, so that every line break stays where it is."""

    def __init__(self, text: str) -> None:
        super().__init__(text.encode(), "q")
        for number, match in enumerate(re.finditer(r"[^\r\n]+", self._text), start=1):
            own = match[0].strip()
            if any(map(str.isalnum, own)):
                start = match.start() + match[0].index(own)
                self.segments.append(Segment(MarkedText(own), number, len(self._lines), is_reflowable=True))
                self._lines.append([Line(start, start + len(own), match.end())])


class _Html(HtmlDocument):
    """HTML that came as characters: what it says of its bytes counts for nothing."""

    def __init__(self, text: str) -> None:
        super().__init__((_UTF8 + text).encode(), "q", LanguagePair(), Columns())

    def fill(self, translations: Sequence[MarkedText | None]) -> bytes:
        """See Document."""
        return super().fill(translations)[len(_UTF8.encode()) :]


class _Together:
    """Several documents as one, so that all their sentences are asked for at once; it keeps Document's protocol."""

    def __init__(self, documents: Sequence[Document], places: Sequence[int]) -> None:
        self.name = "q"
        self.already_translated = 0
        self.skipped: list[SkippedEntry] = []
        self.segments: list[Segment] = []
        self.filled: list[str] = []  # the documents as they were filled last
        self._documents = documents
        self._of: list[tuple[int, int]] = []  # each segment's document, and its number there
        for number, (document, place) in enumerate(zip(documents, places, strict=True)):
            first = len(self.segments)
            for own, segment in enumerate(document.segments):
                self.segments.append(replace(segment, line=place + 1, entry=first + segment.entry))
                self._of.append((number, own))

    def check_translation(self, number: int, translation: MarkedText) -> str:
        """See Document."""
        document, own = self._of[number]
        return self._documents[document].check_translation(own, translation)

    def fill(self, translations: Sequence[MarkedText | None]) -> bytes:
        """See Document."""
        parts: list[list[MarkedText | None]] = [[] for _ in self._documents]
        for (document, _), translation in zip(self._of, translations, strict=True):
            parts[document].append(translation)
        self.filled = [one.fill(part).decode() for one, part in zip(self._documents, parts, strict=True)]
        return b""


class _Asking:
    """Translates what documents ask for; of each sentence it gives the translation of a rank, or the last there is."""

    def __init__(self, batcher: Batcher, limits: Limits, served: Served, wanted: int, ticket: Ticket) -> None:
        self.rank = 0
        self.attention = False
        self._batcher = batcher
        self._limits = limits
        self._served = served
        self._wanted = wanted
        self._ticket = ticket
        self._known: dict[TranslationRequest, list[Translation]] = {}

    @property
    def requires(self) -> bool:
        """Whether the search heeds what a request requires."""
        return self._wanted > 1 or self._served.translator.search.strategy == "beam"

    def begin(self, texts: Sequence[str], requires: Sequence[tuple[str, ...]] = ()) -> list[Future[list[Translation]]]:
        """Let them wait for their turn. Raises Refused."""
        chosen = order(self._served, self._limits, self._wanted, with_attention=self.attention)
        required = requires or [()] * len(texts)
        asked = [sentence(self._served, text, require) for text, require in zip(texts, required, strict=True)]
        return self._batcher.begin(chosen, asked, self._ticket)

    def end(self, begun: Sequence[Future[list[Translation]]]) -> list[list[Translation]]:
        """Their translations, best first. Raises Refused, RegardError."""
        return self._batcher.results(begun, self._ticket)

    def __call__(self, requests: Sequence[TranslationRequest]) -> list[TranslatedText]:
        """See regard.documents.translate."""
        new = [request for request in dict.fromkeys(requests) if request not in self._known]
        begun = self.begin([request.text for request in new], [request.require for request in new])
        self._known.update(zip(new, self.end(begun), strict=True))
        said = (self._known[request] for request in requests)
        ranked = (found[min(self.rank, len(found) - 1)] for found in said)
        return [TranslatedText(one.text, one.alignment, one.marks) for one in ranked]


def readable(text: str) -> str:
    """The text itself. Raises DataError for what no UTF-8 can hold: half a surrogate pair."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise DataError("a text has half a surrogate pair, which is not a character") from None
    return text
