"""XLIFF 1.0 to 1.2 (`trans-unit`) and 2.x (`segment`): each unit gives one pair.

Skipped are units without a translation, units with `translate="no"`, units whose translation is unfinished by its
`state` (1.x: new, needs-...; 2.x: initial), and the header of a gettext catalogue. `approved` is ignored, since few
tools set it. Suggestions (`alt-trans`, `matches`) and text between segments (`ignorable`) are not read. The text inside
`g`, `pc` and `mrk` is kept; codes are removed with their content.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from regard.corpus.corpus import Pair, Skipped
from regard.corpus.formats.sides import Sides, direction, matches_language
from regard.corpus.formats.xml import XmlReader, languages_read

_UNFINISHED = frozenset(
    (
        *("new", "initial", "needs-translation", "needs-adaptation", "needs-l10n"),
        *("needs-review-translation", "needs-review-adaptation", "needs-review-l10n"),
    )
)
_CATALOGUE_HEADER = "x-gettext-domain-header"
_INHERITS = frozenset(("file", "group", "unit", "trans-unit", "bin-unit"))  # elements that inherit `translate`
_IGNORED = frozenset(("alt-trans", "ignorable", "header", "note", "notes", "seg-source", "skeleton", "bin-unit"))
_CHOOSE = "change source_language and target_language"
_MAX_LISTED = 30  # pairs of languages in an error message


def read_xliff(path: Path, sides: Sides) -> Iterator[Pair | Skipped]:
    """Yield the pairs of an XLIFF file; the line is that of `<trans-unit>` or `<segment>`. Raises DataError."""
    return _XliffReader(path, sides).read()


def xliff_languages(path: Path, sides: Sides) -> tuple[str, str]:
    """Return the languages of the pairs that `read_xliff` yields. Raises DataError."""
    return languages_read(_XliffReader(path, sides))


@dataclass
class _Unit:
    line: int
    is_translatable: bool
    state: str
    is_header: bool
    source: str = ""
    target: str = ""


class _XliffReader(XmlReader):
    root = "xliff"

    def __init__(self, path: Path, sides: Sides) -> None:
        super().__init__(path, sides)
        self._root_languages = ("", "")
        self._direction = ""
        self._languages: dict[tuple[str, str], None] = {}
        self._first: tuple[str, str] | None = None
        self._any_fits = False
        self._translate: list[bool] = []  # of the enclosing elements
        self._unit: _Unit | None = None

    @property
    def languages(self) -> tuple[str, str]:
        source, target = self._first or ("", "")
        return (source, target) if direction(self.sides, source, target) == "forward" else (target, source)

    def start_element(self, name: str, attributes: Mapping[str, str]) -> None:
        if name in _IGNORED:
            self.skip_element()
            return
        if name in _INHERITS:
            inherited = self._translate[-1] if self._translate else True
            value = attributes.get("translate", "")
            self._translate.append(value != "no" if value in ("yes", "no") else inherited)
        if name == "xliff":
            self._root(attributes)
        elif name == "file":
            self._file(attributes)
        elif name in ("trans-unit", "segment"):
            if self._unit is not None:
                self.fail(f"a <{name}> is inside another unit", "end one before the next begins")
            is_header = attributes.get("restype") == _CATALOGUE_HEADER
            is_translatable = self._translate[-1] if self._translate else True
            self._unit = _Unit(self.line, is_translatable, attributes.get("state", ""), is_header)
            self.begin_unit()
        elif name in ("source", "target") and self._unit is not None:
            if name == "target":
                self._unit.state = attributes.get("state", self._unit.state)
            self.collect_text()

    def end_element(self, name: str, text: str) -> None:
        if name in _INHERITS:
            self._translate.pop()
        unit = self._unit
        if unit is None:
            return
        if name == "source":
            unit.source += text
        elif name == "target":
            unit.target += text
        elif name in ("trans-unit", "segment"):
            self.items.append(self._pair(unit))
            self._unit = None

    def end_document(self) -> None:
        if self._languages and not self._any_fits:
            requested = f"{self.sides.source_language or '?'} to {self.sides.target_language or '?'}"
            self.fail(f"it has no {requested}; it has {self._list_languages()}", _CHOOSE)

    def _root(self, attributes: Mapping[str, str]) -> None:
        version = attributes.get("version", "")
        if version[:2] not in ("1.", "2."):
            self.fail(f"XLIFF version {version[:20] or '(unknown)'} is not supported", "save it as 1.2 or 2.0")
        self._root_languages = (attributes.get("srcLang", ""), attributes.get("trgLang", ""))

    def _file(self, attributes: Mapping[str, str]) -> None:
        """Start a file: find which of its languages is the source, if both are those requested."""
        source = attributes.get("source-language", self._root_languages[0])
        target = attributes.get("target-language", self._root_languages[1])
        if len(self._languages) < _MAX_LISTED:
            self._languages[source, target] = None
        self._direction = direction(self.sides, source, target)
        if not self._direction:
            return
        self._any_fits = True
        first = self._first = self._first or (source, target)
        requested = (self.sides.source_language, self.sides.target_language)
        for code, first_code, language in zip((source, target), first, requested, strict=True):
            is_related = matches_language(code, first_code) or matches_language(first_code, code)
            if code and first_code and not language and not is_related:
                self.fail(f"it is not clear which languages to use; it has {self._list_languages()}", _CHOOSE)

    def _pair(self, unit: _Unit) -> Pair | Skipped:
        if unit.is_header:
            return Skipped("it is the header of a catalogue", unit.line)
        if not self._direction:
            return Skipped("its file is in other languages", unit.line)
        if not unit.is_translatable:
            return Skipped("it is not to be translated", unit.line)
        if not unit.target.strip():
            return Skipped("it is not translated", unit.line)
        if unit.state in _UNFINISHED:
            return Skipped("its translation is unfinished, by its state", unit.line)
        swapped = self._direction == "backward"
        source, target = (unit.target, unit.source) if swapped else (unit.source, unit.target)
        return Pair(source, target, unit.line)

    def _list_languages(self) -> str:
        pairs = sorted(f"{source[:20] or '?'} to {target[:20] or '?'}" for source, target in self._languages)
        return ", ".join(pairs)
