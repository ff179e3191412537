"""PO files (gettext): entries without a translation get one, marked as fuzzy; every other byte stays."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from regard.corpus.formats.po_lexer import CHARSET, FIX, decode_bytes, escape, is_fuzzy, parse_line
from regard.documents.document import (
    Columns,
    Edit,
    LanguagePair,
    MarkedText,
    Segment,
    SkippedEntry,
    TextDocument,
    decode_document,
    describe_unencodable,
    render,
    resolve_encoding,
)
from regard.documents.inline_markup import parse_tags
from regard.errors import DataError

MAX_WIDTH = 77  # characters of a string on a separate line, as gettext wraps it

_PLURAL_FORMS = re.compile(r"nplurals\s*=\s*(\d{1,2})\s*;\s*plural\s*=\s*([^;\n]*)")


@dataclass
class _Field:
    """A field of an entry, such as `msgid`: its text, and where it is in the document."""

    text: str
    start: int
    end: int
    num_lines: int
    line: int


@dataclass
class _Entry:
    """An entry of the file.

    Attributes:
        fields: The fields by name.
        flags: The span and the text of the first line `#, ...`.
        is_fuzzy: Whether it has the flag `fuzzy`.
        start: Where its first line that is not a comment starts.
        line: The number of that line.
    """

    fields: dict[str, _Field] = field(default_factory=dict)
    flags: tuple[int, int, str] | None = None
    is_fuzzy: bool = False
    start: int = 0
    line: int = 0

    def string_names(self) -> list[str]:
        """Return the names of its msgstr fields, in order."""
        return [name for name in self.fields if name.startswith("msgstr")]

    def is_untranslated(self) -> bool:
        """Return whether all of them are empty."""
        return not any(self.fields[name].text for name in self.string_names())


class PoDocument(TextDocument):
    """A PO file."""

    def __init__(self, data: bytes, name: str, languages: LanguagePair, columns: Columns) -> None:
        """Parse the file. Raise DataError if it is not a PO file, with the line number."""
        match = CHARSET.search(data)
        encoding = match[1].decode() if match else "utf-8"
        is_undeclared = encoding.upper() in ("CHARSET", "ASCII", "US-ASCII")
        encoding = "utf-8" if is_undeclared else resolve_encoding(encoding, name)
        super().__init__(decode_document(data, name, encoding), name, encoding)
        self._newline = "\r\n" if "\r\n" in self._text[:4096] else "\n"
        self._entries: list[_Entry] = []
        self._num_forms, self._plural_rule = 0, ""
        for entry in _read_entries(self._text, name):
            self._add_entry(entry)

    def _add_entry(self, entry: _Entry) -> None:
        for entry_field in entry.fields.values():
            entry_field.text = decode_bytes(entry_field.text, self.encoding)
        source = entry.fields["msgid"]
        if not source.text and "msgctxt" not in entry.fields:  # the header
            header = entry.fields["msgstr"].text if "msgstr" in entry.fields else ""
            if match := _PLURAL_FORMS.search(header):
                self._num_forms, self._plural_rule = int(match[1]), re.sub(r"[\s()]", "", match[2])
            return
        if entry.is_fuzzy or not entry.is_untranslated():
            self.already_translated += 1
            return
        if not source.text.strip():
            self.skipped.append(SkippedEntry(entry.line, "there is nothing to translate"))
            return
        sources = [source]
        if "msgid_plural" in entry.fields:
            num_forms = len(entry.string_names())
            if num_forms != self._num_forms:
                reason = f"it has {num_forms} plural forms, but the header declares {self._num_forms or 'none'}"
                self.skipped.append(SkippedEntry(entry.line, reason))
                return
            sources.append(entry.fields["msgid_plural"])
        number = len(self._entries)
        self._entries.append(entry)
        for text_field in sources:
            content = parse_tags(text_field.text)
            self.segments.append(Segment(content, text_field.line, number, can_have_accelerator=True))

    def check_translation(self, index: int, translation: MarkedText) -> str:
        """Refuse characters that the encoding of the file lacks."""
        return describe_unencodable(render(translation), self.encoding)

    def fill(self, translations: Sequence[MarkedText | None]) -> bytes:
        """Return the file with the translations in its msgstr fields, each entry marked as fuzzy."""
        edits: list[Edit] = []
        by_entry: dict[int, list[str]] = {}  # the translations of msgid and msgid_plural
        for segment, translation in zip(self.segments, translations, strict=True):
            if translation is not None:
                by_entry.setdefault(segment.entry, []).append(render(translation))
        for number, texts in by_entry.items():
            entry = self._entries[number]
            edits.append(self._edit_flags(entry))
            for index, name in enumerate(entry.string_names()):
                text = texts[0] if index == 0 and self._uses_singular(texts) else texts[-1]
                edits.append(self._edit_string(name, text, entry))
        return self._apply(edits)

    def _uses_singular(self, texts: Sequence[str]) -> bool:
        """Return whether msgstr or msgstr[0] gets the translation of msgid.

        A singular without the number, such as `one file`, is right only if the first form is used for 1 alone.
        """
        if len(texts) == 1:
            return True
        is_for_one_only = self._plural_rule in ("n!=1", "n==1?0:1")
        return self._num_forms > 1 and (is_for_one_only or _has_same_arguments(*texts))

    def _edit_flags(self, entry: _Entry) -> Edit:
        if entry.flags is None:
            return entry.start, entry.start, f"#, fuzzy{self._newline}"
        start, end, flags = entry.flags
        return start, end, f"#, fuzzy, {flags.strip()}"

    def _edit_string(self, name: str, text: str, entry: _Entry) -> Edit:
        """Return the edit of one msgstr field, on as many lines as its source needs."""
        string = entry.fields[name]
        escaped = escape(text)
        is_plural = "msgid_plural" in entry.fields and name != "msgstr[0]"
        source = entry.fields["msgid_plural" if is_plural else "msgid"]
        if source.num_lines == 1:
            return string.start, string.end, f'{name} "{escaped}"'
        lines = [f'{name} ""', *(f'"{line}"' for line in _wrap(escaped))]
        return string.start, string.end, self._newline.join(lines)


def _has_same_arguments(singular: str, plural: str) -> bool:
    return sorted(re.findall(r"%[^\s%]*[A-Za-z]", singular)) == sorted(re.findall(r"%[^\s%]*[A-Za-z]", plural))


def _wrap(escaped: str) -> Iterator[str]:
    r"""Yield the lines of a string. Each ends after a `\n`, or after a space if it would be too long."""
    for line in re.findall(r"(?:[^\\]|\\[^n])*?\\n|(?:[^\\]|\\.)+$", escaped):
        current = ""
        for word in re.findall(r"[^ ]* |[^ ]+", line):
            if current and len(current) + len(word) > MAX_WIDTH:
                yield current
                current = ""
            current += word
        yield current


def _read_entries(text: str, name: str) -> Iterator[_Entry]:
    """Yield the entries of a file. Raise DataError for a line that is not valid."""
    reader = _Reader(name)
    start = 0
    for number, line in enumerate(text.split("\n"), start=1):
        end = start + len(line.removesuffix("\r"))
        stripped = text[start:end].lstrip("\ufeff" if number == 1 else "").strip()
        if entry := reader.add_line(stripped, (start, end), number):
            yield entry
        start += len(line) + 1
    if reader.entry.fields:
        yield _check_entry(reader.entry, name)


class _Reader:
    """Collects the lines of a file into entries."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.entry = _Entry()
        self.current = ""  # the keyword of the field that a line without a keyword continues

    def add_line(self, line: str, span: tuple[int, int], number: int) -> _Entry | None:
        """Add a line with its span and its number. Return the entry that ends before it, if there is one.

        Raises:
            DataError: The line is not valid here.
        """
        if not line or line.startswith("#"):
            entry = self._finish_entry()
            self._add_comment(line, span, number)
            return entry
        keyword, text = parse_line(line, f"{self.name}:{number}")
        if keyword:
            entry = None if keyword.startswith("msgstr") else self._finish_entry()
            self._start_field(keyword, text, span, number)
            return entry
        if not self.current:
            raise _error("this string follows no keyword", self.name, number)
        current = self.entry.fields[self.current]
        current.text += text
        current.end = span[1]
        current.num_lines += 1
        return None

    def _finish_entry(self) -> _Entry | None:
        if not self.entry.string_names():
            return None
        entry, self.entry = _check_entry(self.entry, self.name), _Entry()
        return entry

    def _add_comment(self, line: str, span: tuple[int, int], number: int) -> None:
        self.current = ""
        if line.startswith("#~") and not self.entry.fields:
            self.entry = _Entry()  # the comments before it belong to the obsolete entry
            return
        if line.startswith("#,") and self.entry.flags is None:
            self.entry.flags = (*span, line[2:])
        self.entry.is_fuzzy |= is_fuzzy(line)
        if line.startswith("#|") and not self.entry.line:
            self.entry.start, self.entry.line = span[0], number

    def _start_field(self, keyword: str, text: str, span: tuple[int, int], number: int) -> None:
        entry, self.current = self.entry, keyword
        if keyword in entry.fields:
            raise _error(f"the entry has {keyword} twice", self.name, number)
        if not entry.line:
            entry.line, entry.start = number, span[0]
        entry.fields[keyword] = _Field(text, *span, 1, number)


def _check_entry(entry: _Entry, name: str) -> _Entry:
    """Return the entry. Raise DataError if it lacks msgid or msgstr, or has the wrong msgstr fields."""
    strings = entry.string_names()
    if "msgid" not in entry.fields or not strings:
        missing = "msgid" if "msgid" not in entry.fields else "msgstr"
        raise _error(f"the entry has no {missing}", name, entry.line)
    plural = [f"msgstr[{index}]" for index in range(len(strings))]
    if strings != (plural if "msgid_plural" in entry.fields else ["msgstr"]):
        raise _error(f"the entry has {', '.join(strings)}, which does not match its msgid", name, entry.line)
    return entry


def _error(problem: str, name: str, line: int) -> DataError:
    return DataError(problem, where=f"{name}:{line}", fix=FIX)
