"""What is in an XML element as text with marks: elements of translation formats, and tags that it says."""

from __future__ import annotations

from dataclasses import replace

from regard.documents.document import InlineTag, MarkedText
from regard.documents.inline_markup import parse_tags
from regard.documents.xml import Node, escape

AROUND = frozenset({"g", "pc", "mrk", "hi"})  # around text that is to be translated
BEGINS = frozenset({"bpt", "bx", "sc", "sm"})  # the first of two elements that stand around text
ENDS = frozenset({"ept", "ex", "ec", "em"})
NAMES = ("startRef", "i", "rid", "id")  # which of the two belong together


def content(node: Node, document: str) -> MarkedText:
    """The text of an element, with what else it holds as marks.

    Tags that the text itself says, as `&lt;b&gt;`, are marks too where the element holds nothing else.
    """
    collected = _Collected(document)
    collected.take(node)
    text = "".join(collected.texts)
    return MarkedText(text, tuple(collected.tags)) if collected.tags else parse_tags(text, escape)


class _Collected:
    def __init__(self, document: str) -> None:
        self.document = document
        self.texts: list[str] = []
        self.tags: list[InlineTag] = []
        self.length = self.pairs = 0
        self.begun: dict[str, int] = {}  # where among the marks a pair of two elements begins

    def take(self, node: Node) -> None:
        """All that is in it."""
        for one in node.within:
            if one.text:
                self.texts.append(one.text)
                self.length += len(one.text)
            elif one.name in AROUND and one.within and one.attributes.get("translate") != "no":
                self.pairs += 1
                number = self.pairs
                self.tags.append(InlineTag(self.length, self.document[one.start : one.inner_start], number, True))
                self.take(one)
                self.tags.append(InlineTag(self.length, self.document[one.inner_end : one.end], number))
            else:
                self._alone(one)

    def _alone(self, one: Node) -> None:
        key = next((one.attributes[name] for name in NAMES if name in one.attributes), "")
        mark = InlineTag(self.length, self.document[one.start : one.end])
        if one.name in BEGINS:
            self.begun[key] = len(self.tags)
        elif one.name in ENDS and key in self.begun:
            self.pairs += 1
            first = self.begun.pop(key)
            self.tags[first] = replace(self.tags[first], pair=self.pairs, is_opening=True)
            mark = replace(mark, pair=self.pairs)
        self.tags.append(mark)
