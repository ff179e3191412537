"""XLIFF 1.1, 1.2 and 2.0: units without a target get one, in the state of what is to be reviewed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from regard.documents.document import (
    Columns,
    Edit,
    LanguagePair,
    MarkedText,
    Segment,
    SkippedEntry,
    apply_edits,
    render,
)
from regard.documents.xml import XML_SPACE, Node, decode_xml, describe_invalid_xml, encode_xml, escape, read_elements
from regard.documents.xml_inline import content
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
    """What a segment is written into: behind which place its target comes, or which element is its target."""

    source: Node
    target: Node | None
    behind: int
    version: str
    segment: Node | None  # of version 2: what has the state


class XliffDocument:
    """An XLIFF file."""

    def __init__(self, data: bytes, name: str, languages: LanguagePair, columns: Columns) -> None:
        """Raises DataError where it is no XLIFF, with the line."""
        self.name = name
        self._text, self._encoding = decode_xml(data, name)
        self.segments: list[Segment] = []
        self.skipped: list[SkippedEntry] = []
        self.already_translated = 0
        self._units: list[_Unit] = []
        self._language = languages.target
        self._heads: dict[int, tuple[Node, str]] = {}  # elements that say which language the targets have
        self._has_root = False
        read_elements(self._text, name, ("trans-unit", "unit"), self._take)
        if not self._has_root and "<xliff" not in self._text and ":xliff" not in self._text:
            raise DataError("there is no element <xliff>", where=f"{name}:1", fix="check that it is XLIFF")

    def _take(self, unit: Node, around: list[Node]) -> None:
        root = around[0] if around else unit
        version = root.attributes.get("version", "")
        if root.name != "xliff" or version[:1] not in ("1", "2"):
            raise DataError("this is no XLIFF 1 or 2", where=f"{self.name}:{root.line}", fix="convert it to XLIFF 1.2")
        self._has_root = True
        kept = any(one.attributes.get("translate") == "no" for one in [*around, unit])
        head, attribute = (root, "trgLang") if version[0] == "2" else (around[-1], "target-language")
        head = next((one for one in around if one.name == "file"), head) if version[0] == "1" else head
        holders = unit.children("segment") if version[0] == "2" else [unit]
        for holder in holders:
            source, target = holder.child("source"), holder.child("target")
            if target is not None and target.has_content():
                self.already_translated += 1
            elif source is None or not source.has_content():
                self.skipped.append(SkippedEntry(holder.line, "there is nothing to translate"))
            elif unit.attributes.get("restype") == "x-gettext-domain-header":
                self.skipped.append(SkippedEntry(holder.line, "it is a catalogue's header"))
            elif kept:
                self.skipped.append(SkippedEntry(holder.line, 'it says translate="no"'))
            else:
                if attribute not in head.attributes and self._language:
                    self._heads[head.start] = (head, attribute)
                self._add(source, target, holder, version)

    def _add(self, source: Node, target: Node | None, holder: Node, version: str) -> None:
        marked = content(source, self._text)
        behind = max(one.end for one in (source, holder.child("seg-source")) if one is not None)
        self._units.append(_Unit(source, target, behind, version, holder if version[0] == "2" else None))
        self.segments.append(
            Segment(marked, source.line, len(self.segments), can_have_accelerator=has_letters(marked.text))
        )

    def check_translation(self, number: int, translation: MarkedText) -> str:
        """See Document."""
        return describe_invalid_xml(translation.text)

    def fill(self, translations: Sequence[MarkedText | None]) -> bytes:
        """See Document."""
        edits: list[Edit] = []
        for unit, translation in zip(self._units, translations, strict=True):
            if translation is not None:
                edits += self._filled(unit, render(translation, escape))
        if edits:
            for head, attribute in self._heads.values():
                place = head.inner_start - 1
                edits.append((place, place, f' {attribute}="{escape(self._language)}"'))
        return encode_xml(apply_edits(self._text, edits), self._encoding)

    def _filled(self, unit: _Unit, text: str) -> list[Edit]:
        state = STATES.get(unit.version, STATES["1.2"] if unit.segment is None else "")
        edits: list[Edit] = []
        if unit.segment is not None and (edit := self._translated(unit.segment)):
            edits.append(edit)
        tag = self._text[unit.source.start + 1 :].split("source", 1)[0] + "target"
        if unit.target is None:
            before = self._text[max(0, unit.source.start - 400) : unit.source.start]
            white = before[len(before.rstrip(XML_SPACE)) :]
            edits.append((unit.behind, unit.behind, f"{white}<{tag}{state}>{text}</{tag}>"))
            return edits
        there = unit.target
        opening = self._text[there.start : there.inner_start].removesuffix(">").removesuffix("/").rstrip(XML_SPACE)
        if unit.segment is None:
            opening = _STATE.sub("", opening) + state
        edits.append((there.start, there.end, f"{opening}>{text}</{tag}>"))
        return edits

    def _translated(self, segment: Node) -> Edit | None:
        """The state of a segment of version 2: translated, and not yet reviewed."""
        if segment.attributes.get("state", "initial") != "initial":
            return None
        opening = self._text[segment.start : segment.inner_start]
        new = _STATE.sub("", opening).removesuffix(">").rstrip(XML_SPACE) + ' state="translated">'
        return segment.start, segment.inner_start, new
