"""Read glossaries from TSV, CSV and TBX files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import ClassVar, Final

from regard.corpus.corpus import Pair, Skipped, surrogate_reason
from regard.corpus.formats.delimited import parse_rows, unquote
from regard.corpus.formats.plain import read_lines
from regard.corpus.formats.sides import Sides, matches_language
from regard.corpus.formats.xml import XML_LANG, XmlReader
from regard.errors import DataError
from regard.terms.glossary import Entry, Glossary, clean_entries

SUFFIXES: Final = (".tsv", ".csv", ".tbx")
NO_GLOSSARY: Final = "none"  # in place of the name of a file
MAX_ENTRIES = 100_000
MAX_CHARACTERS = 1000  # of a term
_OBSOLETE = ("deprecatedTerm-admn-sts", "supersededTerm-admn-sts", "deprecatedTerm", "supersededTerm")
_PREFERRED = ("preferredTerm-admn-sts", "preferredTerm")


def read_glossary(path: Path, source_language: str = "", target_language: str = "") -> Glossary:
    """Read a glossary.

    A table has the source in its first column and the target in its second, or a first line with the names `source`
    and `target` or the languages.

    Args:
        path: A file with a suffix of SUFFIXES.
        source_language: The language of source terms; empty: unknown.
        target_language: The language of target terms; empty: unknown.

    Raises:
        DataError: The file cannot be read, is not valid, or has no entry.
    """
    sides = Sides(source_language, target_language)
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise DataError(
            f"a glossary is a file with the suffix {', '.join(SUFFIXES)}", where=path, fix="rename or convert the file"
        )
    items = _TbxReader(path, sides).read() if suffix == ".tbx" else _read_table(path, sides)
    return _collect(items, path)


def _collect(items: Iterator[Pair | Skipped], path: Path) -> Glossary:
    entries: list[Entry] = []
    problems: list[str] = []
    for item in items:
        if isinstance(item, Skipped):
            problems.append(f"{path}:{item.line}: {item.reason}: skipped")
        elif reason := check_term(item.source) or check_term(item.target):
            problems.append(f"{path}:{item.line}: {reason}: skipped")
        else:
            entries.append(Entry(item.source, item.target, item.line))
        if len(entries) > MAX_ENTRIES:
            raise DataError(f"a glossary has at most {MAX_ENTRIES:,} entries", where=path, fix="divide the glossary")
    glossary = clean_entries(entries, str(path), problems)
    if not glossary.entries:
        reason = f"; line {glossary.problems[0].removeprefix(f'{path}:')}" if glossary.problems else ""
        raise DataError(
            f"the glossary has no entry{reason}", where=path, fix="write a source term and a target term per line"
        )
    return glossary


def check_term(text: str) -> str:
    """Return what is wrong with a term; empty if it is valid."""
    if len(text) > MAX_CHARACTERS:
        return f"a term has more than {MAX_CHARACTERS:,} characters"
    if any(not character.isprintable() and not character.isspace() for character in text):
        return surrogate_reason(text) or "a term has a control character"
    return ""


def _read_table(path: Path, sides: Sides) -> Iterator[Pair | Skipped]:
    separator = "," if path.suffix.lower() == ".csv" else "\t"
    rows = parse_rows(read_lines(path), separator, str(path))
    first = next(rows, None)
    if first is None:
        raise DataError("the file is empty", where=path, fix="write a source term and a target term per line")
    names = [unquote(name, separator).strip().lower() for name in first[1]]
    columns = _named_columns(names, sides)
    source, target = columns or (0, 1)
    for line, fields in rows if columns else chain([first], rows):
        if max(source, target) < len(fields):
            yield Pair(unquote(fields[source], separator), unquote(fields[target], separator), line)
        elif any(field.strip() for field in fields):
            yield Skipped(f"there is no column {max(source, target) + 1}", line)


def _named_columns(names: Sequence[str], sides: Sides) -> tuple[int, int] | None:
    """Return the columns that a header names; None if it is not a header."""
    if "source" in names and "target" in names:
        return names.index("source"), names.index("target")
    columns = [
        [index for index, name in enumerate(names) if language and name and matches_language(name, language)]
        for language in (sides.source_language, sides.target_language)
    ]
    return (columns[0][0], columns[1][0]) if all(columns) and columns[0][0] != columns[1][0] else None


@dataclass
class _TbxTerm:
    language: str
    text: str = ""
    status: str = ""


@dataclass
class _Concept:
    line: int
    terms: list[_TbxTerm] = field(default_factory=list)


class _TbxReader(XmlReader):
    """TBX 2 (martif, termEntry, langSet, tig) and TBX 3 (tbx, conceptEntry, langSec, termSec).

    Deprecated and superseded terms are ignored. Of several target terms, the preferred one or else the first is used.
    A language that is not requested is the only other one of the file. If none is, the source is the language that
    comes first in the file.
    """

    root: ClassVar[str] = "tbx"
    former_roots: ClassVar[tuple[str, ...]] = ("martif",)
    any_namespace: ClassVar[frozenset[str]] = frozenset(["administrativeStatus"])  # <min:administrativeStatus> of TBX 3

    def __init__(self, path: Path, sides: Sides) -> None:
        super().__init__(path, sides)
        self._concept: _Concept | None = None
        self._concepts: list[_Concept] = []  # those that wait for the languages
        self._language = ""
        self._is_status = False

    def start_element(self, name: str, attributes: Mapping[str, str]) -> None:
        if name in ("termEntry", "conceptEntry"):
            self._concept = _Concept(self.line)
            self.begin_unit()
        elif name in ("langSet", "langSec"):
            self._language = (attributes.get(XML_LANG) or attributes.get("lang", "")).strip()
        elif self._concept is not None and name in ("tig", "ntig", "termSec"):
            self._concept.terms.append(_TbxTerm(self._language))
        elif self._concept is not None and name == "term":
            self.collect_text()
        elif (attributes.get("type") if name == "termNote" else name) == "administrativeStatus":
            self._is_status = True
            self.collect_text()

    def end_element(self, name: str, text: str) -> None:
        concept = self._concept
        if concept is None:
            self._is_status = False
            return
        if name == "term" and concept.terms:
            concept.terms[-1].text = text
        elif name in ("termNote", "administrativeStatus") and self._is_status:
            self._is_status = False
            if concept.terms:
                concept.terms[-1].status = text.strip()
        elif name in ("termEntry", "conceptEntry"):
            concept.terms = [term for term in concept.terms if term.status not in _OBSOLETE]
            self._concept = None
            if self.sides.source_language and self.sides.target_language:
                self.items += _pairs(concept, self.sides)
            else:
                self._concepts.append(concept)
                if len(self._concepts) > MAX_ENTRIES:
                    self.fail(f"a glossary has at most {MAX_ENTRIES:,} entries", "divide the glossary")

    def end_document(self) -> None:
        if self._concepts:
            sides = self._infer_sides()
            self.items += chain.from_iterable(_pairs(concept, sides) for concept in self._concepts)

    def _infer_sides(self) -> Sides:
        """Return the source and target languages of the whole file. Raise DataError if they are not clear."""
        source, target = self.sides.source_language, self.sides.target_language
        known = source or target
        languages = dict.fromkeys(term.language for concept in self._concepts for term in concept.terms)
        unknown = [language for language in languages if not (known and matches_language(language, known))]
        count = 1 if known else 2
        if len(unknown) > count:  # en-US and en-GB are one language if there is another one
            unknown = list(dict.fromkeys(map(_primary_subtag, unknown)))
        if len(unknown) != count:
            self.fail("it is not clear which languages are source and target", "give the run's languages")
        if not known:
            return Sides(*unknown)
        return Sides(source or unknown[0], target or unknown[0])


def _primary_subtag(language: str) -> str:
    return language.replace("_", "-").partition("-")[0].lower()


def _pairs(concept: _Concept, sides: Sides) -> Iterator[Pair | Skipped]:
    """Yield the pairs of a concept, or why there are none."""
    codes = sides.source_language, sides.target_language
    sources, targets = ([term for term in concept.terms if matches_language(term.language, code)] for code in codes)
    if not sources or not targets:
        yield Skipped(f"there is no term in {codes[1] if sources else codes[0]}", concept.line)
        return
    best = min(targets, key=lambda term: term.status not in _PREFERRED)
    for source in sources:
        yield Pair(source.text, best.text, concept.line)
