"""Find the strings and the other values of a JSON text, with their places, without recursion."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from json import JSONDecodeError
from json.decoder import scanstring  # type: ignore[attr-defined]
from typing import NoReturn

from regard.documents.strings import MAX_DEPTH
from regard.errors import DataError

_SPACE = re.compile(r"[ \t\r\n]*")
_SCALAR = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null")
_FIX = "correct the file; a JSON parser shows the place"

Path = tuple[str | int, ...]
"""The keys and list indices that lead to a value."""


@dataclass(frozen=True)
class JsonValue:
    """A value: its path, and its span in the document, with quotes or brackets.

    Attributes:
        path: The path.
        text: The text of a string; otherwise a number or a literal as it is written, or `{` or `[`.
        start: Where it starts.
        end: Where it ends.
    """

    path: Path
    text: str
    start: int
    end: int


@dataclass(frozen=True)
class JsonString(JsonValue):
    """A string."""


@dataclass
class _Container:
    """An open object or list: where it starts, its current key or index, and the keys so far."""

    is_object: bool
    start: int
    key: str | int = 0
    keys: set[str] = field(default_factory=set)


class JsonReader:
    """Reads a JSON text."""

    def __init__(self, text: str, name: str) -> None:
        self._text, self._name = text, name
        self._at = 1 if text.startswith("\ufeff") else 0
        self._open: list[_Container] = []

    def read(self) -> Iterator[JsonString]:
        """Yield all strings that are values, in order. Raise DataError, with the line, if the text is not JSON."""
        return (value for value in self.values() if isinstance(value, JsonString))

    def values(self) -> Iterator[JsonValue]:
        """Yield all values; an object or a list follows the values in it. Raise DataError as `read` does."""
        while True:
            self._skip_space()
            opened, start = self._next_character(), self._at
            if opened in ("{", "["):
                self._open_container(is_object=opened == "{")
                if self._open[-1].is_object and not self._is_closed("}"):
                    self._read_key()
                    continue
                if not self._open[-1].is_object and not self._is_closed("]"):
                    continue
                yield self._close_container()
            elif opened == '"':
                text = self._read_string()
                yield JsonString(self._path(), text, start, self._at)
            else:
                self._read_scalar()
                yield JsonValue(self._path(), self._text[start : self._at], start, self._at)
            yield from self._close_containers()
            if not self._open:
                break
        self._skip_space()
        if self._at < len(self._text):
            self._fail("there is text after the end")

    def _path(self) -> Path:
        return tuple(container.key for container in self._open)

    def _close_containers(self) -> Iterator[JsonValue]:
        """Go to the next value after one has ended. Yield the objects and lists that end before it."""
        while self._open:
            container = self._open[-1]
            self._skip_space()
            if self._next_character() == ",":
                self._at += 1
                if container.is_object:
                    self._read_key()
                else:
                    assert isinstance(container.key, int)
                    container.key += 1
                return
            if not self._is_closed("}" if container.is_object else "]"):
                self._fail("a comma or a closing bracket is missing")
            yield self._close_container()

    def _close_container(self) -> JsonValue:
        container = self._open.pop()
        return JsonValue(self._path(), "{" if container.is_object else "[", container.start, self._at)

    def _open_container(self, *, is_object: bool) -> None:
        self._open.append(_Container(is_object, self._at))
        self._at += 1
        if len(self._open) > MAX_DEPTH:
            self._fail(f"more than {MAX_DEPTH} objects and lists are nested")

    def _is_closed(self, bracket: str) -> bool:
        """Return whether a closing bracket is next, and pass it."""
        self._skip_space()
        if self._next_character() != bracket:
            return False
        self._at += 1
        return True

    def _read_key(self) -> None:
        self._skip_space()
        start = self._at
        if self._next_character() != '"':
            self._fail("a key must be a string in double quotes")
        key = self._read_string()
        container = self._open[-1]
        if key in container.keys:
            self._at = start
            self._fail(f"the key {key[:100]!r} occurs twice in this object")
        container.keys.add(key)
        container.key = key
        self._skip_space()
        if self._next_character() != ":":
            self._fail("a colon is missing after the key")
        self._at += 1

    def _read_string(self) -> str:
        try:
            text, self._at = scanstring(self._text, self._at + 1, True)
        except JSONDecodeError as error:
            self._at = error.pos
            self._fail(error.msg[:1].lower() + error.msg[1:].removesuffix(" at"))
        return str(text)

    def _read_scalar(self) -> None:
        match = _SCALAR.match(self._text, self._at)
        if match is None:
            self._fail("a value is missing" if self._at < len(self._text) else "the file ends too early")
        self._at = match.end()

    def _skip_space(self) -> None:
        match = _SPACE.match(self._text, self._at)
        assert match is not None
        self._at = match.end()

    def _next_character(self) -> str:
        return self._text[self._at : self._at + 1]

    def _fail(self, problem: str) -> NoReturn:
        line = self._text.count("\n", 0, self._at) + 1
        raise DataError(f"this is not valid JSON: {problem}", where=f"{self._name}:{line}", fix=_FIX)


def quote_json(text: str, old: str, *, ascii_only: bool) -> str:
    r"""Return a text as a JSON string. ASCII characters that `old` always writes as `\uXXXX` or `\/` are written alike.

    Args:
        text: The text.
        old: The string that it replaces, as the document writes it.
        ascii_only: Whether to write other characters as `\uXXXX`.
    """
    escaped = {chr(int(code, 16)) for code in re.findall(r"\\u(00[2-7][0-9a-fA-F])", old)} - set(old[1:-1])
    slash = r"\/" if r"\/" in old else "/"
    simple = {'"': r"\"", "\\": r"\\", "\n": r"\n", "\r": r"\r", "\t": r"\t", "\b": r"\b", "\f": r"\f", "/": slash}

    def write(character: str) -> str:
        if character in escaped:
            return f"\\u{ord(character):04x}"
        if character in simple:
            return simple[character]
        if character < " " or (ascii_only and character > "~"):
            units = character.encode("utf-16-be")
            return "".join(f"\\u{units[index : index + 2].hex()}" for index in range(0, len(units), 2))
        return character

    return f'"{"".join(map(write, text))}"'
