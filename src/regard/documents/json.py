"""JSON and ARB: string values are translated; keys, order, layout and escapes stay."""

from __future__ import annotations

import re
from collections.abc import Iterable

from regard.corpus.formats.sides import matches_language
from regard.documents.document import Columns, Edit, LanguagePair, decode_document
from regard.documents.json_strings import JsonReader, JsonString, quote_json
from regard.documents.strings import StringsDocument, StringValue
from regard.errors import DataError

_ESCAPE = re.compile(r"\\u(?!00[0-7])[0-9a-fA-F]{4}")


class JsonDocument(StringsDocument):
    """A JSON file. A subclass may select strings by their paths."""

    def __init__(self, data: bytes, name: str, languages: LanguagePair, columns: Columns) -> None:
        """Parse the file. Raise DataError if it is not JSON, with the line number."""
        super().__init__(decode_document(data, name), name, "utf-8", columns, languages.source)
        self._ascii_only = self._text.isascii() and _ESCAPE.search(self._text) is not None
        self._languages = languages
        is_extension = _is_browser_extension(JsonReader(self._text, name).read())
        for string in JsonReader(self._text, name).read():  # read twice, so that not all strings are held in memory
            is_default = self._is_text(string) and (not is_extension or string.path[-1] == "message")
            key = string.path[-1] if string.path and isinstance(string.path[-1], str) else ""
            value = StringValue(
                ".".join(map(str, string.path)), string.text, string.start, string.end, self._line_of(string.start)
            )
            self._add_string(value, key, is_default=is_default)

    def _is_text(self, string: JsonString) -> bool:
        """Return whether a string is translated by default."""
        return True

    def _quote(self, string: StringValue, text: str) -> str:
        return quote_json(text, self._text[string.start : string.end], ascii_only=self._ascii_only)


class ArbDocument(JsonDocument):
    """An ARB file: JSON in which keys that start with `@` are metadata."""

    def __init__(self, data: bytes, name: str, languages: LanguagePair, columns: Columns) -> None:
        """See JsonDocument."""
        self._locale: JsonString | None = None
        super().__init__(data, name, languages, columns)
        if not self._text.lstrip("\ufeff \t\r\n").startswith("{"):
            raise DataError("an ARB file is a JSON object", where=f"{name}:1", fix="check that it is ARB")

    def _is_text(self, string: JsonString) -> bool:
        if string.path == ("@@locale",) and matches_language(string.text, self._languages.source):
            self._locale = string
        return len(string.path) == 1 and not str(string.path[0]).startswith("@")

    def _common_edits(self) -> list[Edit]:
        """Declare the target language."""
        if self._locale is None or not self._languages.target:
            return []
        return [(self._locale.start, self._locale.end, f'"{self._languages.target}"')]


def _is_browser_extension(strings: Iterable[JsonString]) -> bool:
    """Return whether this is a messages.json: an object of objects, each with a `message`."""
    names: set[str | int] = set()
    messages: set[str | int] = set()
    for string in strings:
        if len(string.path) < 2:
            return False
        names.add(string.path[0])
        if string.path[1:] == ("message",):
            messages.add(string.path[0])
    return bool(names) and names == messages
