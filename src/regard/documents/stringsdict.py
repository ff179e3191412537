"""Apple's .stringsdict: the texts of plurals, devices and widths are translated; keys, types and layout stay."""

from __future__ import annotations

from collections.abc import Iterator

from regard.documents.document import Columns, Edit, LanguagePair, MarkedText, Segment, SkippedEntry, render
from regard.documents.strings import MAX_STRINGS, has_words, parse_text, select_key
from regard.documents.xml import Node, XmlDocument, escape, read_elements
from regard.errors import DataError

PLURAL_CATEGORIES = frozenset({"zero", "one", "two", "few", "many", "other"})
FORMAT = "NSStringLocalizedFormatKey"
RULES = frozenset({"NSStringDeviceSpecificRuleType", "NSStringVariableWidthRuleType"})
"""Keys of dictionaries whose strings are all texts."""


class StringsdictDocument(XmlDocument):
    """A .stringsdict file. The texts of a key are filled together or not at all."""

    def __init__(self, data: bytes, name: str, languages: LanguagePair, columns: Columns) -> None:
        """Parse the file. Raise DataError if it is not a property list in XML, with the line number."""
        if data.startswith(b"bplist"):
            raise DataError("it is a binary property list", where=name, fix="convert it: plutil -convert xml1 FILE")
        super().__init__(data, name)
        self._columns = columns
        self._strings: list[Node] = []
        self._num_entries = 0
        self._has_root = False
        read_elements(self._text, name, ("dict",), self._add_root)
        if not self._has_root:
            raise DataError("it has no <dict> in <plist>", where=f"{name}:1", fix="check that it is a .stringsdict")

    def _add_root(self, root: Node, ancestors: list[Node]) -> None:
        if [node.name for node in ancestors] != ["plist"]:
            return
        self._has_root = True
        for key, entry in self._items(root):
            if entry.name != "dict" or select_key(self._columns, key) is False:
                continue
            num_segments = len(self.segments)
            for string in self._texts(entry):
                self._add_string(string)
            self._num_entries += len(self.segments) > num_segments

    def _items(self, dictionary: Node) -> Iterator[tuple[str, Node]]:
        """Yield the keys and the values of a dictionary. Raise DataError unless they alternate and are distinct."""
        elements = [child for child in dictionary.children if child.name]
        keys: set[str] = set()
        for index in range(0, len(elements), 2):
            element, where = elements[index], f"{self.name}:{elements[index].line}"
            if element.name != "key" or index + 1 == len(elements) or elements[index + 1].name == "key":
                raise DataError("each key must have a value", where=where, fix="write <key> before each value")
            key = "".join(child.text for child in element.children)
            if key in keys:
                raise DataError(f"the key {key[:100]!r} occurs twice", where=where, fix="remove one of them")
            keys.add(key)
            yield key, elements[index + 1]

    def _texts(self, entry: Node) -> Iterator[Node]:
        """Yield the strings of an entry that are text."""
        for key, value in self._items(entry):
            if key == FORMAT and value.name == "string":
                yield value
            elif value.name == "dict":
                for inner_key, text in self._items(value):
                    if text.name == "string" and (key in RULES or inner_key in PLURAL_CATEGORIES):
                        yield text

    def _add_string(self, string: Node) -> None:
        if any(child.name or not child.text for child in string.children):
            self.skipped.append(SkippedEntry(string.line, "its value is not plain text"))
            return
        content = parse_text("".join(child.text for child in string.children), escape)
        if not has_words(content):
            return
        if len(self._strings) >= MAX_STRINGS:
            where = f"{self.name}:{string.line}"
            raise DataError(f"it has more than {MAX_STRINGS:,} strings", where=where, fix="split it")
        self.segments.append(Segment(content, string.line, self._num_entries))
        self._strings.append(string)

    def _edits(self, index: int, translation: MarkedText) -> list[Edit]:
        string = self._strings[index]
        return [(string.inner_start, string.inner_end, render(translation, escape))]
