"""gettext catalogues: entries without a translation get one, marked fuzzy; every other byte stays."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from regard.corpus.formats.po_lexer import FIX, escape, is_fuzzy, parse_line
from regard.documents.document import (
    Columns,
    Edit,
    LanguagePair,
    MarkedText,
    Segment,
    SkippedEntry,
    apply_edits,
    decode_document,
    describe_unencodable,
    render,
    resolve_encoding,
)
from regard.documents.inline_markup import parse_tags
from regard.errors import DataError

WIDTH = 77  # characters of a string in a line of its own, as gettext wraps

_CHARSET = re.compile(rb"charset=([A-Za-z0-9_.:-]{1,40})")
_FORMS = re.compile(r"nplurals\s*=\s*(\d{1,2})\s*;\s*plural\s*=\s*([^;\n]*)")


@dataclass
class _Field:
    """`msgid` or another: what it says, and from where to where it stands."""

    text: str
    start: int
    end: int
    lines: int
    line: int


@dataclass
class _Entry:
    fields: dict[str, _Field] = field(default_factory=dict)
    flags: tuple[int, int, str] | None = None  # the line `#, ...`
    fuzzy: bool = False
    start: int = 0  # of its first line that is no comment
    line: int = 0

    def strings(self) -> list[str]:
        """The names of its msgstr, in order."""
        return [name for name in self.fields if name.startswith("msgstr")]

    def untranslated(self) -> bool:
        """Whether none of them says anything."""
        return not any(self.fields[name].text for name in self.strings())


class PoDocument:
    """A PO file."""

    def __init__(self, data: bytes, name: str, languages: LanguagePair, columns: Columns) -> None:
        """Raises DataError where it is no PO file, with the line."""
        self.name = name
        found = _CHARSET.search(data)
        encoding = found[1].decode() if found else "utf-8"
        undeclared = encoding.upper() in ("CHARSET", "ASCII", "US-ASCII")
        self.encoding = "utf-8" if undeclared else resolve_encoding(encoding, name)
        self._text = decode_document(data, name, self.encoding)
        self._newline = "\r\n" if "\r\n" in self._text[:4096] else "\n"
        self.segments: list[Segment] = []
        self.skipped: list[SkippedEntry] = []
        self.already_translated = 0
        self._entries: list[_Entry] = []
        self._forms, self._rule = 0, ""
        for entry in _entries(self._text, name):
            self._take(entry)

    def _take(self, entry: _Entry) -> None:
        source = entry.fields["msgid"]
        if not source.text and "msgctxt" not in entry.fields:
            if header := _FORMS.search(entry.fields["msgstr"].text if "msgstr" in entry.fields else ""):
                self._forms, self._rule = int(header[1]), re.sub(r"[\s()]", "", header[2])
            return
        if entry.fuzzy or not entry.untranslated():
            self.already_translated += 1
            return
        if not source.text.strip():
            self.skipped.append(SkippedEntry(entry.line, "there is nothing to translate"))
            return
        sources = [source]
        if "msgid_plural" in entry.fields:
            if len(entry.strings()) != self._forms:
                why = f"it has {len(entry.strings())} plural forms, and the header says {self._forms or 'nothing'}"
                self.skipped.append(SkippedEntry(entry.line, why))
                return
            sources.append(entry.fields["msgid_plural"])
        number = len(self._entries)
        self._entries.append(entry)
        for one in sources:
            self.segments.append(Segment(parse_tags(one.text), one.line, number, can_have_accelerator=True))

    def check_translation(self, number: int, translation: MarkedText) -> str:
        """See Document."""
        return describe_unencodable(render(translation), self.encoding)

    def fill(self, translations: Sequence[MarkedText | None]) -> bytes:
        """See Document."""
        edits: list[Edit] = []
        filled: dict[int, list[str]] = {}
        for segment, translation in zip(self.segments, translations, strict=True):
            if translation is not None:
                filled.setdefault(segment.entry, []).append(render(translation))
        for number, texts in filled.items():
            entry = self._entries[number]
            edits.append(self._flagged(entry))
            singular_holds = self._forms > 1 and self._rule in ("n!=1", "n==1?0:1")
            for place, name in enumerate(entry.strings()):
                alike = len(texts) == 1 or singular_holds or _same_arguments(*texts)
                text = texts[0] if place == 0 and alike and (len(texts) == 1 or self._forms > 1) else texts[-1]
                edits.append(self._string(name, text, entry))
        return apply_edits(self._text, edits).encode(self.encoding)

    def _flagged(self, entry: _Entry) -> Edit:
        if entry.flags is None:
            return entry.start, entry.start, f"#, fuzzy{self._newline}"
        start, end, flags = entry.flags
        return start, end, f"#, fuzzy, {flags.strip()}"

    def _string(self, name: str, text: str, entry: _Entry) -> Edit:
        there = entry.fields[name]
        whole = escape(text)
        source = entry.fields["msgid_plural" if "msgid_plural" in entry.fields and name != "msgstr[0]" else "msgid"]
        if source.lines == 1:
            return there.start, there.end, f'{name} "{whole}"'
        lines = [f'{name} ""', *(f'"{line}"' for line in _wrapped(whole))]
        return there.start, there.end, self._newline.join(lines)


def _same_arguments(singular: str, plural: str) -> bool:
    return sorted(re.findall(r"%[^\s%]*[A-Za-z]", singular)) == sorted(re.findall(r"%[^\s%]*[A-Za-z]", plural))


def _wrapped(escaped: str) -> Iterator[str]:
    r"""The string's lines: each ends behind a `\n`, or behind a space where it would be too long."""
    for line in re.findall(r"(?:[^\\]|\\[^n])*?\\n|(?:[^\\]|\\.)+$", escaped):
        begun = ""
        for word in re.findall(r"[^ ]* |[^ ]+", line):
            if begun and len(begun) + len(word) > WIDTH:
                yield begun
                begun = ""
            begun += word
        yield begun


def _entries(text: str, name: str) -> Iterator[_Entry]:
    reader = _Reader(name)
    at = 0
    for number, line in enumerate(text.split("\n"), start=1):
        end = at + len(line.removesuffix("\r"))
        bare = text[at:end].lstrip("\ufeff" if number == 1 else "").strip()
        if ended := reader.take(bare, (at, end), number):
            yield ended
        at += len(line) + 1
    if reader.entry.fields:
        yield _checked(reader.entry, name)


class _Reader:
    """Takes the lines of a catalogue, and gives an entry when the line behind it comes."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.entry = _Entry()
        self.current = ""  # the field whose string may go on

    def take(self, line: str, span: tuple[int, int], number: int) -> _Entry | None:
        """A line, where it stands, and its number. Raises DataError."""
        if not line or line.startswith("#"):
            ended = self._ended()
            self._comment(line, span, number)
            return ended
        keyword, text = parse_line(line, f"{self.name}:{number}")
        if keyword:
            ended = None if keyword.startswith("msgstr") else self._ended()
            self._begin(keyword, text, span, number)
            return ended
        if not self.current:
            raise _error("this string follows no keyword", self.name, number)
        current = self.entry.fields[self.current]
        current.text, current.end, current.lines = current.text + text, span[1], current.lines + 1
        return None

    def _ended(self) -> _Entry | None:
        if not self.entry.strings():
            return None
        ended, self.entry = _checked(self.entry, self.name), _Entry()
        return ended

    def _comment(self, line: str, span: tuple[int, int], number: int) -> None:
        self.current = ""
        if line.startswith("#,"):
            self.entry.flags = (*span, line[2:])
            self.entry.fuzzy = is_fuzzy(line)
        if line.startswith("#|") and not self.entry.line:
            self.entry.start, self.entry.line = span[0], number

    def _begin(self, keyword: str, text: str, span: tuple[int, int], number: int) -> None:
        entry, self.current = self.entry, keyword
        if keyword in entry.fields:
            raise _error(f"the entry has {keyword} twice", self.name, number)
        if not entry.line:
            entry.line, entry.start = number, span[0]
        entry.fields[keyword] = _Field(text, *span, 1, number)


def _checked(entry: _Entry, name: str) -> _Entry:
    strings = entry.strings()
    if "msgid" not in entry.fields or not strings:
        lacking = "msgid" if "msgid" not in entry.fields else "msgstr"
        raise _error(f"the entry has no {lacking}", name, entry.line)
    plural = [f"msgstr[{place}]" for place in range(len(strings))]
    if strings != (plural if "msgid_plural" in entry.fields else ["msgstr"]):
        raise _error(f"the entry has {', '.join(strings)}, which does not go with its msgid", name, entry.line)
    return entry


def _error(problem: str, name: str, line: int) -> DataError:
    return DataError(problem, where=f"{name}:{line}", fix=FIX)
