"""What a document is to its translation: segments in order, and its bytes again with some of them filled."""

from __future__ import annotations

import codecs
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from regard.corpus.formats.compressed import open_decompressed
from regard.corpus.formats.plain import suggest_conversion
from regard.corpus.formats.unsupported import refuse_binary
from regard.errors import DataError

_ASCII = "".join(map(chr, range(32, 127))) + "\t\r\n"
_NOT_OF_DOCUMENTS = ("idna", "punycode", "undefined", "unicode-escape", "raw-unicode-escape")  # Python's own
LARGEST = 1 << 26  # bytes of a document: it is held in memory


@dataclass(frozen=True)
class InlineTag:
    """Markup between the characters of a text: it stands before character `at`.

    pair: 0 for one that stands alone; the two of a pair share another number, and `opens` tells the first.
    """

    position: int
    markup: str
    pair: int = 0
    is_opening: bool = False


@dataclass(frozen=True)
class ProtectedSpan:
    """Characters start to end of a text that are never translated, as code, and how the document writes them."""

    start: int
    end: int
    markup: str


@dataclass(frozen=True)
class MarkedText:
    """A text, the markup in it in order, and its untranslatable parts in order."""

    text: str
    tags: tuple[InlineTag, ...] = ()
    protected: tuple[ProtectedSpan, ...] = ()


@dataclass(frozen=True)
class Segment:
    """What is to be translated in one go.

    line: where it stands, from 1. entry: segments of one entry, as the forms of a plural, are filled together or not
    at all. flows: a line break in it is only white space, and may go elsewhere. menus: it may be a label with an
    accelerator, as `_File`.
    """

    content: MarkedText
    line: int
    entry: int
    is_reflowable: bool = False
    can_have_accelerator: bool = False


@dataclass(frozen=True)
class SkippedEntry:
    """An entry without a translation that cannot be given one, and why."""

    line: int
    reason: str


class Document(Protocol):
    """What every format offers."""

    @property
    def name(self) -> str:
        """What to call it in messages."""
        ...

    @property
    def segments(self) -> Sequence[Segment]:
        """What is to be translated, in order; entries are numbered from 0."""
        ...

    @property
    def already_translated(self) -> int:
        """How many entries have a translation already."""
        ...

    @property
    def skipped(self) -> Sequence[SkippedEntry]:
        """Entries that cannot be translated."""
        ...

    def check_translation(self, number: int, translation: MarkedText) -> str:
        """Why this cannot be written in the place of segment `number`; nothing where it can."""
        ...

    def fill(self, translations: Sequence[MarkedText | None]) -> bytes:
        """The document with these, one for each segment; where None stands it is as it was, byte for byte."""
        ...


@dataclass(frozen=True)
class LanguagePair:
    """What the translator says of itself; empty where it does not know."""

    source: str = ""
    target: str = ""


@dataclass(frozen=True)
class Columns:
    """Which columns of a table are meant: names or numbers from 1; empty: by what the table says."""

    source: str = ""
    target: str = ""


Edit = tuple[int, int, str]  # from, to, and what stands there instead


def apply_edits(text: str, edits: Iterable[Edit]) -> str:
    """The text with the edits made, which overlap nowhere."""
    parts: list[str] = []
    at = 0
    for start, end, new in sorted(edits, key=lambda edit: edit[:2]):
        parts += [text[at:start], new]
        at = end
    return "".join([*parts, text[at:]])


def render(marked: MarkedText, escape: Callable[[str], str] = str) -> str:
    """A text with its markup, in the document's notation."""
    parts: list[str] = []
    at = 0
    atoms = list(reversed(marked.protected))

    def text_to(end: int) -> None:
        nonlocal at
        while atoms and atoms[-1].end <= end:
            atom = atoms.pop()
            parts.extend((escape(marked.text[at : atom.start]), atom.markup))
            at = atom.end
        parts.append(escape(marked.text[at:end]))
        at = end

    for mark in marked.tags:
        text_to(mark.position)
        parts.append(mark.markup)
    text_to(len(marked.text))
    return "".join(parts)


def read_document(path: Path) -> bytes:
    """A document, unpacked where its name says so. Raises DataError where it cannot be read or is too large."""
    with open_decompressed(path) as file:
        data = file.read(LARGEST + 1)
    if len(data) > LARGEST:
        raise DataError(
            f"the document has more than {LARGEST:,} bytes", where=path, fix="divide it, or give its text line by line"
        )
    return data


def resolve_encoding(said: str, name: str) -> str:
    """Return the encoding that a document declares as Python knows it.

    Raises DataError for one that there is not, and for one in which ASCII is not written as it is: the declaration
    could not have been read then.
    """
    try:
        codec = codecs.lookup(said).name
        known = codec not in _NOT_OF_DOCUMENTS and _ASCII.encode().decode(said) == _ASCII
    except LookupError:
        raise DataError(f"there is no encoding {said!r}", where=name, fix="convert it to UTF-8") from None
    except ValueError:  # UnicodeError among them
        known = False
    if not known:
        raise DataError(
            f"it declares the encoding {said!r}, in which its declaration could not be read",
            where=name,
            fix="name its real encoding there, or convert it to UTF-8",
        )
    return "utf-8" if codec in ("utf-8", "utf-8-sig") else said


def decode_document(data: bytes, name: str, encoding: str = "utf-8") -> str:
    """The text of a document, so that encoding it gives the same bytes. Raises DataError, with the line."""
    if encoding == "utf-8":
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
            f"its {encoding.upper()} could not be written back as it is", where=name, fix="convert it to UTF-8"
        )
    return text


def describe_unencodable(text: str, encoding: str) -> str:
    """Why a text cannot be written in an encoding; nothing where it can."""
    try:
        text.encode(encoding)
    except UnicodeEncodeError as error:
        return f"the document's {encoding.upper()} has no {error.object[error.start]!r}"
    return ""
