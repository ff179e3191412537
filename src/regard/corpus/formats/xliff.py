"""XLIFF 1.0 to 1.2 (`trans-unit`) and 2.x (`segment`): one pair each.

Left aside are those without a translation, those with `translate="no"`, those whose translation is not done by its
`state` (1.x: new, needs-...; 2.x: initial), and the header of a gettext catalogue. `approved` tells nothing beyond the
state: few tools set it. Suggestions (`alt-trans`, `matches`) and text between segments (`ignorable`) are no pairs.
Inline, the text of `g`, `pc` and `mrk` is kept; codes are left out, with what is in them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from regard.corpus.corpus import Pair, Skipped
from regard.corpus.formats.sides import Sides, direction, matches_language
from regard.corpus.formats.xml import XmlReader

_NOT_DONE = frozenset(
    (
        *("new", "initial", "needs-translation", "needs-adaptation", "needs-l10n"),
        *("needs-review-translation", "needs-review-adaptation", "needs-review-l10n"),
    )
)
_CATALOGUE_HEADER = "x-gettext-domain-header"
_INHERITS = frozenset(("file", "group", "unit", "trans-unit", "bin-unit"))  # `translate` from one to those in it
_PASSED_OVER = frozenset(("alt-trans", "ignorable", "header", "note", "notes", "seg-source", "skeleton", "bin-unit"))
_CHOOSE = "change --source-language and --target-language (in a recipe data.source_language, data.target_language)"
_LISTED = 30  # pairs of languages that an error names


def read_xliff(path: Path, sides: Sides) -> Iterator[Pair | Skipped]:
    """The pairs of an XLIFF file; the line is that of `<trans-unit>` or `<segment>`. Raises DataError."""
    return _Exchange(path, sides).read()


@dataclass
class _Unit:
    line: int
    translate: bool
    state: str
    is_header: bool
    source: str = ""
    target: str = ""


class _Exchange(XmlReader):
    root = "xliff"

    def __init__(self, path: Path, sides: Sides) -> None:
        super().__init__(path, sides)
        self._root_languages = ("", "")
        self._direction = ""
        self._languages: dict[tuple[str, str], None] = {}
        self._first: tuple[str, str] | None = None
        self._any_fits = False
        self._translate: list[bool] = []  # of the elements around
        self._unit: _Unit | None = None

    def start_element(self, name: str, attributes: Mapping[str, str]) -> None:
        if name in _PASSED_OVER:
            self.skip_element()
            return
        if name in _INHERITS:
            inherited = self._translate[-1] if self._translate else True
            said = attributes.get("translate", "")
            self._translate.append(said != "no" if said in ("yes", "no") else inherited)
        if name == "xliff":
            self._root(attributes)
        elif name == "file":
            self._file(attributes)
        elif name in ("trans-unit", "segment"):
            if self._unit is not None:
                self.fail(f"a <{name}> stands in another unit", "end one before the next begins")
            is_header = attributes.get("restype") == _CATALOGUE_HEADER
            translate = self._translate[-1] if self._translate else True
            self._unit = _Unit(self.line, translate, attributes.get("state", ""), is_header)
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
            self.found.append(self._pair(unit))
            self._unit = None

    def end_document(self) -> None:
        if self._languages and not self._any_fits:
            wanted = f"{self.sides.source_language or '?'} to {self.sides.target_language or '?'}"
            self.fail(f"it has no {wanted}; it has {self._found()}", _CHOOSE)

    def _root(self, attributes: Mapping[str, str]) -> None:
        version = attributes.get("version", "")
        if version[:2] not in ("1.", "2."):
            self.fail(f"XLIFF of version {version[:20] or 'unknown'} is not read", "write it as 1.2 or 2.0")
        self._root_languages = (attributes.get("srcLang", ""), attributes.get("trgLang", ""))

    def _file(self, attributes: Mapping[str, str]) -> None:
        """A new file: which of its languages is the source, if both are those asked for."""
        source = attributes.get("source-language", self._root_languages[0])
        target = attributes.get("target-language", self._root_languages[1])
        if len(self._languages) < _LISTED:
            self._languages[source, target] = None
        self._direction = direction(self.sides, source, target)
        if not self._direction:
            return
        self._any_fits = True
        first = self._first = self._first or (source, target)
        asked = (self.sides.source_language, self.sides.target_language)
        for here, there, wanted in zip((source, target), first, asked, strict=True):
            if (
                not wanted
                and here
                and there
                and not matches_language(here, there)
                and not matches_language(there, here)
            ):
                self.fail(f"which languages are meant is not clear; it has {self._found()}", _CHOOSE)

    def _pair(self, unit: _Unit) -> Pair | Skipped:
        if unit.is_header:
            return Skipped("it is the header of a catalogue", unit.line)
        if not self._direction:
            return Skipped("its file is in other languages", unit.line)
        if not unit.translate:
            return Skipped("it is not to be translated", unit.line)
        if not unit.target.strip():
            return Skipped("it is not translated", unit.line)
        if unit.state in _NOT_DONE:
            return Skipped("its translation is not done, by its state", unit.line)
        swapped = self._direction == "backward"
        source, target = (unit.target, unit.source) if swapped else (unit.source, unit.target)
        return Pair(source, target, unit.line)

    def _found(self) -> str:
        pairs = sorted(f"{source[:20] or '?'} to {target[:20] or '?'}" for source, target in self._languages)
        return ", ".join(pairs)
