"""TMX: translation units that lack the target language get a variant in it; every other byte stays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from regard.corpus.formats.sides import matches_language
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

MADE_BY = ' creationtool="regard"'


@dataclass(frozen=True)
class _Unit:
    """The unit's last variant, behind which the new one comes, or the segment that is empty."""

    source: Node
    last: Node
    empty: Node | None


class TmxDocument:
    """A translation memory."""

    def __init__(self, data: bytes, name: str, languages: LanguagePair, columns: Columns) -> None:
        """Raises DataError where it is no TMX, with the line, and where the target language is not known."""
        self.name = name
        self._text, self._encoding = decode_xml(data, name)
        self.segments: list[Segment] = []
        self.skipped: list[SkippedEntry] = []
        self.already_translated = 0
        self._units: list[_Unit] = []
        self._languages = languages
        self._said = languages.source  # by the file's header
        self._has_body = False
        if not languages.target:
            raise DataError(
                "which language is to be added is not known", where=name, fix="give --target-language, as `de`"
            )
        read_elements(self._text, name, ("header", "tu"), self._take)
        if not self._has_body:
            raise DataError("it has no header", where=f"{name}:1", fix="check that it is TMX")

    def _take(self, node: Node, around: list[Node]) -> None:
        if not around or around[0].name != "tmx":
            raise DataError("this is no TMX", where=f"{self.name}:{node.line}", fix="check that its root is <tmx>")
        if node.name == "header":
            self._has_body = True
            self._said = _known(node.attributes.get("srclang", "")) or self._said
            return
        variants = node.children("tuv")
        wanted = _known(node.attributes.get("srclang", "")) or self._said
        source = self._variant(variants, wanted, self._languages.source)
        target = self._variant(variants, self._languages.target)
        segment = source.child("seg") if source is not None else None
        other = target.child("seg") if target is not None else None
        if other is not None and other.has_content():
            self.already_translated += 1
        elif source is None or segment is None or not segment.has_content():
            why = f"it has nothing in {wanted or 'the source language'}"
            self.skipped.append(SkippedEntry(node.line, why))
        elif target is not None and other is None:
            self.skipped.append(SkippedEntry(node.line, "its target has no <seg>"))
        else:
            self._units.append(_Unit(source, variants[-1], other))
            marked = content(segment, self._text)
            self.segments.append(Segment(marked, segment.line, len(self.segments), can_have_accelerator=True))

    def _variant(self, variants: Sequence[Node], *wanted: str) -> Node | None:
        for language in wanted:
            for variant in variants:
                said = variant.attributes.get("xml:lang", variant.attributes.get("lang", ""))
                if language and (matches_language(said, language) or matches_language(language, said)):
                    return variant
        return None

    def check_translation(self, number: int, translation: MarkedText) -> str:
        """See Document."""
        return describe_invalid_xml(translation.text)

    def fill(self, translations: Sequence[MarkedText | None]) -> bytes:
        """See Document."""
        edits: list[Edit] = []
        for unit, translation in zip(self._units, translations, strict=True):
            if translation is not None:
                edits.append(self._filled(unit, render(translation, escape)))
        return encode_xml(apply_edits(self._text, edits), self._encoding)

    def _filled(self, unit: _Unit, text: str) -> Edit:
        if unit.empty is not None:
            there = unit.empty
            opening = self._text[there.start : there.inner_start].removesuffix(">").removesuffix("/").rstrip(XML_SPACE)
            return there.start, there.end, f"{opening}>{text}</seg>"
        segment = unit.source.child("seg")
        assert segment is not None
        outer, inner = self._white(unit.source.start), self._white(segment.start)
        language = escape(self._languages.target)
        close = self._white(self._text.rindex("</", unit.source.start, unit.source.end))
        new = f'{outer}<tuv xml:lang="{language}"{MADE_BY}>{inner}<seg>{text}</seg>{close}</tuv>'
        return unit.last.end, unit.last.end, new

    def _white(self, start: int) -> str:
        """The white space before a place."""
        before = self._text[max(0, start - 400) : start]
        return before[len(before.rstrip(XML_SPACE)) :]


def _known(language: str) -> str:
    return "" if language.strip("* ").lower() == "all" else language
