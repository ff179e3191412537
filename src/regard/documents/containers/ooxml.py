"""Word documents, PowerPoint presentations and Excel workbooks (Office Open XML).

The content type of a member says what it is. Macros, embedded files and everything else that is not text is copied;
nothing is executed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from regard.documents.containers.container import ContainerDocument
from regard.documents.containers.drawing import DrawingPart, MasterPart
from regard.documents.containers.metadata import MetadataPart
from regard.documents.containers.part import Part
from regard.documents.containers.spreadsheet import StringsPart, TableHeadings, TablePart
from regard.documents.containers.word import WordPart
from regard.documents.document import Columns, LanguagePair, MarkedText
from regard.documents.xml import Node, decode_xml, read_elements
from regard.errors import DataError

CONTENT_TYPES = "[Content_Types].xml"
KINDS: Final[dict[str, tuple[str, str]]] = {
    "wordprocessingml": ("a Word document", ".docx"),
    "ms-word": ("a Word document", ".docx"),
    "presentationml": ("a PowerPoint presentation", ".pptx"),
    "ms-powerpoint": ("a PowerPoint presentation", ".pptx"),
    "spreadsheetml": ("an Excel workbook", ".xlsx"),
    "ms-excel": ("an Excel workbook", ".xlsx"),
}
"""What a document is, and its suffix, by a part of the content type of its main part."""

_WORD = "document header footer footnotes endnotes comments styles"
_DRAWING = "slide notesSlide comments chart diagramData diagramDrawing drawing"
_MASTER = "presentation slideshow slideMaster slideLayout notesMaster"
_STRINGS = "sharedStrings worksheet chartsheet comments threadedcomments"


class OoxmlDocument(ContainerDocument):
    """A Word document, a presentation or a workbook."""

    def __init__(self, data: bytes, name: str, languages: LanguagePair, columns: Columns, *, kind: str) -> None:
        """Parse the document.

        Args:
            data: The document.
            name: Its name for messages.
            languages: Source and target.
            columns: Not used.
            kind: What it should be: a key of KINDS.

        Raises:
            DataError: It is something else, damaged, or exceeds a limit.
        """
        description = KINDS[kind][0]
        super().__init__(data, name, description)
        self._languages = languages
        types = self._read_content_types(description)
        self._check_kind(types, description)
        self._headings = headings = TableHeadings()
        for member in (member for member, content_type in types.items() if _last(content_type) == "table"):
            self.add_part(member, TablePart(self.archive.read(member), self.part_name(member), languages, headings))
        if headings.columns:
            for member, content_type in types.items():
                if _last(content_type) in ("table", "worksheet", "sheet"):
                    headings.find_references(self.archive.read(member).decode(errors="replace"))
        for member, content_type in types.items():
            part = self._open_part(member, content_type, headings)
            if part is not None and (part.segments or part.language_edits or part.skipped):
                self.add_part(member, part)

    def fill(self, translations: Sequence[MarkedText | None]) -> bytes:
        """Return the document with the translations, and with the names that the columns of its tables have now."""
        self._headings.translations = {
            segment.content.text: translation.text
            for segment, translation in zip(self.segments, translations, strict=True)
            if translation is not None and segment.content.text in self._headings.names
        }
        return super().fill(translations)

    def _read_content_types(self, description: str) -> dict[str, str]:
        """Return the content type of each member that has its own."""
        if CONTENT_TYPES not in self.archive.members:
            self.archive.refuse_kind(description)
        text, _ = decode_xml(self.archive.read(CONTENT_TYPES), self.part_name(CONTENT_TYPES))
        types: dict[str, str] = {}

        def add(node: Node, _: list[Node]) -> None:
            member = node.attributes.get("PartName", "").removeprefix("/")
            if member in self.archive.members:
                types[member] = node.attributes.get("ContentType", "")

        read_elements(text, self.part_name(CONTENT_TYPES), ("Override",), add)
        return types

    def _check_kind(self, types: dict[str, str], description: str) -> None:
        """Raise DataError if the main part is that of another kind of document, or missing."""
        for content_type in types.values():
            for key, (actual, suffix) in KINDS.items():
                if f".{key}." in content_type and content_type.endswith((".main+xml", ".macroEnabled.main+xml")):
                    if actual != description:
                        raise DataError(
                            f"it is not {description}, but {actual}",
                            where=self.name,
                            fix=f"rename it to end in {suffix}",
                        )
                    return
        self.archive.refuse_kind(description)

    def _open_part(self, member: str, content_type: str, headings: TableHeadings) -> Part | None:
        """Return a member as a part if it may contain text."""
        last = _last(content_type)
        name, languages = self.part_name(member), self._languages
        if ".wordprocessingml." in content_type or ".ms-word." in content_type:
            return WordPart(self.archive.read(member), name, languages) if last in _WORD.split() else None
        if ".spreadsheetml." in content_type or ".ms-excel." in content_type:
            if last not in _STRINGS.split():
                return None
            data = self.archive.read(member)
            if last == "worksheet" and b"inlineStr" not in data and b"headerFooter" not in data:
                return None
            return StringsPart(data, name, languages, headings)
        if last in _MASTER.split():
            return MasterPart(self.archive.read(member), name, languages)
        if last in _DRAWING.split():
            return DrawingPart(self.archive.read(member), name, languages)
        if last == "core-properties":
            return MetadataPart(self.archive.read(member), name, languages)
        return None


def _last(content_type: str) -> str:
    """Return the part of a content type that says what a member is: `header` for `application/...header+xml`."""
    name = content_type.removesuffix("+xml").removesuffix(".main").removesuffix(".macroEnabled")
    return name.rpartition(".")[2]
