"""The lines of a gettext PO file: keywords, quoted strings and their escapes.

Used to read catalogues as corpora (`regard.corpus.formats.gettext`) and to fill them (`regard.documents.po`).
"""

from __future__ import annotations

import re

from regard.errors import DataError

FIX = "correct the file; `msgfmt --check` says more"
CHARSET = re.compile(
    rb'^[ \t]*(?:msgstr[ \t]*)?"(?:[^"\n]*\\n)?Content-Type:[^"\n]{0,200}?charset=([\w.:-]+)', re.MULTILINE
)  # of a catalogue, in the line Content-Type of its header

_LINE = re.compile(
    r"(?:(msgctxt|msgid_plural|msgid|msgstr)(?:\[(\d{1,4})\])?\s*)?"
    r'((?:"[^"\\]*+(?:\\.[^"\\]*+)*+"\s*+)++)'
)
_STRING = re.compile(r'"([^"\\]*+(?:\\.[^"\\]*+)*+)"')
_ESCAPE = re.compile(r"\\(?:([0-7]{1,3})|x([0-9A-Fa-f]{1,2})|(.))", re.DOTALL)
_LETTERS = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "f": "\f", "v": "\v", "\\": "\\", '"': '"'}
_ESCAPED_BYTE = re.compile("[\udc80-\udcff]")
_ESCAPED = str.maketrans({character: f"\\{letter}" for letter, character in _LETTERS.items()})


def parse_line(line: str, where: str) -> tuple[str, str]:
    """Return the keyword and the unescaped text of a line. Join the texts of a field, then call `decode_bytes`.

    The keyword includes the number of a plural form (`msgstr[1]`); it is empty where the line continues a string.
    Raises DataError for any other line.
    """
    match = _LINE.fullmatch(line)
    if match is None or (match[2] and match[1] != "msgstr"):
        raise DataError(
            "this is not a line of a PO file: expected a comment, or a keyword and text in double quotes",
            where=where,
            fix=FIX,
        )
    keyword = f"msgstr[{int(match[2])}]" if match[2] else match[1] or ""
    return keyword, "".join(map(unescape, _STRING.findall(match[3])))


def is_fuzzy(line: str) -> bool:
    """Return whether a line of flags, such as `#, fuzzy, c-format`, marks the next entry as fuzzy."""
    return line.startswith(("#,", "#=")) and "fuzzy" in re.split(r"[,\s]+", line[2:])


def unescape(text: str) -> str:
    r"""Replace escapes by their characters: `\n`, `\"`, `\101`, `\x41`; unknown ones stay.

    A numeric escape is a byte in the charset of the file. Bytes above 127 become lone surrogates for `decode_bytes`.
    """
    return _ESCAPE.sub(_character, text) if "\\" in text else text


def decode_bytes(text: str, charset: str) -> str:
    """Decode the bytes that numeric escapes of a field stand for. Bytes that are not valid become U+FFFD."""
    if not _ESCAPED_BYTE.search(text):
        return text
    return text.encode(charset, "surrogateescape").decode(charset, "replace")


def escape(text: str) -> str:
    """Return a text as it is written in double quotes."""
    return text.translate(_ESCAPED)


def _character(match: re.Match[str]) -> str:
    octal, hexadecimal, letter = match.groups()
    if letter is None:
        byte = (int(octal, 8) if octal else int(hexadecimal, 16)) & 0xFF
        return bytes([byte]).decode("ascii", "surrogateescape")
    return _LETTERS.get(letter, match[0])
