"""The interface of a document: its segments in order, and its bytes with some of the segments filled.

A segment is a text with inline markup. A translation is written into the document as a list of edits, so that every
byte outside the edits stays the same.
"""

from __future__ import annotations

import codecs
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Protocol

from regard.corpus.formats.compressed import open_decompressed
from regard.corpus.formats.plain import suggest_conversion
from regard.corpus.formats.unsupported import refuse_binary
from regard.errors import DataError

_ASCII = "".join(map(chr, range(32, 127))) + "\t\r\n"
_INTERNAL_ENCODINGS = ("idna", "punycode", "undefined", "unicode-escape", "raw-unicode-escape")  # of Python
MAX_BYTES = 1 << 26  # of a document, which is held in memory


@dataclass(frozen=True)
class InlineTag:
    """Markup between two characters of a text.

    Attributes:
        position: The index of the character after the tag.
        markup: The tag as the document writes it.
        pair: A number that the two tags of a pair share; 0 for a single tag.
        is_opening: Whether this is the first tag of a pair.
    """

    position: int
    markup: str
    pair: int = 0
    is_opening: bool = False


@dataclass(frozen=True)
class ProtectedSpan:
    """Characters [start, end) of a text that are never translated, such as code, and how the document writes them."""

    start: int
    end: int
    markup: str


@dataclass(frozen=True)
class MarkedText:
    """A text with its inline tags and its protected spans, both in order."""

    text: str
    tags: tuple[InlineTag, ...] = ()
    protected: tuple[ProtectedSpan, ...] = ()

    def unprotected(self) -> str:
        """Return the text without its protected spans."""
        text = self.text
        for span in reversed(self.protected):
            text = text[: span.start] + text[span.end :]
        return text


@dataclass(frozen=True)
class Segment:
    """A text to translate.

    Attributes:
        content: The text and its markup.
        line: Its line number in the document, from 1.
        entry: The number of its entry. The segments of an entry, such as the forms of a plural, are filled together or
            not at all.
        is_reflowable: Whether its line breaks are only white space, which may move.
        can_have_accelerator: Whether it may be a menu label with an accelerator, such as `_File`.
        part: The member of a container that it is in; `line` is then the number of the paragraph in that member.
        has_columns: Whether it is a source with several columns, and not a text: it is translated as it is.
    """

    content: MarkedText
    line: int
    entry: int
    is_reflowable: bool = False
    can_have_accelerator: bool = False
    part: str = ""
    has_columns: bool = False


@dataclass(frozen=True)
class SkippedEntry:
    """An entry without a translation that cannot be translated, and the reason. `line` and `part` are as in Segment."""

    line: int
    reason: str
    part: str = ""


class Document(Protocol):
    """A document of any format."""

    @property
    def name(self) -> str:
        """The name used in messages."""
        ...

    @property
    def segments(self) -> Sequence[Segment]:
        """The segments to translate, in order. Entries are numbered from 0."""
        ...

    @property
    def already_translated(self) -> int:
        """The number of entries that have a translation already."""
        ...

    @property
    def skipped(self) -> Sequence[SkippedEntry]:
        """The entries that cannot be translated."""
        ...

    def check_translation(self, index: int, translation: MarkedText) -> str:
        """Return why the format cannot hold this translation of segment `index`, or an empty string if it can."""
        ...

    def fill(self, translations: Sequence[MarkedText | None]) -> bytes:
        """Return the document with one translation per segment; a segment whose translation is None is unchanged."""
        ...


@dataclass(frozen=True)
class LanguagePair:
    """The language codes of source and target; empty if unknown."""

    source: str = ""
    target: str = ""


@dataclass(frozen=True)
class Columns:
    """Which parts of a document are translated.

    Attributes:
        source: The source column of a table: a name, or a number from 1; empty to find it by the header.
        target: The target column, likewise.
        keys: Patterns of keys to translate, as for a shell, and of keys to exclude, which start with `!`. Empty for the
            default of the format.
        keys_are_source: Whether a key is the source text of its value, which is filled if it is empty or the same.
    """

    source: str = ""
    target: str = ""
    keys: tuple[str, ...] = ()
    keys_are_source: bool = False


Edit = tuple[int, int, str]
"""Replace characters [start, end) by a text."""


def apply_edits(text: str, edits: Iterable[Edit]) -> str:
    """Return the text with all edits applied. The edits must not overlap."""
    parts: list[str] = []
    at = 0
    for start, end, replacement in sorted(edits, key=lambda edit: edit[:2]):
        parts += [text[at:start], replacement]
        at = end
    return "".join([*parts, text[at:]])


def render(content: MarkedText, escape: Callable[[str], str] = str) -> str:
    """Return a text with its markup, as the document writes it; `escape` is applied to the text only."""
    parts: list[str] = []
    at = 0
    protected = list(reversed(content.protected))

    def add_text(end: int) -> None:
        nonlocal at
        while protected and protected[-1].end <= end:
            span = protected.pop()
            parts.extend((escape(content.text[at : span.start]), span.markup))
            at = span.end
        parts.append(escape(content.text[at:end]))
        at = end

    for tag in content.tags:
        add_text(tag.position)
        parts.append(tag.markup)
    add_text(len(content.text))
    return "".join(parts)


class TextDocument:
    """Base class of documents that are a text, and are filled by edits of it. It implements Document.

    A subclass adds the segments when it is created, and `_edits` says how a translation is written.
    """

    encoding_errors: ClassVar[str] = "strict"
    """What becomes of characters that the encoding lacks, see str.encode."""

    def __init__(self, text: str, name: str, encoding: str = "utf-8") -> None:
        self.name = name
        self.encoding = encoding
        self.segments: list[Segment] = []
        self.skipped: list[SkippedEntry] = []
        self.already_translated = 0
        self._text = text
        self._last_line = (0, 1)  # a character offset and its line number

    def check_translation(self, index: int, translation: MarkedText) -> str:
        """Accept every translation."""
        return ""

    def fill(self, translations: Sequence[MarkedText | None]) -> bytes:
        """Return the document with the translations in their places."""
        edits: list[Edit] = []
        for index, (_, translation) in enumerate(zip(self.segments, translations, strict=True)):
            if translation is not None:
                edits += self._edits(index, translation)
        return self._apply([*edits, *self._common_edits()] if edits else [])

    def _line_of(self, offset: int) -> int:
        """Return the line number of a character. Offsets must not decrease from call to call."""
        last_offset, line = self._last_line
        self._last_line = (offset, line + self._text.count("\n", last_offset, offset))
        return self._last_line[1]

    def _edits(self, index: int, translation: MarkedText) -> list[Edit]:
        """Return the edits that write the translation of segment `index`."""
        raise NotImplementedError

    def _common_edits(self) -> list[Edit]:
        """Return the edits that a document needs if anything in it is translated."""
        return []

    def _apply(self, edits: Iterable[Edit]) -> bytes:
        return apply_edits(self._text, edits).encode(self.encoding, self.encoding_errors)


def read_document(path: Path, max_bytes: int = MAX_BYTES) -> bytes:
    """Read the bytes of a document, decompressed if its name ends in .gz, .xz or .zst.

    Raises:
        DataError: It cannot be read, or has more than `max_bytes`.
    """
    with open_decompressed(path) as file:
        data = file.read(max_bytes + 1)
    if len(data) > max_bytes:
        raise DataError(
            f"the document has more than {max_bytes:,} bytes",
            where=path,
            fix="split it, or translate its text as lines",
        )
    return data


def resolve_encoding(declared: str, name: str) -> str:
    """Return the name of the encoding that a document declares, as Python knows it.

    Raises:
        DataError: The encoding is unknown, or does not encode ASCII as ASCII, so that the declaration could not have
            been read.
    """
    try:
        codec = codecs.lookup(declared).name
        is_valid = codec not in _INTERNAL_ENCODINGS and _ASCII.encode().decode(declared) == _ASCII
    except LookupError:
        raise DataError(f"unknown encoding {declared!r}", where=name, fix="convert it to UTF-8") from None
    except ValueError:  # includes UnicodeError
        is_valid = False
    if not is_valid:
        raise DataError(
            f"it declares the encoding {declared!r}, but its declaration cannot be read in that encoding",
            where=name,
            fix="declare its real encoding, or convert it to UTF-8",
        )
    return "utf-8" if codec in ("utf-8", "utf-8-sig") else declared


def decode_document(data: bytes, name: str, encoding: str = "utf-8") -> str:
    """Decode a document so that encoding the text gives the same bytes.

    Raises:
        DataError: The bytes are not in this encoding; the error names the line.
    """
    if not encoding.startswith("utf-16"):
        refuse_binary(data, name)
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        raise DataError(
            f"it is not {encoding.upper()} (byte 0x{data[error.start]:02X})",
            where=f"{name}:{data.count(bytes([10]), 0, error.start) + 1}",
            fix=suggest_conversion(data, error.start) if encoding == "utf-8" else "convert it to UTF-8",
        ) from None
    if text.encode(encoding, "replace") != data:
        raise DataError(
            f"its {encoding.upper()} cannot be written back unchanged", where=name, fix="convert it to UTF-8"
        )
    return text


def describe_unencodable(text: str, encoding: str) -> str:
    """Return why a text cannot be written in an encoding, or an empty string if it can."""
    try:
        text.encode(encoding)
    except UnicodeEncodeError as error:
        return f"the document's {encoding.upper()} has no {error.object[error.start]!r}"
    return ""
