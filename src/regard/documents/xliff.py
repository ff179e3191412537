"""XLIFF 1.1, 1.2 and 2.0: units without a target get one, in a state that asks for review."""

from __future__ import annotations

import re
from dataclasses import dataclass

from regard.documents.document import Columns, Edit, LanguagePair, MarkedText, Segment, SkippedEntry, render
from regard.documents.xml import XML_SPACE, Node, XmlDocument, escape, open_start_tag, read_elements
from regard.documents.xml_inline import parse_content
from regard.errors import DataError
from regard.text.segments import has_letters

STATES = {
    "1.0": "",
    "1.1": ' state="needs-review-translation"',
    "1.2": ' state="needs-review-translation" state-qualifier="mt-suggestion"',
}
_STATE = re.compile(r"""\s+state(?:-qualifier)?\s*=\s*("[^"]*"|'[^']*')""")


@dataclass(frozen=True)
class _Unit:
    """Where the translation of a segment is written.

    Attributes:
        source: The source element.
        target: The target element to fill, if there is one.
        insert_at: Where a new target element is inserted.
        version: The version of XLIFF.
        segment: In version 2, the element that has the state.
    """

    source: Node
    target: Node | None
    insert_at: int
    version: str
    segment: Node | None


class XliffDocument(XmlDocument):
    """An XLIFF file."""

    def __init__(self, data: bytes, name: str, languages: LanguagePair, columns: Columns) -> None:
        """Parse the file. Raise DataError if it is not XLIFF, with the line number."""
        super().__init__(data, name)
        self._units: list[_Unit] = []
        self._target_language = languages.target
        self._language_elements: dict[int, tuple[Node, str]] = {}  # elements without a target language, by position
        self._has_root = False
        read_elements(self._text, name, ("trans-unit", "unit"), self._add_unit)
        if not self._has_root and "<xliff" not in self._text and ":xliff" not in self._text:
            raise DataError("it has no <xliff> element", where=f"{name}:1", fix="check that it is XLIFF")

    def _add_unit(self, unit: Node, ancestors: list[Node]) -> None:
        root = ancestors[0] if ancestors else unit
        version = root.attributes.get("version", "")
        if root.name != "xliff" or version[:1] not in ("1", "2"):
            raise DataError("not an XLIFF 1 or 2 file", where=f"{self.name}:{root.line}", fix="convert it to XLIFF 1.2")
        self._has_root = True
        is_version_2 = version[0] == "2"
        is_untranslatable = any(node.attributes.get("translate") == "no" for node in [*ancestors, unit])
        if is_version_2:
            language_element, attribute = root, "trgLang"
        else:
            language_element = next((node for node in ancestors if node.name == "file"), ancestors[-1])
            attribute = "target-language"
        for holder in unit.find_children("segment") if is_version_2 else [unit]:
            source, target = holder.find_child("source"), holder.find_child("target")
            if target is not None and target.has_content():
                self.already_translated += 1
            elif source is None or not source.has_content():
                self.skipped.append(SkippedEntry(holder.line, "there is nothing to translate"))
            elif unit.attributes.get("restype") == "x-gettext-domain-header":
                self.skipped.append(SkippedEntry(holder.line, "it is the header of a catalogue"))
            elif is_untranslatable:
                self.skipped.append(SkippedEntry(holder.line, 'it is marked translate="no"'))
            else:
                if attribute not in language_element.attributes and self._target_language:
                    self._language_elements[language_element.start] = (language_element, attribute)
                self._add_segment(source, target, holder, version)

    def _add_segment(self, source: Node, target: Node | None, holder: Node, version: str) -> None:
        content = parse_content(source, self._text)
        insert_at = max(node.end for node in (source, holder.find_child("seg-source")) if node is not None)
        self._units.append(_Unit(source, target, insert_at, version, holder if version[0] == "2" else None))
        has_label = has_letters(content.text)
        self.segments.append(Segment(content, source.line, len(self.segments), can_have_accelerator=has_label))

    def _common_edits(self) -> list[Edit]:
        """Return the edits that add the target language where it is missing."""
        positions = [(element.inner_start - 1, attribute) for element, attribute in self._language_elements.values()]
        language = escape(self._target_language)
        return [(position, position, f' {attribute}="{language}"') for position, attribute in positions]

    def _edits(self, index: int, translation: MarkedText) -> list[Edit]:
        """Return the edits that write the translation as a target, in a state that asks for review."""
        unit, text = self._units[index], render(translation, escape)
        state = STATES.get(unit.version, STATES["1.2"] if unit.segment is None else "")
        edits: list[Edit] = []
        if unit.segment is not None and (edit := self._edit_state(unit.segment)):
            edits.append(edit)
        tag = self._text[unit.source.start + 1 :].split("source", 1)[0] + "target"
        if unit.target is None:
            space = self._space_before(unit.source.start)
            edits.append((unit.insert_at, unit.insert_at, f"{space}<{tag}{state}>{text}</{tag}>"))
            return edits
        start_tag = open_start_tag(unit.target, self._text)
        if unit.segment is None:
            start_tag = _STATE.sub("", start_tag) + state
        edits.append((unit.target.start, unit.target.end, f"{start_tag}>{text}</{tag}>"))
        return edits

    def _edit_state(self, segment: Node) -> Edit | None:
        """Return the edit that sets the state of a version 2 segment to `translated`, which comes before review."""
        if segment.attributes.get("state", "initial") != "initial":
            return None
        start_tag = self._text[segment.start : segment.inner_start]
        new = _STATE.sub("", start_tag).removesuffix(">").rstrip(XML_SPACE) + ' state="translated">'
        return segment.start, segment.inner_start, new
