"""The texts of workbooks: shared and inline strings, comments, the headings of tables, and printed headers and footers.

Formulas, numbers, and the names of sheets stay. The name of a table column must be the text of its heading, so both
are translated together, unless a formula refers to the column by its name.
"""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from xml.sax.saxutils import unescape

from regard.documents.containers import page_headers
from regard.documents.containers.items import Item, Markup, Run, Single, Style
from regard.documents.containers.namespaces import OOXML
from regard.documents.containers.part import Part, quote_attribute, tag_name
from regard.documents.document import LanguagePair, MarkedText, SkippedEntry
from regard.documents.html_attributes import parse_attributes
from regard.documents.strings import join_surrogates
from regard.documents.xml import Node, escape, read_elements

_ESCAPED = re.compile(r"_x([0-9A-Fa-f]{4})_")
_FORMULA_ELEMENTS = "f|formula[12]?|calculatedColumnFormula|totalsRowFormula|definedName"
_FORMULA = re.compile(rf"<(?:\w+:)?(?:{_FORMULA_ELEMENTS})\b[^>]*>([^<]+)<")
_INVISIBLE = frozenset({"s:rPh", "s:phoneticPr"})  # how to pronounce the text


class TableHeadings:
    """The names of the columns of all tables of a workbook.

    Attributes:
        columns: The names of the columns of each table.
        names: All names.
        referenced: The names that formulas contain.
        translations: The new names by the old ones.
    """

    def __init__(self) -> None:
        self.columns: list[list[str]] = []
        self.names: set[str] = set()
        self.referenced: set[str] = set()
        self.translations: dict[str, str] = {}

    def add_table(self, columns: list[str]) -> None:
        """Add the names of the columns of a table."""
        self.columns.append(columns)
        self.names.update(columns)

    def find_references(self, xml: str) -> None:
        """Find the names that the formulas in the XML of a sheet, a table or a workbook contain."""
        formulas = " ".join(html.unescape(formula) for formula in _FORMULA.findall(xml) if "[" in formula)
        if formulas:
            formulas = re.sub("'(?=[][#'@])", "", formulas)
            self.referenced |= {name for name in self.names if f"{name}]" in formulas}

    def clash(self, text: str, translation: str) -> bool:
        """Note the translation of a heading. Return whether another heading of its table has the same one."""
        self.translations[text] = translation
        for names in self.columns:
            if text in names:
                new = [self.translations.get(name, name).lower() for name in names]
                if len(set(new)) < len(new):
                    del self.translations[text]
                    return True
        return False


class StringsPart(Part):
    """Shared strings, the inline strings and the printed headers of a sheet, or comments."""

    def __init__(self, data: bytes, name: str, languages: LanguagePair, headings: TableHeadings) -> None:
        """Parse the part. Raise DataError if it is not well-formed."""
        super().__init__(data, name, languages)
        self.headings = headings
        self._headers: dict[int, str] = {}  # headers and footers, by entry
        self._header_translations: dict[int, MarkedText] = {}  # accepted ones, by segment
        names = ("s:si", "s:is", "s:text", "threaded:text", *page_headers.ELEMENTS)
        read_elements(self._text, name, names, lambda node, _: self._add_string(node), OOXML)

    def _add_string(self, node: Node) -> None:
        if node.name == "threaded:text":
            self.add_element(node)
            return
        if node.name in page_headers.ELEMENTS:
            self._add_header(node)
            return
        prefix = tag_name(node, self._text).rpartition(":")[0]
        prefix = f"{prefix}:" if prefix else ""
        children = [child for child in node.children if child.name not in _INVISIBLE and child.name]
        items = [item for child in children for item in self._items(child, prefix)]
        text = "".join(item.text for item in items if isinstance(item, Run))
        if text in self.headings.referenced:
            line = len(self._places) + len(self.skipped) + 1
            self.skipped.append(SkippedEntry(line, f"formulas refer to the table column {text!r}"))
        else:
            self.add_items(node.inner_start, node.inner_end, items, _RunWriter(prefix))

    def _items(self, node: Node, prefix: str) -> Sequence[Item]:
        markup = Markup(self._text[node.start : node.end])
        if node.name == "s:t":
            return [Run(_text_of([node]), Style(""), markup)]
        if node.name != "s:r":
            return [Single(markup)]
        properties = node.find_child("s:rPr")
        inside = self._text[properties.start : properties.end] if properties else ""
        raised = properties.find_child("s:vertAlign") if properties else None
        is_script = raised is not None and raised.attributes.get("val", "baseline") != "baseline"
        style = Style(inside, f"<{prefix}r>{inside}", f"</{prefix}r>", is_script)
        return [Run(_text_of(node.find_children("s:t")), style, markup)]

    def _add_header(self, node: Node) -> None:
        text = "".join(piece.text for piece in node.children)
        entry = len(self._places)
        items = list(page_headers.header_items(text))
        self.add_items(node.inner_start, node.inner_end, items, page_headers.write_header)
        if len(self._places) > entry:
            self._headers[entry] = text

    def check_translation(self, index: int, translation: MarkedText) -> str:
        """Refuse a heading that another column of its table has, and a header that Excel would not read alike."""
        entry = self.segments[index].entry
        if entry in self._headers:
            reason = self._check_header(entry, index, translation)
            return reason or super().check_translation(index, translation)
        text = self.segments[index].content.text
        if text in self.headings.names and self.headings.clash(text, translation.text):
            return "another column of the table has the same translation"
        return super().check_translation(index, translation)

    def _check_header(self, entry: int, index: int, translation: MarkedText) -> str:
        place = self._places[entry]
        self._header_translations[index] = translation
        texts = {
            number: self._header_translations.get(number, self.segments[number].content)
            for number in range(place.first, place.first + place.num_texts())
        }
        header = unescape(self._render(place, texts, ()))
        if page_headers.codes_of(header) == page_headers.codes_of(self._headers[entry]):
            if len(header) <= page_headers.MAX_LENGTH:
                return ""
            return f"the header would have more than {page_headers.MAX_LENGTH} characters"
        return "Excel would read it as another code of the header"


class TablePart(Part):
    """A table, whose columns have the names of their headings."""

    def __init__(self, data: bytes, name: str, languages: LanguagePair, headings: TableHeadings) -> None:
        """Parse the part. Raise DataError if it is not well-formed."""
        super().__init__(data, name, languages)
        self._columns: list[Node] = []
        self._headings = headings
        read_elements(self._text, name, ("s:tableColumn",), lambda node, _: self._columns.append(node), OOXML)
        headings.add_table([_decode(column.attributes.get("name", "")) for column in self._columns])

    def fill(self, translations: Sequence[MarkedText | None]) -> bytes:
        """Return the part with the names that the headings have now."""
        edits = []
        for column in self._columns:
            for attribute in parse_attributes(self._text, column.start, column.inner_start):
                new = self._headings.translations.get(_decode(attribute.value))
                if attribute.name in ("name", "totalsrowlabel") and new is not None:
                    old = self._text[attribute.start : attribute.end]
                    value = quote_attribute(_encode(new), old).replace("&#10;", "_x000a_")
                    edits.append((attribute.start, attribute.end, value))
        return self._apply(edits)


def _text_of(nodes: Sequence[Node]) -> str:
    text = "".join(piece.text for node in nodes for piece in node.children)
    return _decode(text).replace("\r\n", "\n").replace("\r", "\n")


def _decode(text: str) -> str:
    """Replace escaped characters such as `_x000D_`, and those of two halves such as `_xD83D__xDE00_`."""
    return join_surrogates(_ESCAPED.sub(lambda match: chr(int(match[1], 16)), text))


def _encode(text: str) -> str:
    """Escape text that looks like an escaped character."""
    return _ESCAPED.sub(lambda match: "_x005F" + match[0], text)


class _RunWriter:
    """Writes a text as a run of a rich string, or as the only text of a plain one."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix

    def __call__(self, text: str, style: Style) -> str:
        element = f'<{self.prefix}t xml:space="preserve">{escape(_encode(text))}</{self.prefix}t>'
        return f"{style.opening}{element}{style.closing}"
