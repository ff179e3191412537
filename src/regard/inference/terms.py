"""Translate with a glossary: find the terms of a source, tag them or require them, and check the translations.

A run that was trained with terms (`regard train --terms`) reads the wanted terms in its source. A translation that
lacks a term, as any translation of another run may, is searched again under the constraint that it contains a form of
each term.
"""

from __future__ import annotations

import threading
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, TypedDict

import torch

from regard.config.schema import SearchConfig
from regard.console import say
from regard.data.store import PairStore
from regard.decoding.hypothesis import Hypothesis
from regard.decoding.required_terms import Form, RequiredTerm, TokenClasses
from regard.errors import ConfigError, DataError, DecodingError
from regard.evaluation.degenerate_output import LACKS_TERM
from regard.inference.lines import Line
from regard.inference.translation import Translation
from regard.terms.glossary import Glossary, Term, capitalize, is_word
from regard.terms.glossary_files import NO_GLOSSARY, SUFFIXES, read_glossary
from regard.terms.learned import FORMS, BothForms, learn_forms, load_forms
from regard.terms.offsets import find_terms, token_spans
from regard.terms.tagging import TermTagger, WantedTerm, has_markers
from regard.terms.words import is_unspaced
from regard.tokenizers.base import Tokenizers
from regard.tokenizers.words import count_tags

GlossaryMethod = Literal["auto", "tags", "search", "both"]
METHODS = ("auto", "tags", "search", "both")
DEFAULT_NAME = "glossary"  # with one of SUFFIXES: the glossary in the folder of a run, which is used by default
QUOTE = "("  # after which a word has no space before it

SearchLines = Callable[[Sequence[Line], SearchConfig], list[list[Translation]]]
ForbidRivals = Callable[[Sequence[Line], Sequence[Translation]], Sequence[Line]]


class TermConstraints(TypedDict, total=False):
    """What terms add to `TokenConstraints`."""

    terms: tuple[RequiredTerm, ...]
    classes: TokenClasses


@dataclass(frozen=True)
class TermOptions:
    """How terms are translated.

    Attributes:
        glossary: The glossary; None: only the terms that the constraints of a line have.
        tags: Whether terms are tagged in the source.
        requires: Whether translations that lack a term are searched again.
    """

    glossary: Glossary | None = None
    tags: bool = False
    requires: bool = True


def default_glossaries(folder: Path) -> list[Path]:
    """Return the files in the folder of a run that may be its default glossary; the first one is."""
    return [path for suffix in SUFFIXES if (path := folder / f"{DEFAULT_NAME}{suffix}").is_file()]


class RunTerms:
    """What a run knows about terms: its default glossary, and the forms of words in its training data.

    Args:
        tokenizers: The tokenizers of the run.
        data: Its `data` folder; None: there is none.
        fingerprint: The fingerprint of its training data.
        default: The glossary that is used unless another is given.
    """

    def __init__(
        self,
        tokenizers: Tokenizers,
        data: Path | None = None,
        fingerprint: str | None = None,
        default: Glossary | None = None,
    ) -> None:
        self.default = default
        self.has_tags = has_markers(tokenizers)
        self._tokenizers = tokenizers
        self._data = data
        self._fingerprint = fingerprint
        self._lock = threading.Lock()
        self._forms: BothForms | None = None
        self._encoded: dict[tuple[str, ...], RequiredTerm] = {}

    @classmethod
    def load(
        cls, folder: Path, checkpoint: Path, tokenizers: Tokenizers, fingerprint: str | None, languages: tuple[str, str]
    ) -> RunTerms:
        """Load what the folder of a run, or the run of a checkpoint, has. Raises DataError for a broken glossary."""
        candidates = (folder / "data", checkpoint.parent.parent / "data")
        data = next((path for path in candidates if (path / "train.json").is_file() or (path / FORMS).is_file()), None)
        files = default_glossaries(folder)
        default = read_glossary(files[0], *languages) if files else None
        return cls(tokenizers, data, fingerprint, default)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_lock"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _lock=threading.Lock())

    @property
    def forms(self) -> BothForms:
        """The forms of words in the training data. They are learned at first use, and stored in the run's folder.

        Without training data, a word has no other forms. Raises DataError if the stored forms are damaged.
        """
        with self._lock:
            if self._forms is None:
                self._forms = self._load_forms()
            return self._forms

    def _load_forms(self) -> BothForms:
        if self._data is None:
            return BothForms()
        stored = load_forms(self._data, self._fingerprint)
        if stored is not None:
            return stored
        try:
            store = PairStore.open(self._data, "train")
        except DataError:
            return BothForms()
        if self._fingerprint not in (None, store.fingerprint):
            return BothForms()
        say("learning the forms of words from the training data, once")
        return learn_forms(self._data, store, self._tokenizers)

    @cached_property
    def classes(self) -> TokenClasses:
        """The target tokens that continue a word, and the punctuation after which a word may begin."""
        target = self._tokenizers.target
        pieces = list(enumerate(target.pieces(range(target.size))))
        if target.kind == "word":
            return TokenClasses()
        continuing = [id for id, piece in pieces if piece[:1].isalnum() and not is_unspaced(piece[0])]
        continuing += [id for id, piece in pieces if piece.startswith("<0x")]
        punctuation = [id for id, piece in pieces if _opens(piece)]
        return TokenClasses(frozenset(continuing), frozenset(punctuation))

    def require(self, term: Term) -> RequiredTerm | None:
        """Return the forms of a term as target tokens; None if the tokenizer cannot write it."""
        forms = term.forms
        if term.is_upper:
            forms = tuple(dict.fromkeys([*forms, *(form.upper() for form in forms)]))
        if forms not in self._encoded:
            self._encoded[forms] = self._encode_forms(forms)
        return self._encoded[forms] if self._encoded[forms].forms else None

    def _encode_forms(self, forms: Sequence[str]) -> RequiredTerm:
        encode = self._tokenizers.target.encode
        anywhere = dict.fromkeys(tuple(encode(form)) for form in forms)
        at_start = dict.fromkeys(tuple(encode(capitalize(form))) for form in forms)
        quote = encode(QUOTE)
        glued: dict[Form, None] = {}
        for form in forms:
            ids = encode(QUOTE + form)
            if ids[: len(quote)] == quote:
                glued[tuple(ids[len(quote) :])] = None
        return RequiredTerm(
            tuple(form for form in anywhere if form),
            tuple(form for form in at_start if form and form not in anywhere),
            tuple(form for form in glued if form and form not in anywhere),
            is_word(forms[0]),
        )

    def constraints(self, terms: Sequence[Term]) -> TermConstraints:
        """Return the constraints of terms on target tokens."""
        if not terms:
            return {}
        required = dict.fromkeys(forms for term in terms if (forms := self.require(term)) is not None)
        return {"terms": tuple(required), "classes": self.classes}

    def resolve(
        self, glossary: Glossary | Path | str | None, method: GlossaryMethod, languages: tuple[str, str]
    ) -> TermOptions:
        """Return how terms are translated.

        Args:
            glossary: A glossary or its file; None: the default of the run; NO_GLOSSARY: none.
            method: How.
            languages: Of the run, for TBX files and headers.

        Raises:
            ConfigError: There is no such method.
            DataError: The file cannot be read.
            DecodingError: The method needs tags, which the run does not know.
        """
        if method not in METHODS:
            raise ConfigError(f"unknown glossary_method `{method}`", fix=f"choose one of {', '.join(METHODS)}")
        if method in ("tags", "both") and not self.has_tags:
            raise DecodingError(
                "the run was trained without terms, so it knows no tags",
                where="glossary_method",
                fix="choose `search` or `auto`, or train the run with --terms",
            )
        if glossary is None:
            chosen = self.default
        elif isinstance(glossary, Glossary):
            chosen = glossary
        else:
            chosen = None if str(glossary) == NO_GLOSSARY else read_glossary(Path(glossary), *languages)
        return TermOptions(chosen, tags=self.has_tags and method != "search", requires=method != "tags")

    def add(self, line: Line, options: TermOptions) -> Line:
        """Return a line with the terms that the glossary has for it."""
        if options.glossary is None:
            return line
        terms = options.glossary.find(line.text, self.forms)
        constraints = line.constraints
        return replace(line, constraints=replace(constraints, terms=(*constraints.terms, *terms))) if terms else line

    def tag(self, source: Sequence[int], text: str, terms: Sequence[Term]) -> TaggedSource:
        """Return the tokens of a text with tags around its terms. Terms that are not in the text stay without tags."""
        tokens = list(source)
        if not terms:
            return TaggedSource.plain(tokens)
        spans = token_spans(self._tokenizers.source, tokens, text)
        if spans is None:
            return TaggedSource.plain(tokens)
        tagger = TermTagger(self._tokenizers)
        first = count_tags(self._tokenizers.source, tokens)
        wanted_terms = [
            WantedTerm(first + place.start, first + place.stop, tagger.encode(term.target))
            for term, place in find_terms(terms, spans, text)
        ]
        return TaggedSource(tuple(tokens), *tagger.tag_with_origins(tokens, wanted_terms))


@dataclass(frozen=True)
class TaggedSource:
    """A source with tags.

    Attributes:
        original: (S,) The tokens of the source without tags.
        tokens: (S',) Its tokens.
        origins: (S',) The token of the source without tags that each token belongs to.
    """

    original: tuple[int, ...]
    tokens: tuple[int, ...]
    origins: tuple[int, ...]

    @classmethod
    def plain(cls, tokens: Sequence[int]) -> TaggedSource:
        """Return a source without tags."""
        return cls(tuple(tokens), tuple(tokens), tuple(range(len(tokens))))

    def without_tags(self, hypothesis: Hypothesis) -> Hypothesis:
        """Return a hypothesis whose attention is over the source without tags: a tag counts as its term."""
        attention = hypothesis.attention
        if attention is None or len(self.tokens) == len(self.original):
            return hypothesis
        positions = torch.tensor([*self.origins, len(self.original)], device=attention.device)  # and EOS
        folded = attention.new_zeros(len(attention), len(self.original) + 1)
        return replace(hypothesis, attention=folded.index_add(1, positions, attention[:, : len(positions)]))


def _opens(piece: str) -> bool:
    """Return whether a word may follow a piece without a space: an opening bracket or quote, a dash or a slash."""
    return unicodedata.category(piece[-1:] or " ") in ("Ps", "Pi", "Pd") or piece[-1:] in ('"', "'", "/", "„", "‚")


def search_with_terms(
    search_lines: SearchLines,
    forbid_rivals: ForbidRivals,
    lines: Sequence[Line],
    search: SearchConfig,
    options: TermOptions,
    top_beams: int = 1,
) -> list[list[Translation]]:
    """Search lines, and search those whose best translation lacks a term again, with the terms required.

    The second search is a beam search. It also forbids the words that the first translation has instead of the terms.
    If it does not end, a third one forbids nothing. Translations that have all terms, and lines without terms, are
    searched once.

    Args:
        search_lines: Searches lines.
        forbid_rivals: Adds to lines the words that their translations have instead of terms.
        lines: The lines.
        search: The search options.
        options: How terms are translated.
        top_beams: How many translations of a line are requested; a sampling search may find more than its beam size.
    """
    lines = [replace(line, tags_terms=options.tags) if line.constraints.terms else line for line in lines]
    results = search_lines(lines, search)
    if not options.requires:
        return results
    beam = search.model_copy(update={"strategy": "beam", "beam_size": max(search.beam_size, top_beams)})
    places = [place for place, line in enumerate(lines) if lacks_term(line, results[place][0])]
    required = [replace(lines[place], requires_terms=True) for place in places]
    attempts = [forbid_rivals(required, [results[place][0] for place in places]), required] if places else []
    for attempt in attempts:
        unsolved = [index for index, place in enumerate(places) if lacks_term(lines[place], results[place][0])]
        for index, n_best in zip(unsolved, search_lines([attempt[index] for index in unsolved], beam), strict=True):
            if n_best[0].finished:
                results[places[index]] = n_best
    for place, line in enumerate(lines):
        best, *rest = results[place]
        if lacks_term(line, best):
            results[place] = [replace(best, marks=(*best.marks, LACKS_TERM)), *rest]
    return results


def lacks_term(line: Line, translation: Translation) -> bool:
    """Return whether a translation lacks a term of its line."""
    text = translation.text.casefold() if line.text.isupper() else translation.text
    return not all(_fold(term, line).is_in(text) for term in line.constraints.terms)


def _fold(term: Term, line: Line) -> Term:
    return replace(term, forms=tuple(map(str.casefold, term.forms))) if line.text.isupper() else term
