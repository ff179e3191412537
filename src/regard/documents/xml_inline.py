"""The content of an XML element as marked text: elements of translation formats, and escaped tags in the text."""

from __future__ import annotations

from dataclasses import replace

from regard.documents.document import InlineTag, MarkedText
from regard.documents.inline_markup import parse_tags
from regard.documents.xml import Node, escape

SPANNING = frozenset({"g", "pc", "mrk", "hi"})  # contain text to translate
OPENING = frozenset({"bpt", "bx", "sc", "sm"})  # the first of two elements around text
CLOSING = frozenset({"ept", "ex", "ec", "em"})
PAIR_ATTRIBUTES = ("startRef", "i", "rid", "id")  # identify the two elements of a pair


def parse_content(node: Node, document: str) -> MarkedText:
    """Return the text of an element, with its child elements as inline tags.

    If it has no child elements, tags that are escaped in the text, such as `&lt;b&gt;`, are inline tags too.
    """
    parser = _ContentParser(document)
    parser.add_children(node)
    text = "".join(parser.texts)
    return MarkedText(text, tuple(parser.tags)) if parser.tags else parse_tags(text, escape)


class _ContentParser:
    def __init__(self, document: str) -> None:
        self.document = document
        self.texts: list[str] = []
        self.tags: list[InlineTag] = []
        self.length = self.num_pairs = 0
        self.open_pairs: dict[str, int] = {}  # the index of the opening tag of each open pair, by its identifier

    def add_children(self, node: Node) -> None:
        """Add the text and the tags of all nodes in an element."""
        for child in node.children:
            if child.text:
                self.texts.append(child.text)
                self.length += len(child.text)
            elif child.name in SPANNING and child.children and child.attributes.get("translate") != "no":
                self.num_pairs += 1
                pair = self.num_pairs
                self.tags.append(InlineTag(self.length, self.document[child.start : child.inner_start], pair, True))
                self.add_children(child)
                self.tags.append(InlineTag(self.length, self.document[child.inner_end : child.end], pair))
            else:
                self._add_single(child)

    def _add_single(self, node: Node) -> None:
        """Add an element as one tag, paired with an earlier element if it closes it."""
        key = next((node.attributes[name] for name in PAIR_ATTRIBUTES if name in node.attributes), "")
        tag = InlineTag(self.length, self.document[node.start : node.end])
        if node.name in OPENING:
            self.open_pairs[key] = len(self.tags)
        elif node.name in CLOSING and key in self.open_pairs:
            self.num_pairs += 1
            first = self.open_pairs.pop(key)
            self.tags[first] = replace(self.tags[first], pair=self.num_pairs, is_opening=True)
            tag = replace(tag, pair=self.num_pairs)
        self.tags.append(tag)
