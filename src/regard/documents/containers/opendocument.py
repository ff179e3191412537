"""OpenDocument: the text of `.odt`, `.odp` and `.ods`, with headers, footers, notes and comments.

Spans with equal styles are one text; automatic styles that record only who typed the text do not count. Tabs, line
breaks and spaces are white space of the text. Fields, notes and frames stay in the text, and paragraphs in notes and
frames are translated, too. Deleted text, formulas and numbers stay.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from regard.documents.containers.container import ContainerDocument
from regard.documents.containers.items import Group, Item, Markup, Run, Single, Style, field_item
from regard.documents.containers.metadata import MetadataPart
from regard.documents.containers.namespaces import OPENDOCUMENT
from regard.documents.containers.part import NodeHandler, Part, find_nested, tag_name
from regard.documents.document import Columns, LanguagePair
from regard.documents.html_attributes import parse_attributes, quote_value
from regard.documents.xml import Node, decode_xml, escape, local_name, read_elements
from regard.errors import DataError

MIMETYPE = "mimetype"
MANIFEST = "META-INF/manifest.xml"
KINDS: Final[dict[str, str]] = {
    "text": "an OpenDocument text",
    "presentation": "an OpenDocument presentation",
    "spreadsheet": "an OpenDocument spreadsheet",
}
"""What a document is, by the last part of its media type."""

GROUPS = frozenset({"text:a", "text:meta", "text:meta-field", "?:content-control"})
"""Elements that contain text, in addition to spans."""
WITH_TEXT = frozenset({"text:note", "office:annotation", "text:ruby"})
"""Elements with paragraphs that are not part of the text around them; so are all of `draw:`."""
RANGES = {
    "text:bookmark-start": "text:name",
    "text:bookmark-end": "text:name",
    "office:annotation": "office:name",
    "office:annotation-end": "office:name",
}
PLACEHOLDERS = frozenset({"title", "subtitle", "outline", "text", "notes"})
"""Frames of a master page whose text is only a prompt."""
DROPPED = frozenset({"text:soft-page-break"})
_IGNORED_PROPERTIES = frozenset({"fo:language", "fo:country"})
_TEXT_PARTS = re.compile(r"(?:.*/)?(?:content|styles)\.xml")


class OpenDocument(ContainerDocument):
    """An OpenDocument text, presentation or spreadsheet."""

    def __init__(self, data: bytes, name: str, languages: LanguagePair, columns: Columns, *, kind: str) -> None:
        """Parse the document.

        Args:
            data: The document.
            name: Its name for messages.
            languages: Source and target.
            columns: Not used.
            kind: What it should be: a key of KINDS.

        Raises:
            DataError: It is something else, damaged, encrypted, or exceeds a limit.
        """
        description = KINDS[kind]
        super().__init__(data, name, description)
        media_type = self.archive.read(MIMETYPE).decode(errors="replace") if MIMETYPE in self.archive.members else ""
        actual = media_type.removeprefix("application/vnd.oasis.opendocument.").removesuffix("-template").strip()
        if actual != kind:
            self.archive.refuse_kind(description)
        for member in self._text_members():
            part_class = MetadataPart if member == "meta.xml" else OpenDocumentPart
            part = part_class(self.archive.read(member), self.part_name(member), languages)
            if part.segments or part.language_edits:
                self.add_part(member, part)

    def _text_members(self) -> list[str]:
        """Return the members that may contain text: of the document, and of objects in it such as charts."""
        members: list[str] = [
            member for member in ("content.xml", "styles.xml", "meta.xml") if member in self.archive.members
        ]
        if MANIFEST in self.archive.members:
            text, _ = decode_xml(self.archive.read(MANIFEST), self.part_name(MANIFEST))

            def add(node: Node, _: list[Node]) -> None:
                if node.find_child("encryption-data"):
                    raise DataError("it is encrypted", where=self.name, fix="save it without a password")
                path = next((value for key, value in node.attributes.items() if local_name(key) == "full-path"), "")
                if _TEXT_PARTS.fullmatch(path) and path in self.archive.members and path not in members:
                    members.append(path)

            # by local names: manifests of old versions of OpenOffice declare no namespace
            read_elements(text, self.part_name(MANIFEST), ("file-entry",), add)
        if "content.xml" not in members:
            raise DataError("it has no content.xml", where=self.name, fix="save it again with its own program")
        return members


class OpenDocumentPart(Part):
    """A part with paragraphs of an OpenDocument file."""

    def __init__(self, data: bytes, name: str, languages: LanguagePair) -> None:
        """Parse the part. Raise DataError if it is not well-formed."""
        super().__init__(data, name, languages)
        self._style_keys: dict[str, str] = {}  # of automatic styles of text
        self._handlers: dict[str, NodeHandler] = {
            "text:p": self._add_paragraph,
            "text:h": self._add_paragraph,
            "svg:title": self.add_element,
            "svg:desc": self.add_element,
            "style:style": self._add_style,
            "style:default-style": self._find_languages,
            "text:tracked-changes": lambda node: None,
        }
        read_elements(self._text, name, self._handlers, self._add, OPENDOCUMENT)

    def _add(self, node: Node, ancestors: list[Node]) -> None:
        is_master = any(ancestor.name == "style:master-page" for ancestor in ancestors)
        for ancestor in reversed(ancestors):
            if is_master and ancestor.attributes.get("presentation:class") in PLACEHOLDERS:
                return
            if ancestor.name == "office:annotation":
                break
            if ancestor.name in ("table:table-cell", "table:covered-table-cell"):
                value_type = ancestor.attributes.get("office:value-type", "string")
                if value_type != "string" or "table:formula" in ancestor.attributes:
                    return
        self._handlers[node.name](node)

    def _add_style(self, style: Node) -> None:
        self._find_languages(style)
        if style.attributes.get("style:family") != "text":
            return
        properties = [child for child in style.children if child.name == "style:text-properties"]
        keys = [
            f'{name}="{value}"'
            for child in properties
            for name, value in sorted(child.attributes.items())
            if not name.endswith("rsid") and not self._is_source_language(name, child)
        ]
        parent = style.attributes.get("style:parent-style-name", "")
        key = " ".join([*([f"parent={parent}"] if parent else []), *keys])
        self._style_keys[style.attributes.get("style:name", "")] = key

    def _is_source_language(self, name: str, properties: Node) -> bool:
        return name in _IGNORED_PROPERTIES and self.relabeling.replaces(properties.attributes.get("fo:language", ""))

    def _find_languages(self, style: Node) -> None:
        """Set the language of a style, if it is the source language, to the target language."""
        for node in style.children:
            if not self._is_source_language("fo:language", node):
                continue
            language, _, country = self.relabeling.target.partition("-")
            values = {"fo:language": language, "fo:country": country.rpartition("-")[2] or "none"}
            for attribute in parse_attributes(self._text, node.start, node.inner_start):
                if attribute.name in values:
                    old = self._text[attribute.start : attribute.end]
                    edit = attribute.start, attribute.end, quote_value(values[attribute.name], old)
                    self.language_edits.append(edit)

    def _add_paragraph(self, paragraph: Node) -> None:
        prefix = tag_name(paragraph, self._text).rpartition(":")[0]
        builder = _ParagraphItems(self, self._style_keys, f"{prefix}:" if prefix else "")
        items = builder.items(paragraph.children, Style(""))
        self.add_items(paragraph.inner_start, paragraph.inner_end, items, builder.write)

    def find_texts(self, node: Node) -> None:
        """Add the paragraphs and descriptions inside an element of a paragraph."""
        names = ("text:p", "text:h", "svg:title", "svg:desc")
        find_nested(node, {name: self._handlers[name] for name in names})


class _ParagraphItems:
    """Parses and writes the content of a paragraph."""

    def __init__(self, part: OpenDocumentPart, style_keys: dict[str, str], prefix: str) -> None:
        self.part = part
        self.style_keys = style_keys
        self.prefix = prefix
        self.has_text = False
        self.ends_with_space = True  # white space at the start of a paragraph, or after white space, is not text

    def items(self, nodes: Sequence[Node], style: Style) -> list[Item]:
        items: list[Item] = []
        for node in nodes:
            text = self._text_of(node)
            copy = self.part.copy(node.start, node.end)
            if text is not None:
                self.has_text = self.has_text or bool(text)
                if text:
                    items.append(Run(text, style, Markup(style.opening + copy.text + style.closing)))
            elif node.name == "text:span":
                items += self.items(node.children, self._style(node, style))
            elif node.name in GROUPS:
                items.append(self._group(node, style))
            elif node.name and node.name not in DROPPED:
                if node.name in WITH_TEXT or node.name.startswith("draw:"):
                    self.part.find_texts(node)
                name_attribute = RANGES.get(node.name, "")
                key = node.attributes.get(name_attribute, "") if name_attribute else ""
                key = f"{node.name.removesuffix('-start').removesuffix('-end')} {key}" if key else ""
                markup = Markup(style.opening) + copy + Markup(style.closing)
                number = "".join(child.text for child in node.children)
                if number and all(child.text for child in node.children):
                    items.append(field_item(number, markup))
                else:
                    items.append(Single(markup, key, is_range_end=node.name.endswith("-end")))
                self.ends_with_space = False
        return items

    def _group(self, node: Node, style: Style) -> Group:
        """Return an element around text. A style around the element is put inside it."""
        opening = self.part.copy(node.start, node.inner_start)
        closing = self.part.copy(node.inner_end, node.end)
        return Group(opening, closing, tuple(self.items(node.children, style)))

    def _style(self, span: Node, outer: Style) -> Style:
        name = span.attributes.get("text:style-name", "")
        key = self.style_keys.get(name, name)
        if not key:
            return outer
        tag = self.part.copy(span.start, span.inner_start).text
        closing = f"</{self.prefix}span>" + outer.closing
        is_script = outer.is_script or "style:text-position=" in key
        return Style(f"{outer.key}|{key}", outer.opening + tag, closing, is_script)

    def _text_of(self, node: Node) -> str | None:
        """Return the text of a node, an empty string if it is ignored, and None if it is not text."""
        match node.name:
            case "" if node.text:
                text = re.sub(r"[ \t\r\n]+", " ", node.text)
                text = text.removeprefix(" ") if self.ends_with_space else text
                self.ends_with_space = text.endswith(" ") if text else self.ends_with_space
                return text
            case "text:line-break":
                self.ends_with_space = True
                return "\n"
            case "text:tab":
                self.ends_with_space = False
                return "\t"
            case "text:s" if self.has_text:
                self.ends_with_space = False
                count = node.attributes.get("text:c", "1")
                return " " * (int(count) if count.isdecimal() and len(count) < 4 else 1)
        return None

    def write(self, text: str, style: Style) -> str:
        """Return a text with its style."""
        parts = [style.opening]
        for part in re.split("(\n|\t|(?<= ) +)", text):
            if part == "\n":
                parts.append(f"<{self.prefix}line-break/>")
            elif part == "\t":
                parts.append(f"<{self.prefix}tab/>")
            elif part and not part.strip(" ") and parts[-1].endswith(" "):
                parts.append(f'<{self.prefix}s {self.prefix}c="{len(part)}"/>')
            else:
                parts.append(escape(part))
        return "".join([*parts, style.closing])
