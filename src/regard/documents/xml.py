"""XML whose bytes stay: where each element begins and ends, told by expat; no entity is declared or fetched.

A document is held as text; expat reads it as UTF-8, and its places are turned into those of the text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from xml.sax.saxutils import escape as _escape

from regard.corpus.formats.expat import XmlParser
from regard.documents.document import decode_document, resolve_encoding
from regard.errors import DataError

_DECLARED = re.compile(rb"""<\?xml[^>]{0,200}?encoding\s*=\s*["']([A-Za-z0-9._-]{1,40})["']""")
_TAG_END = re.compile(rb"""(?:[^<>"']|"[^"]*"|'[^']*')*>""")
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ufffe\uffff\ud800-\udfff]")
XML_SPACE = " \t\r\n"


@dataclass
class Node:
    """An element, or what is none: then `name` is empty, and `text` what it says (nothing, if it is no text).

    start to end: all of it. inner_start to inner_end: what is between its tags. Characters of the document.
    """

    name: str
    start: int
    line: int
    attributes: dict[str, str] = field(default_factory=dict)
    text: str = ""
    inner_start: int = 0
    inner_end: int = 0
    end: int = 0
    within: list[Node] = field(default_factory=list)

    def child(self, name: str) -> Node | None:
        """The first element of that name in it."""
        return next((one for one in self.within if one.name == name), None)

    def children(self, name: str) -> list[Node]:
        """All of that name in it."""
        return [one for one in self.within if one.name == name]

    def has_content(self) -> bool:
        """Whether there is an element or more than white space in it."""
        return any(one.name or one.text.strip() for one in self.within)


def local_name(name: str) -> str:
    """A name without its prefix."""
    return name.rpartition(":")[2]


def decode_xml(data: bytes, name: str) -> tuple[str, str]:
    """A document's text and encoding. Raises DataError."""
    encoding = "utf-8"
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        encoding = "utf-16-le" if data.startswith(b"\xff\xfe") else "utf-16-be"
    elif declared := _DECLARED.match(data.removeprefix(b"\xef\xbb\xbf")):
        encoding = declared[1].decode().lower()
        if encoding.startswith(("utf-16", "utf-32", "utf-7", "ucs")):
            raise DataError(f"it is not {encoding.upper()}, as it says", where=f"{name}:1", fix="mend its first line")
        encoding = resolve_encoding(encoding, name)
    return decode_document(data, name, encoding), encoding


def encode_xml(text: str, encoding: str) -> bytes:
    """Its bytes; what the encoding has not is written by its number."""
    return text.encode(encoding, "xmlcharrefreplace")


def escape(text: str) -> str:
    """Text as XML has it."""
    return _escape(text).replace("\r", "&#13;")


def describe_invalid_xml(text: str) -> str:
    """Why XML cannot hold a text; nothing where it can."""
    match = _CONTROL.search(text)
    return f"XML has no character U+{ord(match[0]):04X}" if match else ""


Found = Callable[[Node, list[Node]], None]
"""Is given an element with all that is in it, and the elements around it, which have nothing in them yet."""


def read_elements(text: str, name: str, wanted: Collection[str], found: Found) -> None:
    """Calls `found` for every outermost element of a wanted (local) name. Raises DataError where it is no such XML."""
    reader = _Reader(text, name, wanted, found)
    reader.parser.feed(reader.data, last=True)


class _Reader:
    """What expat calls."""

    def __init__(self, text: str, name: str, wanted: Collection[str], found: Found) -> None:
        self.wanted, self.found = wanted, found
        self.source, self.data = text, text.encode()
        self.around: list[Node] = []
        self.open: list[Node] = []  # of the wanted element, and those in it
        self.last: Node | None = None  # a node whose end is where the next one begins
        self._bytes = self._characters = 0
        self.parser = XmlParser(name, "UTF-8")
        parser = self.parser.expat
        parser.buffer_text = False
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._text
        parser.DefaultHandler = self._other
        parser.CommentHandler = self._other
        parser.StartCdataSectionHandler = parser.EndCdataSectionHandler = self._section
        parser.ProcessingInstructionHandler = lambda target, data: self._other(data)

    def _place(self, index: int) -> int:
        """From a byte, not before the last one asked for, to a character."""
        self._characters += len(self.data[self._bytes : index].decode())
        self._bytes = index
        return self._characters

    def _here(self) -> int:
        place = self._place(self.parser.expat.CurrentByteIndex)
        if self.last is not None:
            self.last.end, self.last = place, None
        return place

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        start = self._here()
        node = Node(local_name(name), start, self.parser.line, attributes)
        self.parser.check_depth(len(self.around) + len(self.open) + 1)
        end = _TAG_END.match(self.data, self.parser.expat.CurrentByteIndex + 1)
        node.inner_start = node.inner_end = node.end = start if end is None else self._place(end.end())
        if self.open:
            self.open[-1].within.append(node)
            self.open.append(node)
        elif node.name in self.wanted:
            self.open.append(node)
        else:
            self.around.append(node)

    def _end(self, _name: str) -> None:
        index = self.parser.expat.CurrentByteIndex
        if not self.open:
            self.around.pop()
            return
        node = self.open.pop()
        if self.source[node.inner_start - 2 : node.inner_start] != "/>":
            node.inner_end = self._here()
            close = self.data.index(b">", index) + 1
            node.end = self._place(close)
        if not self.open:
            self.found(node, self.around)

    def _text(self, text: str) -> None:
        self._add(Node("", self._here(), self.parser.line, text=text))

    def _other(self, _data: str) -> None:
        self._add(Node("", self._here(), self.parser.line))

    def _section(self) -> None:
        self._here()

    def _add(self, node: Node) -> None:
        if self.open:
            self.open[-1].within.append(node)
            self.last = node
