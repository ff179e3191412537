"""gettext catalogues: PO, read line by line, and MO.

An entry without a plural gives one pair. An entry with a plural gives one pair per form: `msgid` with the form that
Plural-Forms selects for 1, `msgid_plural` with the others, and with the only form of languages that have just one.
Contexts distinguish entries and are not text. Skipped are the header and entries that are fuzzy, obsolete or not
translated.

polib is not used: it holds the whole catalogue in memory, joins lines in quadratic time and ends lines at U+2028. Tests
compare this reader with polib and msgfmt.
"""

from __future__ import annotations

import codecs
import re
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from gettext import c2py
from io import StringIO
from pathlib import Path
from typing import Literal

from regard.corpus.corpus import Pair, Skipped
from regard.corpus.formats.compressed import open_decompressed
from regard.corpus.formats.plain import read_lines
from regard.corpus.formats.po_lexer import CHARSET, FIX, decode_bytes, is_fuzzy, parse_line
from regard.corpus.formats.sides import Sides, direction
from regard.errors import DataError

MAX_MO_BYTES = 1 << 28  # an MO file is read into memory
HEAD_BYTES = 1 << 20  # the beginning of a PO file, in which its charset is declared
MAX_PLURAL_FORMS = 100
MAX_ENTRY_CHARACTERS = 1 << 20

_SUPPORTED = re.compile(
    r"utf-8|ascii|iso8859-\d+|cp\d+|koi8-[rut]|gb\d+|gbk|euc_\w+|big5\w*|shift_jis\w*|johab|tis-620|mac\w*"
)
_LANGUAGE = re.compile(r"^Language: *([A-Za-z]{2,3}(?:[_-][A-Za-z0-9]+)*)(?:@\w+)? *$", re.MULTILINE)
_PLURAL = re.compile(r"^Plural-Forms:.*\bplural *=([^;\n]{1,1000})", re.MULTILINE)


def read_po(path: Path, sides: Sides) -> Iterator[Pair | Skipped]:
    """Yield the pairs of a PO file; the line is that of `msgctxt` or `msgid`. Raises DataError."""
    catalogue = _Catalogue(str(path), sides)
    for entry in _po_entries(path):
        yield from catalogue.pairs(entry)


def po_language(path: Path) -> str:
    """Return the language of the translations after the header of a PO file, if it has any. Raises DataError."""
    header = next((entry for entry in _po_entries(path) if not entry.singular and not entry.has_context), None)
    return _language(header) if header is not None else ""


def _po_entries(path: Path) -> Iterator[_Entry]:
    with open_decompressed(path) as file:
        head = file.read(HEAD_BYTES)
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise DataError("PO files in UTF-16 are not supported", where=f"{path}:1", fix="convert it to UTF-8 with iconv")
    match = CHARSET.search(head)
    line = head.count(b"\n", 0, match.start(1)) + 1 if match else 1
    charset = _codec(match[1].decode() if match else "", f"{path}:{line}")
    yield from _entries(read_lines(path, charset), path, charset)


def read_mo(path: Path, sides: Sides) -> Iterator[Pair | Skipped]:
    """Yield the pairs of an MO file; the line is the position in its table, from 1. Raises DataError."""
    with open_decompressed(path) as file:
        data = file.read(MAX_MO_BYTES + 1)
    catalogue = _Catalogue(str(path), sides)
    charset, position = "utf-8", 0
    for position, (key, value) in enumerate(_messages(data, path), start=1):
        where = f"{path}: message {position}"
        if not key:
            match = re.search(rb"charset=([\w.:-]+)", value)
            charset = _codec(match[1].decode() if match else "", where)
        try:
            texts, forms = (raw.decode(charset).split("\0") for raw in (key, value))
        except UnicodeDecodeError as error:
            raise DataError(
                f"it is not {charset} ({error.reason})", where=where, fix="compile the file again"
            ) from None
        context, _, singular = texts[0].rpartition("\4")
        plural = texts[1] if len(texts) > 1 else None
        yield from catalogue.pairs(
            _Entry(position, singular, plural, dict(enumerate(forms)), has_context=bool(context))
        )
    for _ in range(_count_machine_dependent(data)):
        yield Skipped("it has a format that depends on the machine (such as PRIuMAX)", position + 1)


@dataclass(frozen=True)
class _Entry:
    """One message. `forms` holds the translation in the singular as 0, or all forms of a plural by number."""

    line: int
    singular: str
    plural: str | None
    forms: dict[int, str]
    has_context: bool = False
    is_fuzzy: bool = False
    is_obsolete: bool = False


class _Catalogue:
    """What the header of a catalogue declares, and the pairs of its entries."""

    def __init__(self, where: str, sides: Sides) -> None:
        self._where = where
        self._sides = sides
        self._direction: Literal["forward", "backward", ""] = "forward"
        self._singular_form = 0  # the number of the form used for 1

    def pairs(self, entry: _Entry) -> Iterator[Pair | Skipped]:
        """Yield the pairs of an entry. The header applies to the entries after it. Raises DataError."""
        translated = {form: text for form, text in sorted(entry.forms.items()) if text.strip()}
        if not entry.singular and not entry.has_context and not entry.is_obsolete:
            self._read_header(entry)
            yield Skipped("it is the header", entry.line)
        elif entry.is_obsolete or entry.is_fuzzy:
            yield Skipped("it is obsolete" if entry.is_obsolete else "it is fuzzy", entry.line)
        elif not translated:
            yield Skipped("it is not translated", entry.line)
        else:
            for form in entry.forms:
                if form in translated:
                    yield self._pair(self._original(entry, form), translated[form], entry.line)
                else:
                    yield Skipped("it is not translated", entry.line)

    def _original(self, entry: _Entry, form: int) -> str:
        if entry.plural is None or (form == self._singular_form and len(entry.forms) > 1):
            return entry.singular
        return entry.plural

    def _pair(self, original: str, translation: str, line: int) -> Pair:
        return Pair(translation, original, line) if self._direction == "backward" else Pair(original, translation, line)

    def _read_header(self, entry: _Entry) -> None:
        text = entry.forms.get(0, "")
        language = _language(entry)
        self._direction = direction(self._sides, "", language)
        if not self._direction:
            requested = f"{self._sides.source_language or '?'} to {self._sides.target_language or '?'}"
            raise DataError(
                f"according to its header the translations are in {language}, but {requested} was requested",
                where=f"{self._where}:{entry.line}",
                fix="change source_language and target_language, or the header",
            )
        plural = _PLURAL.search(text)
        self._singular_form = _form_of_one(plural[1]) if plural else 0


def _language(header: _Entry) -> str:
    match = _LANGUAGE.search(header.forms.get(0, ""))
    return match[1] if match else ""


def _form_of_one(plural: str) -> int:
    """Return the number of the form for 1 by the expression of Plural-Forms; 0 if it cannot be evaluated."""
    try:
        return int(c2py(plural)(1))
    except (ValueError, ArithmeticError):
        return 0


def _codec(charset: str, where: str) -> str:
    """Return Python's name for a charset. Raise DataError for one that catalogues do not use."""
    try:
        name = codecs.lookup(charset).name if charset not in ("", "CHARSET") else "utf-8"
    except (LookupError, ValueError):
        name = ""
    if not _SUPPORTED.fullmatch(name):
        raise DataError(
            f"the charset {charset[:50]!r} is not known", where=where, fix="convert it to UTF-8 with msgconv"
        )
    return name


@dataclass
class _Draft:
    """An entry that is being read: texts by keyword, those of a plural as `msgstr[0]` and so on."""

    line: int
    is_fuzzy: bool
    is_obsolete: bool
    texts: dict[str, StringIO] = field(default_factory=dict)
    current: StringIO = field(default_factory=StringIO)  # the text that a line without a keyword continues
    room: int = MAX_ENTRY_CHARACTERS

    def add(self, keyword: str, text: str, where: str) -> None:
        """Add the text of a line, with or without a keyword. Raises DataError."""
        if keyword in self.texts or len(self.texts) > MAX_PLURAL_FORMS:
            raise DataError(
                f"the entry has {keyword} twice, or too many forms", where=where, fix="begin each entry with msgid"
            )
        if keyword:
            self.current = self.texts[keyword] = StringIO()
        self.room -= len(text)
        if self.room < 0:
            raise DataError(f"an entry has more than {MAX_ENTRY_CHARACTERS:,} characters", where=where, fix="divide it")
        self.current.write(text)

    def entry(self, path: Path, charset: str) -> _Entry:
        """Return the finished entry. Raise DataError if a part is missing."""
        texts = {keyword: decode_bytes(text.getvalue(), charset) for keyword, text in self.texts.items()}
        forms = {int(keyword[7:-1] or 0): text for keyword, text in texts.items() if keyword.startswith("msgstr")}
        plural = texts.get("msgid_plural")
        if "msgid" not in texts or not forms or (plural is None) != ("msgstr" in texts):
            raise DataError(
                "the entry that begins here lacks msgid or msgstr, or has plural forms without msgid_plural",
                where=f"{path}:{self.line}",
                fix=FIX,
            )
        return _Entry(self.line, texts["msgid"], plural, forms, "msgctxt" in texts, self.is_fuzzy, self.is_obsolete)


def _entries(lines: Iterable[str], path: Path, charset: str) -> Iterator[_Entry]:
    draft: _Draft | None = None
    fuzzy = False
    for number, raw_line in enumerate(lines, start=1):
        is_obsolete, line = _strip_obsolete(raw_line)
        if not line or line.startswith("#"):
            fuzzy |= is_fuzzy(line)
            continue
        where = f"{path}:{number}"
        keyword, text = parse_line(line, where)
        if keyword == "msgctxt" or (keyword == "msgid" and (draft is None or "msgid" in draft.texts)):
            if draft is not None:
                yield draft.entry(path, charset)
            draft, fuzzy = _Draft(number, fuzzy, is_obsolete), False
        if draft is None:
            raise DataError("this belongs to no msgid", where=where, fix="begin each entry with msgid")
        draft.add(keyword, text, where)
    if draft is not None:
        yield draft.entry(path, charset)


def _strip_obsolete(line: str) -> tuple[bool, str]:
    """Return whether a line is marked as obsolete, and the line without the mark; empty if it holds nothing."""
    line = line.strip(" \t\r\f\v")
    if line.startswith("#~") and not line.startswith("#~|"):
        return True, line[2:].lstrip()
    return False, "" if line.startswith("domain") else line


def _count_machine_dependent(data: bytes) -> int:
    """Return the number of messages outside the table, which are assembled when the file is loaded."""
    order = "<" if data.startswith(b"\xde") else ">"
    revision, first = struct.unpack_from(f"{order}2I", data, 4)[0], struct.unpack_from(f"{order}I", data, 12)[0]
    if revision & 0xFFFF == 0 or first < 48 or len(data) < 48:
        return 0
    return min(int(struct.unpack_from(f"{order}I", data, 36)[0]), len(data) // 8)


def _messages(data: bytes, path: Path) -> Iterator[tuple[bytes, bytes]]:
    """Yield the keys and values of an MO file in the order of its table."""
    broken = DataError("this is not an MO file, or it is truncated", where=path, fix="compile it again with msgfmt")
    order = {b"\xde\x12\x04\x95": "<", b"\x95\x04\x12\xde": ">"}.get(data[:4])
    if order is None or len(data) < 20:
        raise broken
    if len(data) > MAX_MO_BYTES:
        raise DataError(f"it is larger than {MAX_MO_BYTES:,} bytes", where=path, fix="use the PO file instead")
    count, keys, values = struct.unpack_from(f"{order}3I", data, 8)
    if max(keys, values) + 8 * count > len(data):
        raise broken
    room = len(data)  # texts do not overlap, so together they are not longer than the file
    for index in range(count):
        texts = []
        for table in (keys, values):
            length, begin = struct.unpack_from(f"{order}2I", data, table + 8 * index)
            room -= length
            if begin + length > len(data) or room < 0:
                raise broken
            texts.append(data[begin : begin + length])
        yield texts[0], texts[1]
