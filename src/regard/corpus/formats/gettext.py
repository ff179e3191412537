"""gettext catalogues: PO, line by line, and MO.

An entry in the singular gives a pair. One with a plural gives a pair for each form: `msgid` with the form that
Plural-Forms has for 1, `msgid_plural` with the others, and with the only one where a language has but one. Contexts
tell entries apart and are no text. Left aside: the header, and entries that are fuzzy, obsolete, or not translated.

polib has a catalogue in memory, adds up its lines in time that grows with their square, and ends lines at U+2028; so
this is a reader of its own, which tests hold against polib and msgfmt.
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
from regard.corpus.formats.sides import Sides, direction
from regard.errors import DataError

MAX_MO_BYTES = 1 << 28  # bytes: an MO file is read whole
HEAD_BYTES = 1 << 20  # bytes of a PO file in which its charset stands
MAX_PLURAL_FORMS = 100  # of a plural
MAX_ENTRY_CHARACTERS = 1 << 20  # characters

_SUPPORTED = re.compile(
    r"utf-8|ascii|iso8859-\d+|cp\d+|koi8-[rut]|gb\d+|gbk|euc_\w+|big5\w*|shift_jis\w*|johab|tis-620|mac\w*"
)
_CONTENT_TYPE = re.compile(rb'^[ \t]*"Content-Type:[^\n]*?charset=([\w.:-]+)', re.MULTILINE)
_LINE = re.compile(
    r"(?:(msgctxt|msgid_plural|msgid|msgstr)(?:\[(\d{1,4})\])?\s*)?"
    r'((?:"[^"\\]*+(?:\\.[^"\\]*+)*+"\s*+)++)'
)
_STRING = re.compile(r'"([^"\\]*+(?:\\.[^"\\]*+)*+)"')
_ESCAPE = re.compile(r"\\(?:([0-7]{1,3})|x([0-9A-Fa-f]{1,2})|(.))")
_ESCAPED = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "f": "\f", "v": "\v"}


def read_po(path: Path, sides: Sides) -> Iterator[Pair | Skipped]:
    """The pairs of a PO file; the line is that of `msgctxt` or `msgid`. Raises DataError."""
    with open_decompressed(path) as file:
        head = file.read(HEAD_BYTES)
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise DataError("a PO file in UTF-16 is not read", where=f"{path}:1", fix="convert it to UTF-8, by iconv")
    found = _CONTENT_TYPE.search(head)
    line = head.count(b"\n", 0, found.start()) + 1 if found else 1
    charset = _codec(found[1].decode() if found else "", f"{path}:{line}")
    catalogue = _Catalogue(str(path), sides)
    for entry in _entries(read_lines(path, charset), path):
        yield from catalogue.pairs(entry)


def read_mo(path: Path, sides: Sides) -> Iterator[Pair | Skipped]:
    """The pairs of an MO file; the line is the place in its table, from 1. Raises DataError."""
    with open_decompressed(path) as file:
        data = file.read(MAX_MO_BYTES + 1)
    catalogue = _Catalogue(str(path), sides)
    charset, place = "utf-8", 0
    for place, (key, value) in enumerate(_messages(data, path), start=1):
        where = f"{path}: message {place}"
        if not key:
            found = re.search(rb"charset=([\w.:-]+)", value)
            charset = _codec(found[1].decode() if found else "", where)
        try:
            texts, forms = (raw.decode(charset).split("\0") for raw in (key, value))
        except UnicodeDecodeError as error:
            raise DataError(f"it is not {charset} ({error.reason})", where=where, fix="make the file anew") from None
        context, _, singular = texts[0].rpartition("\4")
        plural = texts[1] if len(texts) > 1 else None
        yield from catalogue.pairs(_Entry(place, singular, plural, dict(enumerate(forms)), has_context=bool(context)))
    for _ in range(_machine_dependent(data)):
        yield Skipped("it has a format that depends on the machine (such as PRIuMAX)", place + 1)


@dataclass(frozen=True)
class _Entry:
    """One message; `forms` has the translation in the singular as 0, or all those of a plural."""

    line: int
    singular: str
    plural: str | None
    forms: dict[int, str]
    has_context: bool = False
    fuzzy: bool = False
    obsolete: bool = False


class _Catalogue:
    """What a catalogue's header says, and the pairs of its entries by that."""

    def __init__(self, where: str, sides: Sides) -> None:
        self._where = where
        self._sides = sides
        self._way: Literal["forward", "backward", ""] = "forward"
        self._one = 0  # the form that goes with the number 1

    def pairs(self, entry: _Entry) -> Iterator[Pair | Skipped]:
        """Those of an entry; the header sets what is said of those after it. Raises DataError."""
        translated = {form: text for form, text in sorted(entry.forms.items()) if text.strip()}
        if not entry.singular and not entry.has_context and not entry.obsolete:
            self._read_header(entry)
            yield Skipped("it is the header", entry.line)
        elif entry.obsolete or entry.fuzzy:
            yield Skipped("it is obsolete" if entry.obsolete else "it is fuzzy", entry.line)
        elif not translated:
            yield Skipped("it is not translated", entry.line)
        else:
            for form in entry.forms:
                if form in translated:
                    yield self._pair(self._original(entry, form), translated[form], entry.line)
                else:
                    yield Skipped("it is not translated", entry.line)

    def _original(self, entry: _Entry, form: int) -> str:
        if entry.plural is None or (form == self._one and len(entry.forms) > 1):
            return entry.singular
        return entry.plural

    def _pair(self, original: str, translation: str, line: int) -> Pair:
        return Pair(translation, original, line) if self._way == "backward" else Pair(original, translation, line)

    def _read_header(self, entry: _Entry) -> None:
        text = entry.forms.get(0, "")
        said = re.search(r"^Language: *([A-Za-z]{2,3}(?:[_-][A-Za-z0-9]+)*)(?:@\w+)? *$", text, re.MULTILINE)
        language = said[1] if said else ""
        self._way = direction(self._sides, "", language)
        if not self._way:
            wanted = f"{self._sides.source_language or '?'} to {self._sides.target_language or '?'}"
            raise DataError(
                f"its translations are in {language}, by its header; asked for is {wanted}",
                where=f"{self._where}:{entry.line}",
                fix="change --source-language and --target-language, or the header",
            )
        plural = re.search(r"^Plural-Forms:.*\bplural *=([^;\n]{1,1000})", text, re.MULTILINE)
        self._one = _form_of_one(plural[1]) if plural else 0


def _form_of_one(plural: str) -> int:
    """The number of the form for 1, by the expression of Plural-Forms; 0 where that cannot be read."""
    try:
        return int(c2py(plural)(1))
    except (ValueError, ArithmeticError):
        return 0


def _codec(said: str, where: str) -> str:
    """Python's name for a charset. Raises DataError for one that no catalogue has."""
    try:
        name = codecs.lookup(said).name if said not in ("", "CHARSET") else "utf-8"
    except (LookupError, ValueError):
        name = ""
    if not _SUPPORTED.fullmatch(name):
        raise DataError(f"the charset {said[:50]!r} is not known", where=where, fix="convert it to UTF-8, by msgconv")
    return name


@dataclass
class _Draft:
    """An entry of which not all lines have been read; texts by keyword, those of a plural as msgstr[0] and so on."""

    line: int
    fuzzy: bool
    obsolete: bool
    texts: dict[str, StringIO] = field(default_factory=dict)
    current: StringIO = field(default_factory=StringIO)  # what a line without a keyword goes on with
    room: int = MAX_ENTRY_CHARACTERS

    def add(self, keyword: str, text: str, where: str) -> None:
        """The text of a line, with a keyword or without. Raises DataError."""
        if keyword in self.texts or len(self.texts) > MAX_PLURAL_FORMS:
            raise DataError(
                f"the entry has {keyword} twice, or too many forms", where=where, fix="begin each entry by msgid"
            )
        if keyword:
            self.current = self.texts[keyword] = StringIO()
        self.room -= len(text)
        if self.room < 0:
            raise DataError(f"an entry has more than {MAX_ENTRY_CHARACTERS:,} characters", where=where, fix="divide it")
        self.current.write(text)

    def entry(self, path: Path) -> _Entry:
        """All of it. Raises DataError where something lacks."""
        texts = {keyword: text.getvalue() for keyword, text in self.texts.items()}
        forms = {int(word[7:-1] or 0): text for word, text in texts.items() if word.startswith("msgstr")}
        plural = texts.get("msgid_plural")
        if "msgid" not in texts or not forms or (plural is None) != ("msgstr" in texts):
            raise DataError(
                "the entry that begins here lacks msgid or msgstr, or has them of a plural and not of one",
                where=f"{path}:{self.line}",
                fix="complete it; msgfmt --check tells more",
            )
        return _Entry(self.line, texts["msgid"], plural, forms, "msgctxt" in texts, self.fuzzy, self.obsolete)


def _entries(lines: Iterable[str], path: Path) -> Iterator[_Entry]:
    draft: _Draft | None = None
    fuzzy = False
    for number, line in enumerate(lines, start=1):
        obsolete, line = _bare(line)
        if not line or line.startswith("#"):
            fuzzy |= line.startswith(("#,", "#=")) and "fuzzy" in re.split(r"[,\s]+", line[2:])
            continue
        where = f"{path}:{number}"
        keyword, text = _parsed(line, where)
        if keyword == "msgctxt" or (keyword == "msgid" and (draft is None or "msgid" in draft.texts)):
            if draft is not None:
                yield draft.entry(path)
            draft, fuzzy = _Draft(number, fuzzy, obsolete), False
        if draft is None:
            raise DataError("this belongs to no msgid", where=where, fix="begin each entry by msgid")
        draft.add(keyword, text, where)
    if draft is not None:
        yield draft.entry(path)


def _bare(line: str) -> tuple[bool, str]:
    """Whether it is of an obsolete entry, and the line without the mark of that; nothing where it says nothing."""
    line = line.strip(" \t\r\f\v")
    if line.startswith("#~") and not line.startswith("#~|"):
        return True, line[2:].lstrip()
    return False, "" if line.startswith("domain") else line


def _parsed(line: str, where: str) -> tuple[str, str]:
    """The keyword of a line, if it has one, with the number of a form, and the text. Raises DataError."""
    matched = _LINE.fullmatch(line)
    if matched is None or (matched[2] and matched[1] != "msgstr"):
        raise DataError(
            "this is no line of a PO file: a keyword and text in double quotes, or a comment",
            where=where,
            fix="mend it; msgfmt --check tells more",
        )
    text = "".join(_STRING.findall(matched[3]))
    keyword = f"msgstr[{int(matched[2])}]" if matched[2] else matched[1] or ""
    return keyword, _ESCAPE.sub(_unescape, text) if "\\" in text else text


def _unescape(matched: re.Match[str]) -> str:
    octal, hexadecimal, letter = matched.groups()
    if letter is None:
        return chr(int(octal, 8) if octal else int(hexadecimal, 16))
    return _ESCAPED.get(letter, letter)


def _machine_dependent(data: bytes) -> int:
    """How many messages stand apart from the table, since they are put together where they are read."""
    order = "<" if data.startswith(b"\xde") else ">"
    revision, first = struct.unpack_from(f"{order}2I", data, 4)[0], struct.unpack_from(f"{order}I", data, 12)[0]
    if revision & 0xFFFF == 0 or first < 48 or len(data) < 48:
        return 0
    return min(int(struct.unpack_from(f"{order}I", data, 36)[0]), len(data) // 8)


def _messages(data: bytes, path: Path) -> Iterator[tuple[bytes, bytes]]:
    """Keys and values of an MO file, in the order of its table."""
    broken = DataError("this is no MO file, or it is cut off", where=path, fix="make it anew, by msgfmt")
    order = {b"\xde\x12\x04\x95": "<", b"\x95\x04\x12\xde": ">"}.get(data[:4])
    if order is None or len(data) < 20:
        raise broken
    if len(data) > MAX_MO_BYTES:
        raise DataError(f"it is larger than {MAX_MO_BYTES:,} bytes", where=path, fix="give the PO file")
    count, keys, values = struct.unpack_from(f"{order}3I", data, 8)
    if max(keys, values) + 8 * count > len(data):
        raise broken
    room = len(data)  # texts lie one behind another, so that together they are no longer than the file
    for place in range(count):
        texts = []
        for table in (keys, values):
            length, begin = struct.unpack_from(f"{order}2I", data, table + 8 * place)
            room -= length
            if begin + length > len(data) or room < 0:
                raise broken
            texts.append(data[begin : begin + length])
        yield texts[0], texts[1]
