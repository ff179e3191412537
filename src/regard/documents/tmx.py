"""TMX: translation units without the target language get a variant in it; every other byte stays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from regard.corpus.formats.sides import matches_language
from regard.documents.document import Columns, Edit, LanguagePair, MarkedText, Segment, SkippedEntry, render
from regard.documents.xml import Node, XmlDocument, escape, open_start_tag, read_elements
from regard.documents.xml_inline import parse_content
from regard.errors import DataError

CREATION_TOOL = ' creationtool="regard"'


@dataclass(frozen=True)
class _Unit:
    """Where the translation of a segment is written.

    Attributes:
        source: The source variant, whose layout a new variant copies.
        last: The last variant, after which a new variant is inserted.
        empty: The empty `<seg>` to fill, if the unit has one.
    """

    source: Node
    last: Node
    empty: Node | None


class TmxDocument(XmlDocument):
    """A TMX file (translation memory)."""

    def __init__(self, data: bytes, name: str, languages: LanguagePair, columns: Columns) -> None:
        """Parse the file.

        Raises:
            DataError: It is not TMX, or the target language is unknown.
        """
        super().__init__(data, name)
        self._units: list[_Unit] = []
        self._languages = languages
        self._source_language = languages.source  # of the header, unless a unit has its own
        self._has_header = False
        if not languages.target:
            raise DataError(
                "it is not clear which language to add", where=name, fix="give the target language, such as `de`"
            )
        read_elements(self._text, name, ("header", "tu"), self._add_element)
        if not self._has_header:
            raise DataError("it has no header", where=f"{name}:1", fix="check that it is TMX")

    def _add_element(self, node: Node, ancestors: list[Node]) -> None:
        if not ancestors or ancestors[0].name != "tmx":
            raise DataError("not a TMX file", where=f"{self.name}:{node.line}", fix="check that its root is <tmx>")
        if node.name == "header":
            self._has_header = True
            self._source_language = _specific(node.attributes.get("srclang", "")) or self._source_language
            return
        variants = node.find_children("tuv")
        source_language = _specific(node.attributes.get("srclang", "")) or self._source_language
        source = self._find_variant(variants, source_language, self._languages.source)
        target = self._find_variant(variants, self._languages.target)
        source_segment = source.find_child("seg") if source is not None else None
        target_segment = target.find_child("seg") if target is not None else None
        if target_segment is not None and target_segment.has_content():
            self.already_translated += 1
        elif source is None or source_segment is None or not source_segment.has_content():
            reason = f"it has no text in {source_language or 'the source language'}"
            self.skipped.append(SkippedEntry(node.line, reason))
        elif target is not None and target_segment is None:
            self.skipped.append(SkippedEntry(node.line, "its target has no <seg>"))
        else:
            self._units.append(_Unit(source, variants[-1], target_segment))
            content = parse_content(source_segment, self._text)
            self.segments.append(Segment(content, source_segment.line, len(self.segments), can_have_accelerator=True))

    def _find_variant(self, variants: Sequence[Node], *languages: str) -> Node | None:
        """Return the first variant in the first of the languages that has one."""
        for language in filter(None, languages):
            for variant in variants:
                code = variant.attributes.get("xml:lang", variant.attributes.get("lang", ""))
                if matches_language(code, language) or matches_language(language, code):
                    return variant
        return None

    def _edits(self, index: int, translation: MarkedText) -> list[Edit]:
        """Return the edit that adds a variant with the translation, or fills an empty one."""
        unit, text = self._units[index], render(translation, escape)
        if unit.empty is not None:
            return [(unit.empty.start, unit.empty.end, f"{open_start_tag(unit.empty, self._text)}>{text}</seg>")]
        segment = unit.source.find_child("seg")
        assert segment is not None
        outer, inner = self._space_before(unit.source.start), self._space_before(segment.start)
        language = escape(self._languages.target)
        close = self._space_before(self._text.rindex("</", unit.source.start, unit.source.end))
        variant = f'{outer}<tuv xml:lang="{language}"{CREATION_TOOL}>{inner}<seg>{text}</seg>{close}</tuv>'
        return [(unit.last.end, unit.last.end, variant)]


def _specific(language: str) -> str:
    """Return a language code, or an empty string for `*all*`."""
    return "" if language.strip("* ").lower() == "all" else language
