"""Documents of strings with keys, each of which is replaced by its translation."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

from regard.documents.document import (
    Columns,
    Edit,
    MarkedText,
    ProtectedSpan,
    Segment,
    SkippedEntry,
    TextDocument,
    describe_unencodable,
    render,
)
from regard.documents.inline_markup import parse_tags
from regard.documents.message_variants import (
    Choice,
    InvalidMessageError,
    Message,
    distribute,
    parse_icu,
    render_message,
    variant_texts,
)
from regard.documents.splitting import spans_between
from regard.errors import DataError
from regard.text.placeholders import find_placeholders
from regard.text.segments import has_letters

MAX_STRINGS = 200_000  # of a document, whose segments are held in memory
MAX_DEPTH = 256  # nested objects and lists

_REFERENCE = re.compile(
    r"""\$t\([^()\s]{1,200}\)           # of i18next
      | \$\w{1,64}\$                  # of browser extensions
      | @:[\w.]{1,200}                # of Vue
      | %(?:\d{1,3}\$)?\#@\w{1,64}@   # of Apple's plurals
      | %arg\b                        # of their variants in string catalogs
    """,
    re.VERBOSE,
)
_CODE = re.compile(
    r"""(?=[!-~]+\Z)(?:
        .*[\d_@=\\].*          # max_size, utf8, a@b
      | .*\w[:.]\w.*           # logo.png, app:title
      | \#.*                   # #main
      | [a-z.+-]*(?:/[a-z.+-]*)+   # text/html
      | .*[a-z][A-Z].*         # camelCase
    )""",
    re.VERBOSE,
)


@dataclass(frozen=True)
class StringValue:
    """A string of a document.

    Attributes:
        key: The keys that lead to it, joined by dots.
        text: The text, without escapes.
        start: Where its notation starts in the document.
        end: Where its notation ends.
        line: Its line number, from 1.
    """

    key: str
    text: str
    start: int
    end: int
    line: int


@dataclass(frozen=True)
class _Entry:
    """A string, its message, and for each text of the message the index of its segment, or None without one."""

    string: StringValue
    message: Message
    segments: tuple[int | None, ...]


class StringsDocument(TextDocument):
    """Base class of documents of strings with keys.

    A subclass calls `_add_string` for each string, and `_quote` says how a string is written.
    """

    has_accelerators = False
    """Whether a string may be a menu label with an accelerator."""

    def __init__(self, text: str, name: str, encoding: str, columns: Columns, language: str = "") -> None:
        super().__init__(text, name, encoding)
        self._columns = columns
        self._language = language  # of the source
        self._entries: list[_Entry] = []

    def _add_string(self, string: StringValue, source_key: str = "", *, is_default: bool = True) -> None:
        """Add a string, unless it is not selected or is not text.

        Args:
            string: The string.
            source_key: The key that is the source text if the user says that keys are.
            is_default: Whether it is translated if the user selects no keys.
        """
        is_selected = select_key(self._columns, string.key)
        if is_selected is False or (is_selected is None and not is_default):
            return
        text = string.text
        if self._columns.keys_are_source and source_key:
            if text not in ("", source_key):
                self.already_translated += 1
                return
            text = source_key
        is_code = looks_like_code(text) or text == self._language
        if not has_letters(text) or (is_selected is None and is_code):
            return
        if len(self._entries) >= MAX_STRINGS:
            raise DataError(
                f"it has more than {MAX_STRINGS:,} strings", where=f"{self.name}:{string.line}", fix="split it"
            )
        try:
            text.encode()
            message = distribute(self._parse_message(text))
        except (InvalidMessageError, UnicodeEncodeError) as error:
            reason = "it has half of a surrogate pair" if isinstance(error, UnicodeEncodeError) else str(error)
            self.skipped.append(SkippedEntry(string.line, reason))
            return
        self._add_entry(string, message)

    def _parse_message(self, text: str) -> Message:
        """Return the variants of a text."""
        return parse_icu(text)

    def _parse_text(self, text: str, sample: str) -> MarkedText:
        """Return a text with its markup. If there is a sample, `#` is a number, of which that is an example."""
        content = parse_text(text.replace("''", "'"))
        return _write_numbers(content, sample) if sample and "#" in content.text else content

    def _add_entry(self, string: StringValue, message: Message) -> None:
        number = len(self._entries)
        segments: list[int | None] = []
        for text, sample in variant_texts(message):
            content = self._parse_text(text, sample)
            if not has_letters(content.unprotected()):
                segments.append(None)
                continue
            segments.append(len(self.segments))
            self.segments.append(
                Segment(content, string.line, number, can_have_accelerator=self.has_accelerators and len(message) == 1)
            )
        self._entries.append(_Entry(string, message, tuple(segments)))

    def check_translation(self, index: int, translation: MarkedText) -> str:
        """Refuse a translation that the format or the encoding cannot hold."""
        entry = self._entries[self.segments[index].entry]
        has_choice = any(isinstance(part, Choice) for part in entry.message)
        if has_choice and _braces(translation) != _braces(self.segments[index].content):
            return "the translation has other braces than the source"
        text = self._render_entry(entry, {index: translation})
        reason = self._check_string(entry.string, text)
        if reason or self.encoding_errors != "strict":
            return reason
        return describe_unencodable(self._quote(entry.string, text), self.encoding)

    def _check_string(self, string: StringValue, text: str) -> str:
        """Return why the format cannot hold a text instead of a string, or an empty string if it can."""
        return ""

    def _quote(self, string: StringValue, text: str) -> str:
        """Return how the document writes a text instead of a string."""
        raise NotImplementedError

    def _render_text(self, source: str, translation: MarkedText) -> str:
        """Return a translated text of a message as the message writes it."""
        return fix_apostrophes(source, render(translation))

    def _render_entry(self, entry: _Entry, translations: dict[int, MarkedText]) -> str:
        numbers: Iterator[int | None] = iter(entry.segments)

        def translate(source: str) -> str:
            number = next(numbers)
            if number is None or number not in translations:
                return source
            return self._render_text(source, translations[number])

        return render_message(entry.message, translate)

    def fill(self, translations: Sequence[MarkedText | None]) -> bytes:
        """Return the document with the translations of all strings whose segments are translated."""
        edits: list[Edit] = []
        for number, entry in enumerate(self._entries):
            filled = {
                index: translation
                for index in entry.segments
                if index is not None and (translation := translations[index]) is not None
            }
            if filled:
                edits.append(self._edit_entry(number, self._render_entry(entry, filled)))
        return self._apply([*edits, *self._common_edits()] if edits else [])

    def _edit_entry(self, number: int, text: str) -> Edit:
        string = self._entries[number].string
        return string.start, string.end, self._quote(string, text)


def select_key(columns: Columns, key: str) -> bool | None:
    """Return whether the user has selected or excluded a key; None if neither."""
    patterns = columns.keys
    if any(fnmatchcase(key, pattern[1:]) for pattern in patterns if pattern.startswith("!")):
        return False
    included = [pattern for pattern in patterns if not pattern.startswith("!")]
    return any(fnmatchcase(key, pattern) for pattern in included) if included else None


def looks_like_code(text: str) -> bool:
    """Return whether a text is a name of a program, such as `max_size`, `img/logo.png` or `camelCase`."""
    return _CODE.match(text) is not None


def parse_text(text: str, escape: Callable[[str], str] = str) -> MarkedText:
    """Return a text with its tags, and with references to other texts protected. `escape` is as in `parse_tags`."""
    return protect(parse_tags(text, escape), _REFERENCE)


def has_words(content: MarkedText) -> bool:
    """Return whether a text has letters outside of its placeholders and its protected spans."""
    placeholders = find_placeholders(content.text, [(span.start, span.end) for span in content.protected])
    spans = [(placeholder.start, placeholder.end) for placeholder in placeholders]
    return any(spans_between(content.text, 0, len(content.text), spans))


def protect(content: MarkedText, pattern: re.Pattern[str]) -> MarkedText:
    """Return a text in which each match of a pattern is protected, outside of tags and protected spans."""
    if not pattern.search(content.text):
        return content
    spans = list(content.protected)
    positions = [tag.position for tag in content.tags]
    for match in pattern.finditer(content.text):
        start, end = match.span()
        is_free = all(end <= span.start or span.end <= start for span in spans)
        if is_free and not any(start < position < end for position in positions):
            spans.append(ProtectedSpan(start, end, match[0]))
    return replace(content, protected=tuple(sorted(spans, key=lambda span: span.start)))


def _write_numbers(content: MarkedText, sample: str) -> MarkedText:
    """Return a text with a number instead of each `#`, which is how the document writes it.

    A model translates a number in a sentence better than a sign. The number does not occur elsewhere in the text.
    """
    number = next(number for number in (sample, *map(str, range(2, 1000))) if number not in content.text)
    marked = protect(content, re.compile("#"))
    spans = []
    text, at, moved = "", 0, []
    for span in marked.protected:
        is_number = marked.text[span.start : span.end] == "#"
        text += marked.text[at : span.start]
        start = len(text)
        text += number if is_number else marked.text[span.start : span.end]
        spans.append(ProtectedSpan(start, len(text), span.markup))
        moved.append((span.end, len(text) - span.end))
        at = span.end
    text += marked.text[at:]

    def move(position: int) -> int:
        return position + max((shift for end, shift in moved if end <= position), default=0)

    tags = tuple(replace(tag, position=move(tag.position)) for tag in marked.tags)
    return MarkedText(text, tags, tuple(spans))


def join_surrogates(text: str) -> str:
    """Return a text in which two escaped halves of a character are that character, and a single half is U+FFFD."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def fix_apostrophes(source: str, translation: str) -> str:
    """Return a translation with apostrophes that a message format does not read as quotes.

    Where the source doubles its apostrophes, so does the translation. Elsewhere an apostrophe next to a brace becomes
    typographic.
    """
    if "''" in source:
        return re.sub("'+", "''", translation)
    if "{" in source and "'" not in source:
        return re.sub("'(?=[{}])", "\u2019", translation)
    return translation


def _braces(content: MarkedText) -> tuple[int, int]:
    return content.text.count("{"), content.text.count("}")
