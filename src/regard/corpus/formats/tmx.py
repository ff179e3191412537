"""TMX 1.4 and earlier: translation memories, of two languages or more.

A unit gives a pair, or is left aside where it lacks a side. Of several texts in one language that with the exact code
is taken, or else the first; the others are left aside. The text of `hi` is kept; codes (`bpt ept ph it ut`), with all
that is in them, are left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from regard.corpus.corpus import Pair, Skipped
from regard.corpus.formats.sides import Sides, matches_language
from regard.corpus.formats.xml import XML_LANG, XmlReader

MAX_VARIANTS = 1000  # of a unit
MAX_CODE_CHARACTERS = 100  # characters of a language's that are looked at
_LISTED = 30  # languages that an error names
_CHOOSE = "give --source-language and --target-language (in a recipe data.source_language, data.target_language)"


def read_tmx(path: Path, sides: Sides) -> Iterator[Pair | Skipped]:
    """The pairs of a TMX file; the line is that of `<tu>`. Raises DataError."""
    return _Memory(path, sides).read()


@dataclass
class _Variant:
    language: str
    text: str = ""


@dataclass
class _Unit:
    line: int
    source_language: str
    variants: list[_Variant] = field(default_factory=list)


class _Memory(XmlReader):
    root = "tmx"

    def __init__(self, path: Path, sides: Sides) -> None:
        super().__init__(path, sides)
        self._source = sides.source_language
        self._target = sides.target_language
        self._guessed = False  # a side is the only other language: a third one would make it wrong
        self._header_language = ""
        self._unit: _Unit | None = None
        self._in_variant = False
        self._languages: dict[str, None] = {}

    def start_element(self, name: str, attributes: Mapping[str, str]) -> None:
        if name == "header":
            self._header_language = attributes.get("srclang", "")
        elif name == "tu":
            if self._unit is not None:
                self.fail("a <tu> stands in another", "end one before the next begins")
            self._unit = _Unit(self.line, attributes.get("srclang", ""))
            self.begin_unit()
        elif name == "tuv" and self._unit is not None:
            if len(self._unit.variants) == MAX_VARIANTS:
                self.fail(f"a <tu> has more than {MAX_VARIANTS:,} <tuv>", "check that it ends")
            language = (attributes.get(XML_LANG) or attributes.get("lang", "")).strip()[:MAX_CODE_CHARACTERS]
            self._unit.variants.append(_Variant(language))
            self._in_variant = True
            if len(self._languages) < _LISTED:
                self._languages[language or "none"] = None
        elif name == "seg" and self._in_variant:
            self.collect_text()

    def end_element(self, name: str, text: str) -> None:
        if name == "seg" and self._unit is not None and self._in_variant:
            self._unit.variants[-1].text += f" {text}" if self._unit.variants[-1].text else text
        elif name == "tuv":
            self._in_variant = False
        elif name == "tu" and self._unit is not None:
            self.found.extend(self._pairs(self._unit))
            self._unit = None

    def end_document(self) -> None:
        for wanted in (self._source, self._target):
            spoken = any(matches_language(said, wanted) for said in self._languages)
            if wanted and not spoken and 0 < len(self._languages) < _LISTED:
                self.fail(f"no unit has a text in {wanted}; it has {self._found()}", _CHOOSE)

    def _pairs(self, unit: _Unit) -> Iterator[Pair | Skipped]:
        if not self._settled(unit):
            yield Skipped("it has only one language", unit.line)
            return
        rest = list(unit.variants)
        source, target = _take(rest, self._source), _take(rest, self._target)
        if source is None or target is None:
            yield Skipped(f"there is no text in {self._target if source else self._source}", unit.line)
        else:
            yield Pair(source.text, target.text, unit.line)
        for other in rest:
            if _rank(other.language, self._source) or _rank(other.language, self._target):
                yield Skipped("it is a further text in a language of its unit", unit.line)

    def _settled(self, unit: _Unit) -> bool:
        """Whether it is known which languages are meant: asked for, or told by this unit or an earlier one."""
        languages = list(dict.fromkeys(variant.language for variant in unit.variants))
        if not self._source:
            self._source = self._told(languages, unit.source_language or self._header_language)
        if not self._target and self._source:
            self._target = self._only(languages, self._source)
        if self._guessed and self._source and self._target:
            known = {_kind(self._source), _kind(self._target)}
            if not known.issuperset(map(_kind, languages)):
                self.fail(f"which two languages are meant is not clear: it has {self._found()}", _CHOOSE)
        return bool(self._source and self._target)

    def _told(self, languages: Sequence[str], said: str) -> str:
        """The source language by `srclang`, or that which is not the target's."""
        if not said or said == "*all*" or (self._target and matches_language(said, self._target)):
            if self._target:
                return self._only(languages, self._target)
            self.fail(f"it does not say which language is the source; it has {self._found()}", _CHOOSE)
        return said if any(matches_language(language, said) for language in languages) else _kind(said)

    def _only(self, languages: Sequence[str], known: str) -> str:
        """The only language beside the known one, or nothing where there is none."""
        others = [language for language in languages if not matches_language(language, known)]
        if len(others) > 1:
            self.fail(f"which two languages are meant is not clear: it has {self._found()}", _CHOOSE)
        self._guessed = True
        return others[0] if others else ""

    def _found(self) -> str:
        return ", ".join(sorted(language[:20] for language in self._languages))


def _take(variants: list[_Variant], wanted: str) -> _Variant | None:
    """Take out the one with the very code, or else the first that speaks the language."""
    if not variants:
        return None
    best = max(variants, key=lambda variant: _rank(variant.language, wanted))  # the first of those that are alike
    if not _rank(best.language, wanted):
        return None
    variants[:] = [one for one in variants if one is not best]
    return best


@lru_cache(256)
def _rank(language: str, wanted: str) -> int:
    """2 for the very code, 1 for one that speaks the language, else 0."""
    return matches_language(language, wanted) + (
        matches_language(language, wanted) and matches_language(wanted, language)
    )


@lru_cache(256)
def _kind(language: str) -> str:
    """The language without its country or script, in small letters."""
    return language.strip().replace("_", "-").partition("-")[0].lower()
