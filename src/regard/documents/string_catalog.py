"""Xcode's string catalogs (.xcstrings): strings without the target language get it; every other byte stays.

A localization consists of units with a state and a value, one for each plural category and device. A new localization
has the units of the source; its states ask for review.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from regard.corpus.formats.sides import matches_language
from regard.documents.document import (
    Columns,
    Edit,
    LanguagePair,
    MarkedText,
    Segment,
    SkippedEntry,
    TextDocument,
    apply_edits,
    decode_document,
    render,
)
from regard.documents.json_members import insert_member
from regard.documents.json_strings import JsonReader, JsonString, JsonValue, Path, quote_json
from regard.documents.strings import MAX_STRINGS, has_words, looks_like_code, parse_text, select_key
from regard.errors import DataError

STATE = "needs_review"
NEW = "new"
STALE = "stale"
UNITS = {"stringUnit": "value", "stringSet": "values"}
"""Objects with a state, and the name of the member that has the text or the texts."""
_LOCALIZATIONS = "localizations"
_HALF = re.compile("[\ud800-\udfff]")  # of a surrogate pair


@dataclass
class _Unit:
    """A unit of a localization: its state, and its values, each with its path in the localization."""

    state: JsonString | None = None
    values: dict[Path, JsonString] = field(default_factory=dict)

    @property
    def is_open(self) -> bool:
        """Whether it needs a translation."""
        is_new = self.state is not None and self.state.text == NEW
        return is_new or not any(value.text for value in self.values.values())


@dataclass
class _Localization:
    """A language of a string: its object, and its units by their paths."""

    span: JsonValue
    units: dict[Path, _Unit] = field(default_factory=dict)


@dataclass
class _String:
    """A string: its key, its object, and the values directly or indirectly in it."""

    key: str
    span: JsonValue
    values: list[JsonValue]

    def member(self, name: str) -> JsonValue | None:
        """Return the value of a member."""
        return next((value for value in self.values if value.path[2:] == (name,)), None)

    def localizations(self) -> dict[str, _Localization]:
        """Return all languages."""
        localizations: dict[str, _Localization] = {}
        units: dict[str, dict[Path, _Unit]] = {}
        for value in self.values:
            if len(value.path) < 4 or value.path[2] != _LOCALIZATIONS:
                continue
            language, path = str(value.path[3]), value.path[4:]
            if not path:
                localizations[language] = _Localization(value, units.pop(language, {}))
                continue
            place = next((index for index, key in enumerate(path) if key in UNITS), None)
            if place is None:
                continue
            unit = units.setdefault(language, {}).setdefault(path[: place + 1], _Unit())
            rest = path[place + 1 :]
            if isinstance(value, JsonString) and rest == ("state",):
                unit.state = value
            elif isinstance(value, JsonString) and rest[:1] == (UNITS[str(path[place])],):
                unit.values[path] = value
        return localizations


@dataclass(frozen=True)
class _Entry:
    """A string that is filled.

    Attributes:
        string: The string.
        source: The localization whose units are copied; None if the key is the source.
        target: The localization whose units are filled; None if there is none.
        texts: The segment of each value, by the start of the value that is replaced; 0 for the key.
    """

    string: _String
    source: _Localization | None
    target: _Localization | None
    texts: Mapping[int, int]


class StringCatalogDocument(TextDocument):
    """A string catalog."""

    def __init__(self, data: bytes, name: str, languages: LanguagePair, columns: Columns) -> None:
        """Parse the file.

        Raises:
            DataError: It is not a string catalog, or the target language is unknown.
        """
        super().__init__(decode_document(data, name), name)
        if not languages.target:
            raise DataError(
                "it is not clear which language to add", where=name, fix="give the target language, such as `de`"
            )
        self._entries: list[_Entry] = []
        self._columns = columns
        self._key_language, codes = self._read_languages()
        self._source = _choose_code(codes, languages.source) or self._key_language
        self._target = _choose_code(codes, languages.target) or languages.target.replace("_", "-")
        self._is_key_source = matches_language(self._key_language, languages.source or self._key_language)
        for string in self._strings():
            self._add(string)

    def _read_languages(self) -> tuple[str, Counter[str]]:
        """Return the language of the keys, and how often each language occurs. Raise DataError if it is no catalog."""
        language, has_strings = "", False
        codes: Counter[str] = Counter()
        for value in JsonReader(self._text, self.name).values():
            path = value.path
            if path == ("sourceLanguage",) and isinstance(value, JsonString):
                language = value.text
            has_strings = has_strings or (path == ("strings",) and value.text == "{")
            if len(path) == 4 and path[0] == "strings" and path[2] == _LOCALIZATIONS:
                codes[str(path[3])] += 1
        if not language or not has_strings:
            raise DataError(
                "it has no sourceLanguage or no strings", where=f"{self.name}:1", fix="check that it is .xcstrings"
            )
        return language, codes

    def _strings(self) -> Iterator[_String]:
        values: list[JsonValue] = []
        num_strings = 0
        for value in JsonReader(self._text, self.name).values():
            if value.path[:1] != ("strings",) or len(value.path) < 2:
                continue
            num_strings += isinstance(value, JsonString)
            if len(value.path) == 2:
                yield _String(str(value.path[1]), value, values)
                values, num_strings = [], 0
                continue
            values.append(value)
            if len(values) > MAX_STRINGS:
                line = self._text.count("\n", 0, value.start) + 1
                raise DataError(
                    f"a string has more than {MAX_STRINGS:,} values", where=f"{self.name}:{line}", fix="split it"
                )

    def _add(self, string: _String) -> None:
        """Add a string, unless it is translated already, or is not to be translated."""
        should_translate, state = string.member("shouldTranslate"), string.member("extractionState")
        if select_key(self._columns, string.key) is False or string.span.text != "{":
            return
        if (should_translate and should_translate.text == "false") or (state and state.text == STALE):
            return
        localizations = string.localizations()
        source, target = localizations.get(self._source), localizations.get(self._target)
        if source is not None and not source.units:
            source = None
        if target is not None and target.units and not any(unit.is_open for unit in target.units.values()):
            self.already_translated += 1
            return
        line = self._line_of(string.span.start)
        if source is None and not self._is_key_source:
            self.skipped.append(SkippedEntry(line, f"it has no text in {self._source}"))
            return
        has_target = target is not None and bool(target.units)
        self._add_entry(string, source, target if has_target else None, line)

    def _add_entry(
        self, string: _String, source: _Localization | None, target: _Localization | None, line: int
    ) -> None:
        """Add the texts of a string: those of its source, or for the open units of its target."""
        texts: dict[int, str] = {}
        if target is not None:
            for path, unit in target.units.items():
                texts |= {
                    value.start: _source_text(string.key, source, value_path)
                    for value_path, value in unit.values.items()
                    if unit.is_open and path
                }
        elif source is not None:
            texts = {value.start: value.text for unit in source.units.values() for value in unit.values.values()}
        else:
            texts = {0: string.key}
        contents: dict[int, MarkedText] = {}
        for start, text in texts.items():
            if _HALF.search(text):
                self.skipped.append(SkippedEntry(line, "it has half of a surrogate pair"))
                return
            content = parse_text(text)
            is_selected = select_key(self._columns, string.key)
            if has_words(content) and (is_selected or not looks_like_code(text)):
                contents[start] = content
        segments: dict[int, int] = {}
        for start, content in contents.items():
            segments[start] = len(self.segments)
            self.segments.append(Segment(content, line, len(self._entries)))
        if segments:
            self._entries.append(_Entry(string, source, target, segments))
        if len(self.segments) > MAX_STRINGS:
            raise DataError(f"it has more than {MAX_STRINGS:,} strings", where=f"{self.name}:{line}", fix="split it")

    def fill(self, translations: Sequence[MarkedText | None]) -> bytes:
        """Return the catalog with the localizations of all strings whose texts are translated."""
        edits: list[Edit] = []
        for entry in self._entries:
            texts = {
                start: render(translation)
                for start, index in entry.texts.items()
                if (translation := translations[index]) is not None
            }
            if len(texts) == len(entry.texts):
                edits += self._fill_units(entry.target, texts) if entry.target else [self._insert(entry, texts)]
        return self._apply(edits)

    def _fill_units(
        self, localization: _Localization, texts: Mapping[int, str], *, is_copy: bool = False
    ) -> list[Edit]:
        """Return the edits that write texts into units, and set the states of those units, or of all in a copy."""
        edits: list[Edit] = []
        for unit in localization.units.values():
            values = [value for value in unit.values.values() if value.start in texts]
            edits += [(value.start, value.end, self._quote(texts[value.start], value)) for value in values]
            if unit.state is not None and (values or is_copy):
                edits.append((unit.state.start, unit.state.end, f'"{STATE}"'))
        return edits

    def _insert(self, entry: _Entry, texts: Mapping[int, str]) -> Edit:
        """Return the edit that adds a localization."""
        localization: object
        if entry.source is None:
            localization = {"stringUnit": {"state": STATE, "value": texts[0]}}
        else:
            span = entry.source.span
            edits = [
                (start - span.start, end - span.start, text)
                for start, end, text in self._fill_units(entry.source, texts, is_copy=True)
            ]
            localization = JsonValue((), apply_edits(self._text[span.start : span.end], edits), span.start, span.end)
        string = entry.string
        parent = string.member(_LOCALIZATIONS)
        if parent is None or parent.text != "{":
            members = [value for value in string.values if len(value.path) == 3]
            return insert_member(self._text, string.span, members, _LOCALIZATIONS, {self._target: localization})
        members = [value for value in string.values if len(value.path) == 4 and value.path[2] == _LOCALIZATIONS]
        return insert_member(self._text, parent, members, self._target, localization)

    def _quote(self, text: str, old: JsonValue) -> str:
        return quote_json(text, self._text[old.start : old.end], ascii_only=False)


def _choose_code(codes: Counter[str], language: str) -> str:
    """Return the code that a catalog uses for a language: its own, or the most frequent one of a variety of it."""
    matching = [code for code, _ in codes.most_common() if language and matches_language(code, language)]
    exact = (code for code in matching if matches_language(language, code))
    return next(exact, matching[0] if matching else "")


def _source_text(key: str, source: _Localization | None, path: Path) -> str:
    """Return the source of a value of the target: that of the same unit, of its last category, or the key."""
    values = (
        {} if source is None else {at: value for unit in source.units.values() for at, value in unit.values.items()}
    )
    for at in (path, tuple("other" if name in ("zero", "one", "two", "few", "many") else name for name in path)):
        if at in values:
            return values[at].text
    plain = values.get(("stringUnit", "value"))
    if plain is not None:
        return plain.text
    return key if not values else ""
