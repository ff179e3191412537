""".NET resources (.resx, .resw): the values of strings are translated; types, files, comments and layout stay."""

from __future__ import annotations

from regard.documents.document import Columns, Edit, LanguagePair, MarkedText, Segment, SkippedEntry, render
from regard.documents.inline_markup import parse_tags
from regard.documents.strings import select_key
from regard.documents.xml import Node, XmlDocument, escape, read_elements
from regard.errors import DataError
from regard.text.segments import has_letters

_STRING_TYPE = "System.String"
_DESIGNER_PREFIX = ">>"  # of names that Visual Studio's designer uses


class ResxDocument(XmlDocument):
    """A .NET resource file."""

    def __init__(self, data: bytes, name: str, languages: LanguagePair, columns: Columns) -> None:
        """Parse the file. Raise DataError if it is not a .NET resource, with the line number."""
        super().__init__(data, name)
        self._columns = columns
        self._values: list[Node] = []
        self._names: set[str] = set()  # in lower case
        read_elements(self._text, name, ("data",), self._add_data)

    def _add_data(self, element: Node, ancestors: list[Node]) -> None:
        if [node.name for node in ancestors] != ["root"]:
            return
        name = element.attributes.get("name", "")
        if name.lower() in self._names:
            raise DataError(
                f"the name {name[:100]!r} occurs twice", where=f"{self.name}:{element.line}", fix="remove one of them"
            )
        self._names.add(name.lower())
        value = element.find_child("value")
        is_string = "mimetype" not in element.attributes and element.attributes.get("type", _STRING_TYPE).startswith(
            _STRING_TYPE
        )
        if value is None or not is_string or name.startswith(_DESIGNER_PREFIX):
            return
        if select_key(self._columns, name) is False:
            return
        if any(child.name or not child.text for child in value.children):
            self.skipped.append(SkippedEntry(element.line, "its value is not plain text"))
            return
        content = parse_tags("".join(child.text for child in value.children), escape)
        if has_letters(content.unprotected()):
            self.segments.append(Segment(content, value.line, len(self._values), can_have_accelerator=True))
            self._values.append(value)

    def _edits(self, index: int, translation: MarkedText) -> list[Edit]:
        value = self._values[index]
        return [(value.inner_start, value.inner_end, render(translation, escape))]
