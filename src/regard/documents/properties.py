r"""Java properties: values are translated; keys, comments, separators and continuation lines stay.

A file in ASCII is written with `\uXXXX` escapes, which every version of Java reads. A file in UTF-8 stays in UTF-8, and
any other file is Latin-1, with escapes for other characters.
"""

from __future__ import annotations

import re

from regard.documents.document import Columns, LanguagePair, MarkedText, decode_document
from regard.documents.splitting import wrap_lines
from regard.documents.strings import StringsDocument, StringValue, join_surrogates

_LINE = re.compile(r"[ \t\f]*([^\r\n]*)(\r\n?|\n|\Z)")
_KEY = re.compile(r"(?:[^\\=:\s]|\\(?:\r\n|[\s\S]))*")
_SEPARATOR = re.compile(r"(?:[ \t\f]|\\(?:\r\n?|\n)[ \t\f]*)*(?:[=:](?:[ \t\f]|\\(?:\r\n?|\n)[ \t\f]*)*)?")
_ESCAPE = re.compile(r"\\(?:u([0-9A-Fa-f]{4})|(\r\n?|\n)[ \t\f]*|([\s\S]))")
_VALUE = re.compile(r"(?:[^\\\r\n]|\\(?:\r\n|[\s\S]))*+")
_CONTINUATION = re.compile(r"\\(\r\n?|\n)([ \t\f]*)")
_CONTROLS = {"t": "\t", "n": "\n", "r": "\r", "f": "\f"}
_WRITTEN = {"\\": r"\\", "\t": r"\t", "\n": r"\n", "\r": r"\r", "\f": r"\f"}


class PropertiesDocument(StringsDocument):
    """A properties file."""

    has_accelerators = True

    def __init__(self, data: bytes, name: str, languages: LanguagePair, columns: Columns) -> None:
        """Parse the file. Raise DataError if it is not text."""
        encoding = "utf-8"
        if not data.isascii():
            try:
                data.decode()
            except UnicodeDecodeError:
                encoding = "utf-8" if b"\0" in data else "latin-1"  # a null byte is not text: refuse the file
        super().__init__(decode_document(data, name, encoding), name, encoding, columns)
        self._max_character = "\xff" if encoding == "latin-1" else "~" if data.isascii() else "\U0010ffff"
        at = 1 if self._text.startswith("\ufeff") else 0
        while at < len(self._text):
            at = self._read_line(at)

    def _read_line(self, at: int) -> int:
        """Read the comment or the entry at a position. Return where the next one starts."""
        match = _LINE.match(self._text, at)
        assert match is not None
        if not match[1] or match[1][0] in "#!":
            return max(match.end(), at + 1)
        key = _KEY.match(self._text, match.start(1))
        assert key is not None
        separator = _SEPARATOR.match(self._text, key.end())
        assert separator is not None
        start = separator.end()
        end = self._find_end(start)
        name, value = _unescape(key[0]), _unescape(self._text[start:end])
        self._add_string(StringValue(name, value, start, end, self._line_of(match.start(1))), name)
        return max(end, at + 1)

    def _find_end(self, at: int) -> int:
        """Return where a value ends that starts at a position."""
        match = _VALUE.match(self._text, at)
        assert match is not None
        return match.end()

    def _quote(self, string: StringValue, text: str) -> str:
        raw = self._text[string.start : string.end]
        continuations = _CONTINUATION.findall(raw)
        pieces = _split(text, len(continuations) + 1)
        newline, indent = continuations[0] if continuations else ("", "")
        quoted = [_escape(piece, self._max_character) for piece in pieces]
        return f"\\{newline}{indent}".join(quoted)

    def _render_text(self, source: str, translation: MarkedText) -> str:
        text = super()._render_text(source, translation)
        if re.search(r"\{\d", source) and "'" not in source:  # for java.text.MessageFormat, an apostrophe is a quote
            return text.replace("'", "\u2019")
        return text


def _unescape(raw: str) -> str:
    def replace(match: re.Match[str]) -> str:
        if match[1]:
            return chr(int(match[1], 16))
        return "" if match[2] else _CONTROLS.get(match[3], match[3])

    return join_surrogates(_ESCAPE.sub(replace, raw))


def _escape(text: str, max_character: str) -> str:
    """Escape a part of a value. A space at the start of a line would be lost without a backslash."""
    parts = []
    for index, character in enumerate(text):
        if character in _WRITTEN:
            parts.append(_WRITTEN[character])
        elif character == " " and not index:
            parts.append(r"\ ")
        elif character > max_character or character < " " or "\x7f" <= character < "\xa0":
            units = character.encode("utf-16-be")
            parts += [rf"\u{units[at : at + 2].hex().upper()}" for at in range(0, len(units), 2)]
        else:
            parts.append(character)
    return "".join(parts)


def _split(text: str, num_lines: int) -> list[str]:
    """Split a value into lines: after its line feeds if there are as many, and between words otherwise."""
    if num_lines == 1:
        return [text]
    parts = re.findall(r"[^\n]*\n|[^\n]+\Z", text)
    if len(parts) == num_lines:
        return parts
    lines = wrap_lines(text.replace("\n", "\0"), num_lines).split("\n")
    return [line.replace("\0", "\n") + (" " if index < len(lines) - 1 else "") for index, line in enumerate(lines)]
