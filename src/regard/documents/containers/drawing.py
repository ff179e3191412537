"""The paragraphs of DrawingML: slides, notes, charts, diagrams, and the shapes of workbooks."""

from __future__ import annotations

import re
from collections.abc import Sequence

from regard.documents.containers.items import Item, Run, Style, field_item
from regard.documents.containers.namespaces import OOXML
from regard.documents.containers.part import NodeHandler, Part, find_nested, quote_attribute, tag_name
from regard.documents.document import LanguagePair
from regard.documents.xml import Node, escape, read_elements

_LANGUAGE = re.compile(r"""(\slang\s*=\s*)("[^"]*"|'[^']*')""")
_RAISED = re.compile(r"""\sbaseline\s*=\s*["']-?[1-9]""")
_MARKS = re.compile(r"""\s(?:dirty|err|smtClean)\s*=\s*("[^"]*"|'[^']*')""")
_IGNORED = re.compile(r"""\s(?:lang|altLang|noProof)\s*=\s*("[^"]*"|'[^']*')""")


class DrawingPart(Part):
    """A part with paragraphs of DrawingML."""

    def __init__(self, data: bytes, name: str, languages: LanguagePair) -> None:
        """Parse the part. Raise DataError if it is not well-formed."""
        super().__init__(data, name, languages)
        self._read(
            {
                "a:p": self._add_paragraph,
                "c:strCache": self._add_cache,
                "p:text": self.add_element,
                "p:cNvPr": self._add_description,
                "xdr:cNvPr": self._add_description,
            }
        )

    def _read(self, handlers: dict[str, NodeHandler]) -> None:
        read_elements(self._text, self.name, handlers, lambda node, _: handlers[node.name](node), OOXML)

    def _add_description(self, node: Node) -> None:
        self.add_attributes(node, ("descr", "title"))

    def _add_cache(self, cache: Node) -> None:
        """Add the labels of a chart."""
        for point in cache.find_children("c:pt"):
            for value in point.find_children("c:v"):
                self.add_element(value)

    def _add_paragraph(self, paragraph: Node) -> None:
        prefix = tag_name(paragraph, self._text).removesuffix("p")
        children = [child for child in paragraph.children if child.name]
        if children and children[0].name == "a:pPr":
            del children[0]
        if children and children[-1].name == "a:endParaRPr":
            del children[-1]
        if not children:
            return
        items = [item for child in children for item in self._items(child, prefix)]
        self.add_items(children[0].start, children[-1].end, items, _RunWriter(prefix))

    def _items(self, node: Node, prefix: str) -> Sequence[Item]:
        markup = self.copy(node.start, node.end)
        if node.name not in ("a:r", "a:br"):
            text = "".join(piece.text for element in node.find_children("a:t") for piece in element.children)
            return [field_item(text, markup)]
        properties = node.find_child("a:rPr")
        style = self._style(self._text[properties.start : properties.end] if properties else "", prefix)
        text = "\n"
        if node.name == "a:r":
            text = "".join(piece.text for element in node.find_children("a:t") for piece in element.children)
            text = text.replace("\n", " ").replace("\v", " ")
        return [Run(text, style, markup)] if text else []

    def _style(self, properties: str, prefix: str) -> Style:
        start_tag, bracket, inside = properties.partition(">")
        start_tag = _MARKS.sub("", start_tag)
        key = re.sub(r"<[^\s/>]+", "", _IGNORED.sub("", start_tag)).strip(" /") + inside
        language = _LANGUAGE.search(start_tag)
        if language and self.relabeling.replaces(language[2][1:-1]):
            value = quote_attribute(self.relabeling.target, language[2])
            start_tag = start_tag[: language.start()] + language[1] + value + start_tag[language.end() :]
        is_script = _RAISED.search(start_tag) is not None
        is_link = "hlinkClick" in inside
        return Style(key, f"<{prefix}r>{start_tag}{bracket}{inside}", f"</{prefix}r>", is_script, is_link)


class MasterPart(DrawingPart):
    """A slide master or layout: shapes that appear on slides, and the default language. Placeholders stay."""

    def _read(self, handlers: dict[str, NodeHandler]) -> None:
        inner = {"a:p": handlers["a:p"]}

        def add_shape(shape: Node) -> None:
            placeholders: list[Node] = []
            find_nested(shape, {"p:ph": placeholders.append})
            if not placeholders:
                find_nested(shape, inner)

        super()._read({"p:sp": add_shape, "a:defRPr": lambda node: self.relabel(node, "lang")})


class _RunWriter:
    """Writes a text as runs with line breaks between them."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix

    def __call__(self, text: str, style: Style) -> str:
        prefix = self.prefix
        opening = style.opening or f"<{prefix}r>"
        parts: list[str] = []
        for part in re.split("(\n)", text):
            if part == "\n":
                parts.append(f"<{prefix}br>{opening.removeprefix(f'<{prefix}r>')}</{prefix}br>")
            elif part:
                parts.append(f"{opening}<{prefix}t>{escape(part)}</{prefix}t></{prefix}r>")
        return "".join(parts)
