"""A member of a container that is XML: its paragraphs and other texts are places that are filled by edits.

A place may be inside another one: the text of a text box is inside the paragraph that the box is anchored to.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from regard.documents.containers.items import Item, Markup, TextWriter
from regard.documents.containers.languages import Relabeling
from regard.documents.containers.styled_text import Piece, StyledText, plain_text, split_pieces
from regard.documents.document import Edit, LanguagePair, MarkedText, Segment
from regard.documents.html_attributes import parse_attributes, quote_value
from regard.documents.xml import Node, XmlDocument, escape
from regard.documents.xml_inline import parse_content
from regard.text.segments import has_letters

_NAME = re.compile(r"<([^\s/>]+)")


@dataclass(frozen=True)
class _Place:
    """Characters [start, end) of the part, its pieces, and the index of the segment of its first text."""

    start: int
    end: int
    pieces: Sequence[Piece]
    first: int

    def num_texts(self) -> int:
        return sum(1 for piece in self.pieces if isinstance(piece, StyledText))


class Part(XmlDocument):
    """Base class of XML parts. `line` of a segment is the number of its place in the part."""

    def __init__(self, data: bytes, name: str, languages: LanguagePair) -> None:
        """Decode the part. Raise DataError if that is not possible."""
        super().__init__(data, name)
        self.relabeling = Relabeling(languages)
        self.language_edits: list[Edit] = []
        self._places: list[_Place] = []

    def copy(self, start: int, end: int) -> Markup:
        """Return markup of the part."""
        return Markup(self._text[start:end], ((0, start, end),))

    def add_place(self, start: int, end: int, pieces: Sequence[Piece]) -> None:
        """Add a place, whose texts are an entry, if it has text."""
        place = _Place(start, end, pieces, len(self.segments))
        entry = len(self._places)
        for piece in pieces:
            if isinstance(piece, StyledText):
                content = piece.content
                is_reflowable = "\n" not in content.text and "\t" not in content.text
                self.segments.append(Segment(content, entry + 1, entry, is_reflowable=is_reflowable))
        if place.num_texts():
            self._places.append(place)

    def add_items(self, start: int, end: int, items: Sequence[Item], write: TextWriter) -> None:
        """Add a place that consists of items."""
        self.add_place(start, end, split_pieces(items, write))

    def add_element(self, node: Node) -> None:
        """Add the text of an element that has no runs."""
        content = parse_content(node, self._text)
        if has_letters(content.unprotected()):
            self.add_place(node.inner_start, node.inner_end, [plain_text(content, escape)])

    def add_attributes(self, node: Node, names: Sequence[str]) -> None:
        """Add the values of some attributes of an element. Names are in lower case."""
        for attribute in parse_attributes(self._text, node.start, node.inner_start):
            if attribute.name in names and has_letters(attribute.value):
                old = self._text[attribute.start : attribute.end]
                text = plain_text(MarkedText(attribute.value), partial(quote_attribute, old=old))
                self.add_place(attribute.start, attribute.end, [text])

    def relabel(self, node: Node, name: str) -> None:
        """Set an attribute of an element, if it declares the source language, to the target language."""
        for attribute in parse_attributes(self._text, node.start, node.inner_start):
            if attribute.name == name and self.relabeling.replaces(attribute.value):
                value = quote_value(self.relabeling.target, self._text[attribute.start : attribute.end])
                self.language_edits.append((attribute.start, attribute.end, value))

    def fill(self, translations: Sequence[MarkedText | None]) -> bytes:
        """Return the part with the translations in their places, and with the target language declared."""
        places = []
        for place in self._places:
            texts = translations[place.first : place.first + place.num_texts()]
            if all(text is not None for text in texts):
                places.append(place)
        edits = self._outermost_edits(places, translations)
        return self._apply([*edits, *self.language_edits])

    def _outermost_edits(self, places: Sequence[_Place], translations: Sequence[MarkedText | None]) -> list[Edit]:
        """Return the edits of the places that are in no other one; the edits of those inside are part of theirs."""
        edits: list[Edit] = []
        stack: list[tuple[_Place, list[Edit]]] = []  # places and the edits inside of them

        def close_last() -> None:
            place, inner_edits = stack.pop()
            outer = stack[-1][1] if stack else edits
            outer.append((place.start, place.end, self._render(place, translations, inner_edits)))

        for place in sorted(places, key=lambda place: (place.start, -place.end)):
            while stack and stack[-1][0].end <= place.start:
                close_last()
            stack.append((place, []))
        while stack:
            close_last()
        return edits

    def _render(
        self,
        place: _Place,
        translations: Sequence[MarkedText | None] | Mapping[int, MarkedText],
        inner_edits: Sequence[Edit],
    ) -> str:
        parts: list[str] = []
        index = place.first
        for piece in place.pieces:
            if isinstance(piece, StyledText):
                translation = translations[index]
                assert translation is not None
                parts.append(piece.render(translation, inner_edits))
                index += 1
            else:
                parts.append(piece.with_edits(inner_edits))
        return "".join(parts)


def quote_attribute(value: str, old: str) -> str:
    """Escape and quote an attribute value for XML, with the quotes of the old value."""
    quote = old[0]
    escaped = escape(value).replace("\n", "&#10;").replace("\t", "&#9;")
    return quote + escaped.replace(quote, "&quot;" if quote == '"' else "&apos;") + quote


def tag_name(node: Node, text: str) -> str:
    """Return the name of an element with the prefix that the document uses."""
    match = _NAME.match(text, node.start)
    assert match is not None
    return match[1]


NodeHandler = Callable[[Node], None]
"""Adds a place inside markup that is copied."""


def find_nested(node: Node, handlers: dict[str, NodeHandler]) -> None:
    """Call the handler of each outermost descendant whose name has a handler."""
    stack = list(reversed(node.children))
    while stack:
        child = stack.pop()
        if child.name in handlers:
            handlers[child.name](child)
        else:
            stack.extend(reversed(child.children))
