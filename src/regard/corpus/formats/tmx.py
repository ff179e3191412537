"""TMX 1.4 and earlier: translation memories in two or more languages.

A unit gives one pair; it is skipped if it lacks a side. Of several texts in a language, the one with the exact code is
used, or else the first; the others are skipped. The text inside `hi` is kept; codes (`bpt ept ph it ut`) are removed
with their content.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from regard.corpus.corpus import Pair, Skipped
from regard.corpus.formats.sides import Sides, matches_language
from regard.corpus.formats.xml import XML_LANG, XmlReader, languages_read
from regard.corpus.language_codes import base_code

MAX_VARIANTS = 1000  # texts of a unit
MAX_CODE_CHARACTERS = 100  # of a language code; the rest is ignored
_MAX_LISTED = 30  # languages in an error message
_CHOOSE = "set source_language and target_language"


def read_tmx(path: Path, sides: Sides) -> Iterator[Pair | Skipped]:
    """Yield the pairs of a TMX file; the line is that of `<tu>`. Raises DataError."""
    return _TmxReader(path, sides).read()


def tmx_languages(path: Path, sides: Sides) -> tuple[str, str]:
    """Return the languages of the pairs that `read_tmx` yields. Raises DataError."""
    return languages_read(_TmxReader(path, sides))


@dataclass
class _Variant:
    language: str
    text: str = ""


@dataclass
class _Unit:
    line: int
    source_language: str
    variants: list[_Variant] = field(default_factory=list)


class _TmxReader(XmlReader):
    root = "tmx"

    def __init__(self, path: Path, sides: Sides) -> None:
        super().__init__(path, sides)
        self._source = sides.source_language
        self._target = sides.target_language
        self._is_inferred = False  # a side is the only other language, so a third language is an error
        self._header_language = ""
        self._unit: _Unit | None = None
        self._in_variant = False
        self._languages: dict[str, None] = {}

    @property
    def languages(self) -> tuple[str, str]:
        return self._source, self._target

    def start_element(self, name: str, attributes: Mapping[str, str]) -> None:
        if name == "header":
            self._header_language = attributes.get("srclang", "")
        elif name == "tu":
            if self._unit is not None:
                self.fail("a <tu> is inside another", "end one before the next begins")
            self._unit = _Unit(self.line, attributes.get("srclang", ""))
            self.begin_unit()
        elif name == "tuv" and self._unit is not None:
            if len(self._unit.variants) == MAX_VARIANTS:
                self.fail(f"a <tu> has more than {MAX_VARIANTS:,} <tuv>", "check that it ends")
            language = (attributes.get(XML_LANG) or attributes.get("lang", "")).strip()[:MAX_CODE_CHARACTERS]
            self._unit.variants.append(_Variant(language))
            self._in_variant = True
            if len(self._languages) < _MAX_LISTED:
                self._languages[language or "none"] = None
        elif name == "seg" and self._in_variant:
            self.collect_text()

    def end_element(self, name: str, text: str) -> None:
        if name == "seg" and self._unit is not None and self._in_variant:
            self._unit.variants[-1].text += f" {text}" if self._unit.variants[-1].text else text
        elif name == "tuv":
            self._in_variant = False
        elif name == "tu" and self._unit is not None:
            self.items.extend(self._pairs(self._unit))
            self._unit = None

    def end_document(self) -> None:
        for language in (self._source, self._target):
            is_missing = not any(matches_language(code, language) for code in self._languages)
            if language and is_missing and 0 < len(self._languages) < _MAX_LISTED:
                self.fail(f"no unit has a text in {language}; it has {self._list_languages()}", _CHOOSE)

    def _pairs(self, unit: _Unit) -> Iterator[Pair | Skipped]:
        if not self._find_languages(unit):
            yield Skipped("it has only one language", unit.line)
            return
        rest = list(unit.variants)
        source, target = _take(rest, self._source), _take(rest, self._target)
        if source is None or target is None:
            yield Skipped(f"there is no text in {self._target if source else self._source}", unit.line)
        else:
            yield Pair(source.text, target.text, unit.line)
        for variant in rest:
            if _rank(variant.language, self._source) or _rank(variant.language, self._target):
                yield Skipped("it is a further text in a language of its unit", unit.line)

    def _find_languages(self, unit: _Unit) -> bool:
        """Infer the languages that were not requested from this unit. Return whether both are known now."""
        languages = list(dict.fromkeys(variant.language for variant in unit.variants))
        if not self._source:
            self._source = self._infer_source(languages, unit.source_language or self._header_language)
        if not self._target and self._source:
            self._target = self._only(languages, self._source)
        if self._is_inferred and self._source and self._target:
            known = {base_code(self._source), base_code(self._target)}
            if not known.issuperset(map(base_code, languages)):
                self.fail(f"it is not clear which two languages to use; it has {self._list_languages()}", _CHOOSE)
        return bool(self._source and self._target)

    def _infer_source(self, languages: Sequence[str], srclang: str) -> str:
        """Return the source language: `srclang`, or the only language that is not the target's."""
        if not srclang or srclang == "*all*" or (self._target and matches_language(srclang, self._target)):
            if self._target:
                return self._only(languages, self._target)
            self.fail(f"it does not say which language is the source; it has {self._list_languages()}", _CHOOSE)
        return srclang if any(matches_language(language, srclang) for language in languages) else base_code(srclang)

    def _only(self, languages: Sequence[str], known: str) -> str:
        """Return the only language in addition to the known one, or an empty string."""
        unknown = [language for language in languages if not matches_language(language, known)]
        if len(unknown) > 1:
            self.fail(f"it is not clear which two languages to use; it has {self._list_languages()}", _CHOOSE)
        self._is_inferred = True
        return unknown[0] if unknown else ""

    def _list_languages(self) -> str:
        return ", ".join(sorted(language[:20] for language in self._languages))


def _take(variants: list[_Variant], language: str) -> _Variant | None:
    """Remove and return the variant with the exact code, or else the first in the language."""
    if not variants:
        return None
    best = max(variants, key=lambda variant: _rank(variant.language, language))  # the first of equals
    if not _rank(best.language, language):
        return None
    variants[:] = [variant for variant in variants if variant is not best]
    return best


@lru_cache(256)
def _rank(code: str, language: str) -> int:
    """Return 2 for the exact code, 1 for a variety of the language, else 0."""
    if not matches_language(code, language):
        return 0
    return 2 if matches_language(language, code) else 1
