"""Apple's .strings: values are translated; keys, comments, layout and the encoding stay."""

from __future__ import annotations

import re

from regard.documents.document import Columns, LanguagePair, decode_document
from regard.documents.strings import StringsDocument, StringValue, join_surrogates
from regard.errors import DataError

_SPACE = re.compile(r"(?:\s|/\*[\s\S]*?\*/|//[^\r\n]*)*+")
_TOKEN = re.compile(r'"((?:[^"\\]|\\[\s\S])*+)"|([\w.$/:-]+)')
_ESCAPE = re.compile(r"\\(?:[uU]([0-9A-Fa-f]{4})|([0-7]{3})|([\s\S]))")
_CONTROLS = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "f": "\f", "v": "\v"}
_WRITTEN = {"\\": r"\\", '"': r"\"", "\n": r"\n", "\t": r"\t", "\r": r"\r"}
_FIX = 'write each entry as "key" = "value";'


class AppleStringsDocument(StringsDocument):
    """A .strings file."""

    def __init__(self, data: bytes, name: str, languages: LanguagePair, columns: Columns) -> None:
        """Parse the file. Raise DataError if it is not a .strings file, with the line number."""
        if data.startswith(b"bplist"):
            raise DataError("it is a binary property list", where=name, fix="convert it: plutil -convert xml1 FILE")
        if data.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"<"):
            raise DataError("it is a property list in XML, not strings", where=name, fix='write "key" = "value"; lines')
        encoding = _detect_encoding(data)
        super().__init__(decode_document(data, name, encoding), name, encoding, columns)
        at = self._skip_space(1 if self._text.startswith("\ufeff") else 0)
        while at < len(self._text):
            at = self._read_entry(at)

    def _skip_space(self, at: int) -> int:
        match = _SPACE.match(self._text, at)
        assert match is not None
        return match.end()

    def _read_entry(self, at: int) -> int:
        """Read `"key" = "value";` or `"key";`. Return where the next entry starts."""
        key = self._token(at)
        at = self._skip_space(key.end())
        value = key
        if self._text[at : at + 1] == "=":
            value = self._token(self._skip_space(at + 1))
            at = self._skip_space(value.end())
        if self._text[at : at + 1] != ";":
            raise self._error("a semicolon is missing", at)
        name = _unescape(key)
        if value is not key and value[1] is not None:
            line = self._line_of(key.start())
            self._add_string(StringValue(name, _unescape(value), value.start(1), value.end(1), line), name)
        return self._skip_space(at + 1)

    def _token(self, at: int) -> re.Match[str]:
        match = _TOKEN.match(self._text, at)
        if match is None:
            raise self._error("a string is missing, or does not end", at)
        return match

    def _error(self, problem: str, at: int) -> DataError:
        line = self._text.count("\n", 0, at) + 1
        return DataError(f"this is not a .strings file: {problem}", where=f"{self.name}:{line}", fix=_FIX)

    def _quote(self, string: StringValue, text: str) -> str:
        return "".join(_WRITTEN.get(character, character) for character in text)


def _detect_encoding(data: bytes) -> str:
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16-le" if data.startswith(b"\xff\xfe") else "utf-16-be"
    if b"\0" in data[:2]:  # the first character is ASCII
        return "utf-16-be" if data[:1] == b"\0" else "utf-16-le"
    return "utf-8"


def _unescape(token: re.Match[str]) -> str:
    def replace(match: re.Match[str]) -> str:
        if match[1]:
            return chr(int(match[1], 16))
        return chr(int(match[2], 8)) if match[2] else _CONTROLS.get(match[3], match[3])

    if token[1] is None:
        return token[2]
    return join_surrogates(_ESCAPE.sub(replace, token[1]))
