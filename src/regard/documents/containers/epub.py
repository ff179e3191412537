"""EPUB 2 and 3: the text of the book, its navigation and its title. Pictures, styles and scripts are copied."""

from __future__ import annotations

import posixpath
import re
from urllib.parse import unquote

from regard.documents.containers.container import ContainerDocument
from regard.documents.containers.namespaces import EPUB
from regard.documents.containers.part import Part
from regard.documents.document import Columns, LanguagePair
from regard.documents.html import HtmlDocument
from regard.documents.xml import Node, decode_xml, escape, read_elements
from regard.errors import DataError

MIMETYPE = "mimetype"
CONTAINER = "META-INF/container.xml"
ENCRYPTION = "META-INF/encryption.xml"
XHTML = "application/xhtml+xml"
NCX = "application/x-dtbncx+xml"

_DECLARATION = re.compile(r"<!(?:ENTITY|ATTLIST)\b")


class EpubDocument(ContainerDocument):
    """An EPUB."""

    def __init__(self, data: bytes, name: str, languages: LanguagePair, columns: Columns) -> None:
        """Parse the book. Raise DataError if it is not an EPUB, is damaged or encrypted, or exceeds a limit."""
        super().__init__(data, name, "an EPUB")
        members = self.archive.members
        media_type = self.archive.read(MIMETYPE).strip() if MIMETYPE in members else b""
        if media_type != b"application/epub+zip" or CONTAINER not in members:
            self.archive.refuse_kind("an EPUB")
        encrypted = set(self._find_attributes(ENCRYPTION, "enc:CipherReference", "URI"))
        for package_path in self._find_attributes(CONTAINER, "container:rootfile", "full-path"):
            package = _PackagePart(self.archive.read(package_path), self.part_name(package_path), languages)
            self.add_part(package_path, package)
            for href, item_type in package.items:
                member = posixpath.normpath(posixpath.join(posixpath.dirname(package_path), unquote(href)))
                if member in encrypted and item_type in (XHTML, NCX):
                    raise DataError("it is encrypted", where=name, fix="use a copy without copy protection")
                if member not in members:
                    continue
                if item_type == XHTML:
                    self.add_part(member, XhtmlDocument(self.archive.read(member), self.part_name(member), languages))
                elif item_type == NCX:
                    self.add_part(member, _NavigationPart(self.archive.read(member), self.part_name(member), languages))

    def _find_attributes(self, member: str, element: str, attribute: str) -> list[str]:
        """Return the distinct values of an attribute in a member, which may be missing."""
        values: dict[str, None] = {}
        if member in self.archive.members:
            text, _ = decode_xml(self.archive.read(member), self.part_name(member))

            def add(node: Node, _: list[Node]) -> None:
                values.setdefault(node.attributes.get(attribute, ""))

            read_elements(text, self.part_name(member), (element,), add, EPUB)
        return list(values)


class XhtmlDocument(HtmlDocument):
    """A chapter, which must stay well-formed XML."""

    def __init__(self, data: bytes, name: str, languages: LanguagePair) -> None:
        """Parse the chapter. Raise DataError if it cannot be decoded or declares entities."""
        super().__init__(data, name, languages, Columns())
        if _DECLARATION.search(self._text):
            raise DataError("it declares entities or attributes", where=name, fix="remove the declarations")

    def escape(self, text: str) -> str:
        """Escape a text for XML."""
        return escape(text)


class _PackagePart(Part):
    """The package document: the title, the description, the language, and the list of all members."""

    def __init__(self, data: bytes, name: str, languages: LanguagePair) -> None:
        super().__init__(data, name, languages)
        self.items: list[tuple[str, str]] = []  # href and media type
        names = ("dc:title", "dc:description", "dc:language", "opf:item")
        read_elements(self._text, name, names, lambda node, _: self._add(node), EPUB)

    def _add(self, node: Node) -> None:
        if node.name == "opf:item":
            self.items.append((node.attributes.get("href", ""), node.attributes.get("media-type", "")))
        elif node.name != "dc:language":
            self.add_element(node)
        elif self.relabeling.replaces(self._text[node.inner_start : node.inner_end]):
            self.language_edits.append((node.inner_start, node.inner_end, self.relabeling.languages.target))


class _NavigationPart(Part):
    """The table of contents of EPUB 2."""

    def __init__(self, data: bytes, name: str, languages: LanguagePair) -> None:
        super().__init__(data, name, languages)
        read_elements(self._text, name, ("ncx:text",), lambda node, _: self.add_element(node), EPUB)
