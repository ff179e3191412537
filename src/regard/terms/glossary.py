"""Glossaries: which terms a source contains, and which forms of their translations are valid.

A term is found in any case and in the forms of its words; of two terms that overlap, the longer one counts. Words in
capitals, such as IT, are found only in capitals.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice, pairwise, product

from regard.terms.learned import BothForms
from regard.terms.word_forms import WordForms
from regard.terms.words import Word, find_phrase, fold, is_unspaced, split_words

INDEX_LETTERS = 3  # of the first word of a term; all forms of a word share them
MAX_FORMS = 24  # of a target term
MAX_WORD_FORMS = 8  # of each word of a target term of several words

_SPACES = re.compile(r"\s+")


@dataclass(frozen=True)
class Entry:
    """An entry of a glossary: a source term, its translation, and its line in the file (0: not from a file)."""

    source: str
    target: str
    line: int = 0


@dataclass(frozen=True)
class Term:
    """A term in a source.

    Attributes:
        source: The term as it is written in the source.
        target: The translation that the glossary gives.
        forms: The forms of the translation that are valid, the given one first.
    """

    source: str
    target: str
    forms: tuple[str, ...]

    @property
    def is_upper(self) -> bool:
        """Whether the source has the term in capitals, so that its translation may be in capitals too."""
        return len(self.source) > 1 and self.source.isupper()

    def is_in(self, translation: str) -> bool:
        """Return whether a translation contains a form of the term, where words begin and end."""
        text = translation.lstrip()
        folded = text.casefold() if self.is_upper else ""
        return any(
            find_phrase(text, form) >= 0
            or find_phrase(text, capitalize(form)) == 0
            or (self.is_upper and find_phrase(folded, form.casefold()) >= 0)
            for form in self.forms
        )


def is_word(form: str) -> bool:
    """Return whether a term must end where a word ends: in scripts with spaces, unless it ends in punctuation."""
    return form[-1:].isalnum() and not is_unspaced(form[-1])


def capitalize(form: str) -> str:
    """Return a form with a capital first letter, as at the start of a sentence."""
    return form[:1].upper() + form[1:]


@dataclass(frozen=True)
class _Match:
    entry: Entry
    first: int  # word
    end: int

    def length(self, words: Sequence[Word]) -> int:
        return words[self.end - 1].end - words[self.first].start


@dataclass(frozen=True)
class Glossary:
    """A glossary of one language pair.

    Attributes:
        entries: The entries. Of several with the same source, the first counts.
        name: Its name in messages.
        problems: What is wrong with its file: entries that are skipped.
    """

    entries: tuple[Entry, ...]
    name: str = "glossary"
    problems: tuple[str, ...] = ()
    _index: dict[str, list[tuple[list[str], Entry]]] = field(
        init=False, repr=False, compare=False, default_factory=dict
    )

    def __post_init__(self) -> None:
        index: dict[str, list[tuple[list[str], Entry]]] = defaultdict(list)
        for entry in self.entries:
            words = [word.text for word in split_words(entry.source)]
            if words:
                index[fold(words[0])[:INDEX_LETTERS]].append((words, entry))
        self._index.update(index)

    @classmethod
    def of(cls, pairs: Iterable[tuple[str, str]], name: str = "glossary") -> Glossary:
        """Return a glossary of (source, target) terms."""
        return clean_entries([Entry(source, target) for source, target in pairs], name)

    def __len__(self) -> int:
        return len(self.entries)

    def find(self, text: str, forms: BothForms) -> tuple[Term, ...]:
        """Return the terms of a text in order; of overlapping ones the longest, then the leftmost."""
        words = split_words(text)
        matches = [
            _Match(entry, first, first + len(parts))
            for first, word in enumerate(words)
            for parts, entry in self._index.get(fold(word.text)[:INDEX_LETTERS], ())
            if _matches(words[first : first + len(parts)], parts, forms.source)
        ]
        matches.sort(key=lambda match: (-match.length(words), match.first))
        taken = [False] * len(words)
        chosen: list[_Match] = []
        for match in matches:
            if not any(taken[match.first : match.end]):
                taken[match.first : match.end] = [True] * (match.end - match.first)
                chosen.append(match)
        chosen.sort(key=lambda match: match.first)
        return tuple(
            Term(
                text[words[match.first].start : words[match.end - 1].end],
                match.entry.target,
                target_forms(match.entry.target, forms.target),
            )
            for match in chosen
        )


def _matches(words: Sequence[Word], parts: Sequence[str], forms: WordForms) -> bool:
    return len(words) == len(parts) and all(
        _matches_word(word.text, part, forms) for word, part in zip(words, parts, strict=True)
    )


def _matches_word(word: str, part: str, forms: WordForms) -> bool:
    if word == part:
        return True
    if len(part) > 1 and part.isupper():
        return word.startswith(part) and word[len(part) :].islower() and forms.is_form(word, part)
    return forms.is_form(word, part)


def target_forms(target: str, forms: WordForms) -> tuple[str, ...]:
    """Return the forms of a target term: it and, if it has letters only, the forms of its words in the corpus."""
    words = split_words(target)
    if not words:
        return (target,)
    limit = MAX_FORMS if len(words) == 1 else MAX_WORD_FORMS
    variants = [forms.forms(word.text)[:limit] if word.text.isalpha() else (word.text,) for word in words]
    gaps = [target[before.end : after.start] for before, after in pairwise(words)]
    texts = ("".join(map("".join, zip(parts, [*gaps, ""], strict=True))) for parts in product(*variants))
    return tuple(dict.fromkeys([target, *islice(texts, MAX_FORMS)]))


def clean_entries(entries: Iterable[Entry], name: str, problems: Sequence[str] = ()) -> Glossary:
    """Return a glossary of the valid entries; the others are among its problems.

    An entry without a source or a target is skipped, and so is one whose source has another target already.
    """
    reports = list(problems)
    first: dict[str, Entry] = {}
    for entry in entries:
        entry = replace(
            entry, source=_SPACES.sub(" ", entry.source).strip(), target=_SPACES.sub(" ", entry.target).strip()
        )
        where = f"{name}:{entry.line}" if entry.line else name
        if not entry.source and not entry.target:
            continue
        if not split_words(entry.source) or not entry.target:
            side = "target" if entry.source else "source"
            reports.append(f"{where}: the {side} of {entry.source or entry.target!r} is empty: skipped")
            continue
        earlier = first.setdefault(entry.source, entry)
        if earlier.target != entry.target:
            place = f" in line {earlier.line}" if earlier.line else ""
            reports.append(f"{where}: {entry.source!r} is {earlier.target!r}{place}, not {entry.target!r}: skipped")
    return Glossary(tuple(first.values()), name, tuple(reports))
