"""XML that keeps its bytes: expat locates each element in the document; entities are neither declared nor fetched.

The document is held as text. Expat reads it as UTF-8, and its byte offsets are converted to character offsets.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from xml.sax.saxutils import escape as _escape

from regard.corpus.formats.expat import XmlParser
from regard.documents.document import MarkedText, TextDocument, decode_document, resolve_encoding
from regard.errors import DataError

_DECLARATION = re.compile(rb"""<\?xml[^>]{0,200}?encoding\s*=\s*["']([A-Za-z0-9._-]{1,40})["']""")
_TAG_END = re.compile(rb"""(?:[^<>"']|"[^"]*"|'[^']*')*>""")
_INVALID = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ufffe\uffff\ud800-\udfff]")
XML_SPACE = " \t\r\n"
MAX_NODES = 200_000  # in an element that is held in memory


@dataclass
class Node:
    """An element, a piece of text, or other markup such as a comment. Offsets are characters of the document.

    Attributes:
        name: The local name of the element; empty for text and other markup. See also `read_elements`.
        start: Where the node starts.
        line: Its line number, from 1.
        attributes: The attributes of the element.
        text: The characters of a piece of text; empty for other nodes.
        inner_start: Where the content of the element starts.
        inner_end: Where the content of the element ends.
        end: Where the node ends.
        children: The nodes in the element.
    """

    name: str
    start: int
    line: int
    attributes: dict[str, str] = field(default_factory=dict)
    text: str = ""
    inner_start: int = 0
    inner_end: int = 0
    end: int = 0
    children: list[Node] = field(default_factory=list)

    def find_child(self, name: str) -> Node | None:
        """Return the first child element with this name."""
        return next((child for child in self.children if child.name == name), None)

    def find_children(self, name: str) -> list[Node]:
        """Return all child elements with this name."""
        return [child for child in self.children if child.name == name]

    def has_content(self) -> bool:
        """Return whether it contains an element, or text other than white space."""
        return any(child.name or child.text.strip() for child in self.children)


def local_name(name: str) -> str:
    """Return a name without its prefix."""
    return name.rpartition(":")[2]


def decode_xml(data: bytes, name: str) -> tuple[str, str]:
    """Return the text of a document, and its encoding. Raise DataError if it cannot be decoded."""
    encoding = "utf-8"
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        encoding = "utf-16-le" if data.startswith(b"\xff\xfe") else "utf-16-be"
    elif declaration := _DECLARATION.match(data.removeprefix(b"\xef\xbb\xbf")):
        encoding = declaration[1].decode().lower()
        if encoding.startswith(("utf-16", "utf-32", "utf-7", "ucs")):
            raise DataError(
                f"it declares {encoding.upper()}, but is not in that encoding",
                where=f"{name}:1",
                fix="correct the encoding in its first line",
            )
        encoding = resolve_encoding(encoding, name)
    return decode_document(data, name, encoding), encoding


def escape(text: str) -> str:
    """Escape a text for XML."""
    return _escape(text).replace("\r", "&#13;")


class XmlDocument(TextDocument):
    """Base class of documents in XML."""

    encoding_errors = "xmlcharrefreplace"

    def __init__(self, data: bytes, name: str) -> None:
        """Decode the document. Raise DataError if that is not possible."""
        text, encoding = decode_xml(data, name)
        super().__init__(text, name, encoding)

    def check_translation(self, index: int, translation: MarkedText) -> str:
        """Refuse characters that XML does not allow."""
        match = _INVALID.search(translation.text)
        return f"XML does not allow the character U+{ord(match[0]):04X}" if match else ""

    def _space_before(self, position: int) -> str:
        """Return the white space before a position."""
        before = self._text[max(0, position - 400) : position]
        return before[len(before.rstrip(XML_SPACE)) :]


def open_start_tag(node: Node, document: str) -> str:
    """Return the start tag of an element without its `>` or `/>`."""
    return document[node.start : node.inner_start].removesuffix(">").removesuffix("/").rstrip(XML_SPACE)


ElementHandler = Callable[[Node, list[Node]], None]
"""Takes an element with its descendants, and its ancestors, which have no children yet."""


def read_elements(
    text: str,
    name: str,
    element_names: Collection[str],
    handler: ElementHandler,
    namespaces: Mapping[str, str] | None = None,
) -> None:
    """Call `handler` for every outermost element that has one of these names.

    Args:
        text: The document.
        name: Its name for messages.
        element_names: The names of elements.
        handler: Takes each element.
        namespaces: Prefixes by namespace. If given, the names of elements and attributes are these prefixes and the
            local name, such as `w:p`, whatever prefixes the document declares; the prefix of any other namespace is
            `?`. If None, the names of elements are local names.

    Raises:
        DataError: The text is not well-formed, declares entities, or is nested too deeply.
    """
    reader = _Reader(text, name, element_names, handler, namespaces)
    reader.parser.feed(reader.data, last=True)


class _Reader:
    """The handlers of expat."""

    def __init__(
        self,
        text: str,
        name: str,
        element_names: Collection[str],
        handler: ElementHandler,
        namespaces: Mapping[str, str] | None,
    ) -> None:
        self.element_names, self.handler, self.namespaces = element_names, handler, namespaces
        self.source, self.data = text, text.encode()
        self.num_nodes = 0  # in the current element with one of the names
        self.ancestors: list[Node] = []
        self.open: list[Node] = []  # the current element with one of the names, and its open descendants
        self.last: Node | None = None  # a node that ends where the next one starts
        self._byte_offset = self._character_offset = 0
        self.parser = XmlParser(name, "UTF-8", namespaces=namespaces is not None)
        parser = self.parser.expat
        parser.buffer_text = False
        parser.StartElementHandler = self._start_element
        parser.EndElementHandler = self._end_element
        parser.CharacterDataHandler = self._add_text
        parser.DefaultHandler = self._add_markup
        parser.CommentHandler = self._add_markup
        parser.StartCdataSectionHandler = parser.EndCdataSectionHandler = self._end_last
        parser.ProcessingInstructionHandler = lambda target, data: self._add_markup(data)

    def _to_characters(self, byte_offset: int) -> int:
        """Convert a byte offset to a character offset. Offsets must not decrease from call to call."""
        self._character_offset += len(self.data[self._byte_offset : byte_offset].decode())
        self._byte_offset = byte_offset
        return self._character_offset

    def _end_last(self) -> int:
        """Return the current character offset, where the last node ends if its end is not known yet."""
        offset = self._to_characters(self.parser.expat.CurrentByteIndex)
        if self.last is not None:
            self.last.end, self.last = offset, None
        return offset

    def _start_element(self, name: str, attributes: dict[str, str]) -> None:
        start = self._end_last()
        if self.namespaces is None:
            name = local_name(name)
        else:
            name = self._qualify(name, self.namespaces)
            attributes = {self._qualify(key, self.namespaces): value for key, value in attributes.items()}
        node = Node(name, start, self.parser.line, attributes)
        self.parser.check_depth(len(self.ancestors) + len(self.open) + 1)
        end = _TAG_END.match(self.data, self.parser.expat.CurrentByteIndex + 1)
        node.inner_start = node.inner_end = node.end = start if end is None else self._to_characters(end.end())
        if self.open:
            self._count_node()
            self.open[-1].children.append(node)
            self.open.append(node)
        elif node.name in self.element_names:
            self.num_nodes = 0
            self.open.append(node)
        else:
            self.ancestors.append(node)

    def _end_element(self, _name: str) -> None:
        byte_offset = self.parser.expat.CurrentByteIndex
        if not self.open:
            self.ancestors.pop()
            return
        node = self.open.pop()
        if self.source[node.inner_start - 2 : node.inner_start] != "/>":
            node.inner_end = self._end_last()
            node.end = self._to_characters(self.data.index(b">", byte_offset) + 1)
        if not self.open:
            self.handler(node, self.ancestors)

    def _add_text(self, text: str) -> None:
        self._add(Node("", self._end_last(), self.parser.line, text=text))

    def _add_markup(self, _data: str) -> None:
        self._add(Node("", self._end_last(), self.parser.line))

    @staticmethod
    def _qualify(name: str, namespaces: Mapping[str, str]) -> str:
        namespace, _, local = name.rpartition(" ")
        return f"{namespaces.get(namespace, '?')}:{local}" if namespace else local

    def _count_node(self) -> None:
        self.num_nodes += 1
        if self.num_nodes > MAX_NODES:
            self.parser.fail(f"an element contains more than {MAX_NODES:,} nodes", "split it into several elements")

    def _add(self, node: Node) -> None:
        if self.open:
            self._count_node()
            self.open[-1].children.append(node)
            self.last = node
