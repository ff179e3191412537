"""From texts to their translations: sentences found, searched in company, and put together again.

A sentence on a line of its own is translated as `regard translate` does a line. Longer text is divided as by
`regard translate --paragraphs`, and HTML as a document: white space and markup stay, and what cannot be filled stays
as it was and is told.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace

from regard.errors import DataError
from regard.serving.batcher import Batcher, Order, Sentence, Ticket
from regard.serving.limits import Limits, invalid
from regard.serving.models import Served
from regard.text.documents.document import Columns, Document, Languages, Marked, Segment, Skipped
from regard.text.documents.filling import Request, Said, fill
from regard.text.documents.html import Page
from regard.text.documents.paragraphs import Paragraphs
from regard.text.placeholders import find_placeholders
from regard.text.segments import sentences
from regard.translator import Translation

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
    """Texts for one model, and how many alternatives of each are wanted (of HTML none is given)."""

    served: Served
    texts: Sequence[str]
    html: bool = False
    alternatives: int = 0


@dataclass
class Done:
    """For each text its translation and its alternatives, best first; and what was left."""

    texts: list[str]
    alternatives: list[list[str]]
    left: list[Left] = field(default_factory=list)


def translate(batcher: Batcher, limits: Limits, task: Task, ticket: Ticket) -> Done:
    """Blocks until all is done. Raises Refused, RegardError."""
    wanted = 1 if task.html else task.alternatives + 1
    asking = _Asking(batcher, limits, task.served, wanted, ticket)
    language = task.served.source.split("-")[0]
    lines = {} if task.html else {place: text for place, text in enumerate(task.texts) if _is_line(text, language)}
    begun = asking.begin([text.strip() for text in lines.values()])
    rest = [place for place in range(len(task.texts)) if place not in lines]
    document = _Together([_document(task.texts[place], task.html) for place in rest], rest)
    asking.attention = any(segment.marked.marks for segment in document.segments)
    kinds: list[list[str]] = [[] for _ in task.texts]  # of each text its translations
    left: list[Left] = []
    for rank in range(wanted if rest else 0):
        asking.rank = rank
        outcome = fill(document, asking, language=language, requires=asking.requires)
        for place, text in zip(rest, document.filled, strict=True):
            kinds[place].append(text)
        if not rank:
            left = [Left(report.line, report.source, report.why) for report in outcome.reports if report.why]
    for place, found in zip(lines, asking.end(begun), strict=True):
        text = task.texts[place]
        core = text.strip()
        before, behind = text[: text.index(core)], text[text.index(core) + len(core) :]
        kinds[place] = [f"{before}{one.text}{behind}" for one in found]
    different = [list(dict.fromkeys(one)) for one in kinds]
    return Done([one[0] for one in different], [one[1:] for one in different], left)


def order(served: Served, limits: Limits, wanted: int, *, with_attention: bool) -> Order:
    """How a sentence is searched of which so many translations are wanted."""
    own = served.translator.search
    beam = max(min(own.beam_size, limits.beam), wanted)
    if own.strategy == "diverse" and wanted == 1:
        return Order(served.translator, with_attention=with_attention)
    return Order(served.translator, wanted, beam, with_attention)


def sentence(served: Served, limits: Limits, text: str, require: tuple[str, ...] = ()) -> Sentence:
    """Raises Refused where it is too long."""
    tokens = len(served.translator.tokenizers.source.encode(text.strip()))
    if tokens > limits.sentence:
        raise invalid(
            f"a sentence of {tokens:,} tokens, of {len(text):,} characters, where {limits.sentence:,} tokens are the "
            "most: divide it"
        )
    return Sentence(text, tokens, require)


def _is_line(text: str, language: str) -> bool:
    """Whether it is one sentence at most, without anything that has to come through as it is but numbers."""
    core = text.strip()
    if "\n" in core or "\r" in core:
        return False
    if any(holder.kind != "number" for holder in find_placeholders(core)):
        return False
    return len(list(sentences(core, (0, len(core)), language, ()))) <= 1


def _document(text: str, html: bool) -> Document:
    if html:
        return _Html(text)
    return Paragraphs(text.encode(), "q", Languages(), Columns())


class _Html(Page):
    """HTML that came as characters: what it says of its bytes counts for nothing."""

    def __init__(self, text: str) -> None:
        super().__init__((_UTF8 + text).encode(), "q", Languages(), Columns())

    def fill(self, translations: Sequence[Marked | None]) -> bytes:
        """See Document."""
        return super().fill(translations)[len(_UTF8.encode()) :]


class _Together:
    """Several documents as one, so that all their sentences are asked for at once; it keeps Document's protocol."""

    def __init__(self, documents: Sequence[Document], places: Sequence[int]) -> None:
        self.name = "q"
        self.done = 0
        self.skipped: list[Skipped] = []
        self.segments: list[Segment] = []
        self.filled: list[str] = []  # the documents as they were filled last
        self._documents = documents
        self._of: list[tuple[int, int]] = []  # each segment's document, and its number there
        for number, (document, place) in enumerate(zip(documents, places, strict=True)):
            first = len(self.segments)
            for own, segment in enumerate(document.segments):
                self.segments.append(replace(segment, line=place + 1, entry=first + segment.entry))
                self._of.append((number, own))

    def refusal(self, number: int, translation: Marked) -> str:
        """See Document."""
        document, own = self._of[number]
        return self._documents[document].refusal(own, translation)

    def fill(self, translations: Sequence[Marked | None]) -> bytes:
        """See Document."""
        parts: list[list[Marked | None]] = [[] for _ in self._documents]
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
        self._known: dict[Request, list[Translation]] = {}

    @property
    def requires(self) -> bool:
        """Whether the search heeds what a request requires."""
        return self._wanted > 1 or self._served.translator.search.strategy == "beam"

    def begin(self, texts: Sequence[str], requires: Sequence[tuple[str, ...]] = ()) -> list[Future[list[Translation]]]:
        """Let them wait for their turn. Raises Refused."""
        chosen = order(self._served, self._limits, self._wanted, with_attention=self.attention)
        required = requires or [()] * len(texts)
        asked = [
            sentence(self._served, self._limits, text, require) for text, require in zip(texts, required, strict=True)
        ]
        return self._batcher.begin(chosen, asked, self._ticket)

    def end(self, begun: Sequence[Future[list[Translation]]]) -> list[list[Translation]]:
        """Their translations, best first. Raises Refused, RegardError."""
        return self._batcher.results(begun, self._ticket)

    def __call__(self, requests: Sequence[Request]) -> list[Said]:
        """See regard.text.documents.filling."""
        new = [request for request in dict.fromkeys(requests) if request not in self._known]
        begun = self.begin([request.text for request in new], [request.require for request in new])
        self._known.update(zip(new, self.end(begun), strict=True))
        said = (self._known[request] for request in requests)
        ranked = (found[min(self.rank, len(found) - 1)] for found in said)
        return [Said(one.text, one.alignment, one.marks) for one in ranked]


def readable(text: str) -> str:
    """The text itself. Raises DataError for what no UTF-8 can hold: half a surrogate pair."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise DataError("a text has half a surrogate pair, which is no character") from None
    return text
