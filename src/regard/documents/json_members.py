"""Insert a member into an object of a JSON text, in the style of the text."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from regard.documents.document import Edit
from regard.documents.json_strings import JsonValue, quote_json

_COLON = re.compile(r"[ \t\r\n]*:[ \t\r\n]*\Z")
_LONGEST_COLON = 100
_COLON_AFTER_KEY = re.compile(r'(?<=")[ \t]*:[ \t]*')
_OPENING = re.compile(r"\{[ \t\r\n]*")


def insert_member(text: str, parent: JsonValue, members: Sequence[JsonValue], key: str, value: object) -> Edit:
    """Return the edit that adds a member to an object after the last one with a smaller key, or replaces its value.

    Args:
        text: The document.
        parent: The object.
        members: The values of its members.
        key: The new key.
        value: The new value: a text, a mapping, or a JsonValue, whose `text` is written as it is.
    """
    style = _Style(text, parent, members)
    old = next((member for member in members if member.path[-1] == key), None)
    if old is not None:
        return old.start, old.end, style.value(value, 1)
    member = style.member(key, value, 1)
    if not members:
        return parent.start + 1, parent.end - 1, style.line(1) + member + style.line(0)
    smaller = [member for member in members if str(member.path[-1]) < key]
    if smaller:
        at = smaller[-1].end
        return at, at, f",{style.line(1) or style.gap}{member}"
    at = parent.start + 1
    return at, at, f"{style.line(1)}{member},{'' if style.newline else style.gap}"


class _Style:
    """The white space of an object: between its members, and around colons."""

    def __init__(self, text: str, parent: JsonValue, members: Sequence[JsonValue]) -> None:
        line = text[text.rfind("\n", 0, parent.start) + 1 : parent.start + 1]
        self.indent = line[: len(line) - len(line.lstrip(" \t"))]
        unit = re.search(r"\n([ \t]*)\S", text)
        self.unit = unit[1] if unit else ""
        colon = _COLON.search(text[max(0, members[0].start - _LONGEST_COLON) : members[0].start]) if members else None
        colon = colon or re.search(_COLON_AFTER_KEY, text)
        self.colon = colon[0] if colon else ": "
        self.gap = " " if self.colon.endswith(" ") else ""
        opening = _OPENING.match(text, parent.start)
        is_on_lines = "\n" in (opening[0] if opening and members else text)
        self.newline = ("\r\n" if "\r\n" in text else "\n") if is_on_lines else ""

    def line(self, level: int) -> str:
        """Return the white space before a member of the object, or of one in it; 0 is that before its end."""
        return self.newline + self.indent + self.unit * level if self.newline else ""

    def member(self, key: str, value: object, level: int) -> str:
        """Return a member."""
        return quote_json(key, '""', ascii_only=False) + self.colon + self.value(value, level)

    def value(self, value: object, level: int) -> str:
        """Return a value, whose end is at a level."""
        if isinstance(value, JsonValue):
            return value.text
        if not isinstance(value, Mapping):
            return quote_json(str(value), '""', ascii_only=False)
        members = [self.member(str(key), item, level + 1) for key, item in value.items()]
        separator = f",{self.line(level + 1) or self.gap}"
        return f"{{{self.line(level + 1)}{separator.join(members)}{self.line(level)}}}"
