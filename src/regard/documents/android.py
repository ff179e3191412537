"""Android's strings.xml: strings, plurals and string arrays are translated in their places.

`translatable="false"`, references such as `@string/name`, comments, names and `<xliff:g>` stay.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from regard.documents.document import Columns, Edit, InlineTag, LanguagePair, MarkedText, ProtectedSpan, Segment, render
from regard.documents.inline_markup import parse_tags
from regard.documents.strings import join_surrogates, select_key
from regard.documents.xml import Node, XmlDocument, escape, read_elements
from regard.errors import DataError
from regard.text.segments import has_letters

_ESCAPE = re.compile(r"\\(?:u([0-9A-Fa-f]{4})|([\s\S]))|[ \t\r\n]+|\"")
_CONTROLS = {"n": "\n", "t": "\t"}
_WRITTEN = {"\\": r"\\", "'": r"\'", '"': r"\"", "\n": r"\n", "\t": r"\t"}
_CDATA_START, _CDATA_END = "<![CDATA[", "]]>"
_TAG = re.compile(r"(</?[A-Za-z][^<>]*>)")
_LINE_BREAK = re.compile(r"\\n[ \t]*(\r?\n[ \t]*)")
UNTRANSLATED = "g"  # the local name of <xliff:g>


@dataclass(frozen=True)
class _Place:
    """Where a text is in the document, and how it is written there.

    Attributes:
        start: Where the text starts.
        end: Where it ends.
        is_cdata: Whether it is in a CDATA section.
        line_break: The white space of the document after each line feed.
    """

    start: int
    end: int
    is_cdata: bool
    line_break: str


class AndroidDocument(XmlDocument):
    """A resource file of strings."""

    def __init__(self, data: bytes, name: str, languages: LanguagePair, columns: Columns) -> None:
        """Parse the file. Raise DataError if it is not well-formed, with the line number."""
        super().__init__(data, name)
        self._columns = columns
        self._places: list[_Place] = []
        self._identities: set[str] = set()  # kind, name and product of each resource
        self._num_entries = 0
        read_elements(self._text, name, ("string", "plurals", "string-array"), self._add_element)

    def _add_element(self, element: Node, ancestors: list[Node]) -> None:
        if not ancestors or ancestors[-1].name != "resources":
            return
        name = element.attributes.get("name", "")
        identity = f"{element.name} {name} {element.attributes.get('product', '')}"
        if identity in self._identities:
            raise DataError(
                f"the name {name[:100]!r} occurs twice", where=f"{self.name}:{element.line}", fix="remove one of them"
            )
        self._identities.add(identity)
        if any(node.attributes.get("translatable") == "false" for node in (*ancestors, element)):
            return
        if element.name == "string":
            self._add_content(element, name)
        else:
            for number, item in enumerate(element.find_children("item")):
                is_plural = element.name == "plurals"
                self._add_content(item, f"{name}.{item.attributes.get('quantity', number) if is_plural else number}")
                self._num_entries += 0 if is_plural else 1  # the forms of a plural are filled together
        self._num_entries += 1

    def _add_content(self, element: Node, key: str) -> None:
        """Add the content of a string or an item."""
        raw = self._text[element.inner_start : element.inner_end]
        start, end = element.inner_start + len(raw) - len(raw.lstrip()), element.inner_start + len(raw.rstrip())
        is_reference = re.match(r"[@?](?!\s)", self._text[start:end])
        if start >= end or is_reference or select_key(self._columns, key) is False:
            return
        is_cdata = self._text.startswith(_CDATA_START, start) and self._text.endswith(_CDATA_END, start, end)
        if is_cdata:
            start, end = start + len(_CDATA_START), end - len(_CDATA_END)
        is_quoted = end - start > 1 and self._text[start] == self._text[end - 1] == '"'
        if is_quoted:
            start, end = start + 1, end - 1
        if is_cdata:
            text = _unescape(self._text[start:end], keep_space=is_quoted)
            content = parse_tags(text, _escape_outside_tags)
        else:
            content = _ContentParser(self._text, keep_space=is_quoted).parse(element)
        if has_letters(content.unprotected()):
            line_break = _LINE_BREAK.search(raw)
            self.segments.append(Segment(content, element.line, self._num_entries))
            self._places.append(_Place(start, end, is_cdata, line_break[1] if line_break else ""))

    def check_translation(self, index: int, translation: MarkedText) -> str:
        """Refuse characters that XML does not allow, and the end of a CDATA section in one."""
        if self._places[index].is_cdata and _CDATA_END in render(translation):
            return f"a CDATA section cannot hold {_CDATA_END}"
        return super().check_translation(index, translation)

    def _edits(self, index: int, translation: MarkedText) -> list[Edit]:
        place = self._places[index]
        written = render(translation, _escape if place.is_cdata else _escape_xml)
        if written[:1] in ("@", "?"):
            written = "\\" + written
        if place.line_break:
            written = written.replace("\\n", f"\\n{place.line_break}")
        return [(place.start, place.end, written)]


class _ContentParser:
    """Reads the text of an element with its child elements as inline tags."""

    def __init__(self, document: str, *, keep_space: bool) -> None:
        self.document, self.keep_space = document, keep_space
        self.texts: list[str] = []
        self.tags: list[InlineTag] = []
        self.protected: list[ProtectedSpan] = []
        self.length = self.num_pairs = 0
        self.pending = ""  # text whose escapes are not read yet

    def parse(self, element: Node) -> MarkedText:
        """Return the content of an element, without the white space and the quotes around it."""
        self._add_children(element)
        self._flush()
        text = "".join(self.texts)
        if not self.tags and not self.protected:
            text = text if self.keep_space else text.strip(" ")
            return parse_tags(text, lambda markup: escape(_escape_outside_tags(markup)))
        size = 0 if self.keep_space else len(text) - len(text.lstrip(" "))
        text = text if self.keep_space else text.strip(" ")

        def move(position: int) -> int:
            return min(max(position - size, 0), len(text))

        tags = (InlineTag(move(tag.position), tag.markup, tag.pair, tag.is_opening) for tag in self.tags)
        spans = (ProtectedSpan(move(span.start), move(span.end), span.markup) for span in self.protected)
        return MarkedText(text, tuple(tags), tuple(spans))

    def _add_children(self, element: Node) -> None:
        for child in element.children:
            if child.text:
                self.pending += child.text
                continue
            self._flush()
            markup = self.document[child.start : child.end]
            is_text = bool(child.children) and all(part.text for part in child.children)
            if child.name == UNTRANSLATED and is_text:
                start = self.length
                self._add_text("".join(part.text for part in child.children))
                self.protected.append(ProtectedSpan(start, self.length, markup))
            elif child.name and child.name != UNTRANSLATED and child.children:
                self.num_pairs += 1
                pair = self.num_pairs
                opening, closing = (child.start, child.inner_start), (child.inner_end, child.end)
                self.tags.append(InlineTag(self.length, self.document[slice(*opening)], pair, True))
                self._add_children(child)
                self._flush()
                self.tags.append(InlineTag(self.length, self.document[slice(*closing)], pair))
            elif markup:
                self.tags.append(InlineTag(self.length, markup))

    def _flush(self) -> None:
        text, self.pending = _unescape(self.pending, keep_space=self.keep_space), ""
        self._add_text(text)

    def _add_text(self, text: str) -> None:
        self.texts.append(text)
        self.length += len(text)


def _unescape(raw: str, *, keep_space: bool) -> str:
    def replace(match: re.Match[str]) -> str:
        if match[1]:
            return chr(int(match[1], 16))
        if match[2]:
            return _CONTROLS.get(match[2], match[2])
        return "" if match[0] == '"' else match[0] if keep_space else " "

    parts = _TAG.split(raw)
    parts[::2] = [_ESCAPE.sub(replace, part) for part in parts[::2]]
    text = "".join(parts)
    if not keep_space:
        text = re.sub(" *\n *", "\n", text)
    return join_surrogates(text)


def _escape(text: str) -> str:
    return "".join(_WRITTEN.get(character, character) for character in text)


def _escape_outside_tags(markup: str) -> str:
    parts = _TAG.split(markup)
    parts[::2] = [_escape(part) for part in parts[::2]]
    return "".join(parts)


def _escape_xml(text: str) -> str:
    return escape(_escape(text))
