"""The metadata of office documents, which are elements of Dublin Core."""

from __future__ import annotations

from regard.documents.containers.part import Part
from regard.documents.document import LanguagePair
from regard.documents.xml import Node, read_elements

DUBLIN_CORE = {"http://purl.org/dc/elements/1.1/": "dc"}


class MetadataPart(Part):
    """The title and the subject of a document, and its language."""

    def __init__(self, data: bytes, name: str, languages: LanguagePair) -> None:
        """Parse the part. Raise DataError if it is not well-formed."""
        super().__init__(data, name, languages)
        names = ("dc:title", "dc:subject", "dc:language")
        read_elements(self._text, name, names, lambda node, _: self._add(node), DUBLIN_CORE)

    def _add(self, node: Node) -> None:
        if node.name != "dc:language":
            self.add_element(node)
        elif self.relabeling.replaces(self._text[node.inner_start : node.inner_end]):
            self.language_edits.append((node.inner_start, node.inner_end, self.relabeling.target))
