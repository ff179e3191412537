"""Search under lexical constraints: a target must contain one form of each of its terms.

The constraint of a term is an automaton that reads the target token by token. Its state says how far each form is
matched. The search forbids EOS until every term is complete, always tries the next token of each term, and keeps a
share of the beam for each level of progress (Post and Vilar 2018; disjunctions as in Hu et al. 2019). The automata of a
batch are tables, which all hypotheses read at once.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from regard.decoding.logits_processors import LogitsProcessor, PrefixTokens
from regard.special_tokens import EOS

MAX_FORCED = 12  # tokens that are tried in a row in addition to the best ones

Form = tuple[int, ...]
Numbers = NDArray[np.int64]
Matches = frozenset[tuple[int, int]] | None  # numbers of forms, and how many tokens match; None: the term is complete


@dataclass(frozen=True)
class TokenClasses:
    """Tokens that tell where words begin and end.

    Attributes:
        continuing: Tokens that continue the word before them.
        punctuation: Tokens after which a word may begin without a space.
    """

    continuing: frozenset[int] = frozenset()
    punctuation: frozenset[int] = frozenset()

    def kind(self, token: int) -> int:
        """Return the classes of a token as a number: 0 for none, 1 continuing, 2 punctuation, 3 both."""
        return (token in self.continuing) + 2 * (token in self.punctuation)

    @cached_property
    def kinds(self) -> Numbers:
        """The `kind` of each token up to the last one that has a class, and 0 for all after it."""
        kinds = np.zeros(max((*self.continuing, *self.punctuation), default=-1) + 2, np.int64)
        kinds[list(self.continuing)] += 1
        kinds[list(self.punctuation)] += 2
        return kinds


@dataclass(frozen=True)
class RequiredTerm:
    """A term of which a target must contain one form.

    Attributes:
        forms: Forms that may be anywhere.
        at_start: Forms that are valid only at the start of the target.
        after_punctuation: Forms that are valid only after a punctuation token, such as an opening quote.
        is_word: Whether the form must end where a word ends.
    """

    forms: tuple[Form, ...]
    at_start: tuple[Form, ...] = ()
    after_punctuation: tuple[Form, ...] = ()
    is_word: bool = False

    @property
    def all_forms(self) -> tuple[Form, ...]:
        """All forms, wherever they are valid."""
        return (*self.forms, *self.at_start, *self.after_punctuation)

    @property
    def length(self) -> int:
        """The tokens of the longest form: the progress of a target that contains the term."""
        return max(map(len, self.all_forms))


class TermState(NamedTuple):
    """How far the forms of a term are matched, and where in the target that is."""

    is_start: bool
    after_punctuation: bool
    matches: Matches


COMPLETE = TermState(False, False, None)


class TermAutomaton:
    """Recognises the targets that contain one form of a term.

    Args:
        term: The term.
        classes: The classes of tokens.
    """

    def __init__(self, term: RequiredTerm, classes: TokenClasses = TokenClasses()) -> None:
        self.term = term
        self.classes = classes
        self._forms = term.all_forms
        numbers = itertools.count()  # of the forms that are valid anywhere, at the start, and after punctuation
        self._beginnings: list[dict[int, list[int]]] = []  # the numbers of each of these, by the first token
        for forms in (term.forms, term.at_start, term.after_punctuation):
            by_first: dict[int, list[int]] = {}
            for form in forms:
                by_first.setdefault(form[0], []).append(next(numbers))
            self._beginnings.append(by_first)

    @property
    def start(self) -> TermState:
        """The state before the first token."""
        return TermState(True, False, frozenset())

    def run(self, tokens: Sequence[int]) -> TermState:
        """Return the state after some tokens."""
        state = self.start
        for token in tokens:
            state = self.advance(state, token, self.classes.kind(token))
        return state

    def advance(self, state: TermState, token: int, kind: int) -> TermState:
        """Return the state after a token of a kind; tokens that are in no form differ by their kind only."""
        term, matches = self.term, state.matches
        is_continuing, is_punctuation = bool(kind & 1), bool(kind & 2)
        if matches is None or (self.accepts(state) and not (term.is_word and is_continuing)):
            return COMPLETE
        longer = [
            (form, at + 1) for form, at in matches if at < len(self._forms[form]) and self._forms[form][at] == token
        ]
        longer += [(form, 1) for beginnings in self._valid(state) for form in beginnings.get(token, ())]
        after = TermState(False, is_punctuation and bool(term.after_punctuation), frozenset(longer))
        return COMPLETE if not term.is_word and self.accepts(after) else after

    def progress(self, state: TermState) -> int:
        """Return the number of matched tokens."""
        if self.accepts(state):
            return self.term.length
        return min(max((at for _, at in state.matches or ()), default=0), self.term.length - 1)

    def accepts(self, state: TermState) -> bool:
        """Return whether EOS may follow: the term is complete."""
        if not state.matches:
            return state.matches is None
        return any(at == len(self._forms[form]) for form, at in state.matches)

    def next_tokens(self, state: TermState) -> list[int]:
        """Return the tokens that continue or begin the term, unless it is complete."""
        if state.matches is None or self.accepts(state):
            return []
        if state.matches:
            longest = max(at for _, at in state.matches)
            return sorted({self._forms[form][at] for form, at in state.matches if at == longest})
        return list(dict.fromkeys(token for beginnings in self._valid(state) for token in beginnings))

    def _valid(self, state: TermState) -> Iterator[dict[int, list[int]]]:
        """Yield the beginnings of the forms that may begin after a state."""
        anywhere, at_start, after_punctuation = self._beginnings
        yield anywhere
        if state.is_start:
            yield at_start
        if state.after_punctuation:
            yield after_punctuation


KINDS = 4  # of tokens that are in no form of a term; they are the first symbols of its automaton


class _TermTables:
    """The automata of the terms of a batch as tables, which grow when a state or a transition is first needed.

    Term 0, with the only state 0, is always complete: sentences with fewer terms than others have it instead.

    Attributes:
        start: (terms + 1,) The first state of each term.
        progress: (states,) The number of matched tokens.
        accepts: (states,) Whether the term is complete.
        next_tokens: (states, MAX_FORCED) The tokens that continue or begin the term, then -1.
    """

    def __init__(self, terms: Sequence[RequiredTerm], classes: TokenClasses) -> None:
        self._automata = [TermAutomaton(term, classes) for term in terms]
        alphabets = [list(dict.fromkeys(token for form in term.all_forms for token in form)) for term in terms]
        tokens = list(dict.fromkeys(token for alphabet in alphabets for token in alphabet))
        kinds = classes.kinds
        self._symbols = np.zeros(max(len(kinds), max(tokens, default=-1) + 2), np.int64)  # of tokens
        self._symbols[: len(kinds)] = kinds
        own_kinds = self._symbols[tokens]
        self._symbols[tokens] = np.arange(KINDS, KINDS + len(tokens))
        self._own_symbols = np.tile(np.append(np.arange(KINDS), own_kinds), (len(terms) + 1, 1))  # (terms + 1, symbols)
        for term, alphabet in enumerate(alphabets, start=1):
            self._own_symbols[term, self._symbols[alphabet]] = np.arange(KINDS, KINDS + len(alphabet))
        self._alphabets = [[(-1, kind) for kind in range(KINDS)] for _ in alphabets]
        for own, alphabet in zip(self._alphabets, alphabets, strict=True):
            own += [(token, classes.kind(token)) for token in alphabet]
        self._width = max(map(len, self._alphabets), default=KINDS)
        self._states: list[tuple[int, TermState]] = [(0, COMPLETE)]
        self._numbers: dict[tuple[int, TermState], int] = {}
        capacity = 4 * len(terms) + 1
        self._next = np.full((capacity, self._width), -1)
        self._next[0] = 0
        self.progress, self.accepts = np.zeros(capacity, np.int64), np.ones(capacity, bool)
        self.next_tokens = np.full((capacity, MAX_FORCED), -1)
        self._after_other = np.full((len(terms) + 1, KINDS), -1)  # the state after a token that is in no form
        for term, automaton in enumerate(self._automata, start=1):
            for kind in range(KINDS):
                state = automaton.advance(TermState(False, False, frozenset()), -1, kind)
                self._after_other[term, kind] = self._number(term, state)
        starts = [self._number(term, automaton.start) for term, automaton in enumerate(self._automata, start=1)]
        self.start = np.array([0, *starts])

    def advance(self, terms: Numbers, states: Numbers, tokens: Numbers) -> Numbers:
        """Return the state of each term after a token; the arrays are broadcast."""
        symbols = self._own_symbols[terms, self._symbols[np.minimum(tokens, len(self._symbols) - 1)]]
        longer = self._next[states, symbols]
        is_new = longer < 0
        if is_new.any():
            transitions = np.unique((states * self._width + symbols)[is_new])
            for state, symbol in zip(*(part.tolist() for part in divmod(transitions, self._width)), strict=True):
                self._add(state, symbol)
            longer = self._next[states, symbols]
        return longer

    def _add(self, number: int, symbol: int) -> None:
        term, state = self._states[number]
        longer = self._number(term, self._automata[term - 1].advance(state, *self._alphabets[term - 1][symbol]))
        self._next[number, symbol] = longer

    def _number(self, term: int, state: TermState) -> int:
        """Return the number of a state of a term."""
        number = self._numbers.get((term, state))
        if number is None:
            number = self._numbers[term, state] = len(self._states)
            self._states.append((term, state))
            if number == len(self.progress):
                self._grow()
            automaton = self._automata[term - 1]
            self.progress[number], self.accepts[number] = automaton.progress(state), automaton.accepts(state)
            tokens = automaton.next_tokens(state)[:MAX_FORCED]
            self.next_tokens[number, : len(tokens)] = tokens
            if state.matches is None:
                self._next[number] = number
            elif not self.accepts[number]:
                self._next[number, :KINDS] = self._after_other[term]
        return number

    def _grow(self) -> None:
        """Double the number of states that the tables have room for."""
        self._next = np.concatenate((self._next, np.full_like(self._next, -1)))
        self.progress = np.concatenate((self.progress, self.progress))
        self.accepts = np.concatenate((self.accepts, self.accepts))
        self.next_tokens = np.concatenate((self.next_tokens, np.full_like(self.next_tokens, -1)))


class _Rows(NamedTuple):
    """The rows of the last step: their tokens (N, t), their terms and the states of these (N, M)."""

    source: Tensor  # what `tokens` are read from
    tokens: Numbers
    terms: Numbers
    states: Numbers


class RequiredTerms(LogitsProcessor):
    """Requires a form of each term; each sentence of the batch has its own terms.

    Args:
        terms: The terms of each sentence.
        classes: The classes of tokens.
    """

    def __init__(self, terms: Sequence[Sequence[RequiredTerm]], classes: TokenClasses = TokenClasses()) -> None:
        numbers: dict[RequiredTerm, int] = {}
        for sentence in terms:
            for term in sentence:
                numbers.setdefault(term, len(numbers) + 1)
        self._terms = np.zeros((len(terms), max(map(len, terms), default=0)), np.int64)  # (B, M)
        for row, sentence in zip(self._terms, terms, strict=True):
            row[: len(sentence)] = [numbers[term] for term in sentence]
        self._tables = _TermTables(list(numbers), classes)
        self._last: _Rows | None = None

    def __call__(self, scores: Tensor, prefixes: PrefixTokens) -> Tensor:
        """Forbid EOS in rows that lack a term."""
        _, states = self._read(prefixes)
        lacks_term = torch.from_numpy(~self._tables.accepts[states].all(1)).to(scores.device)
        scores[:, EOS].masked_fill_(lacks_term, -math.inf)
        return scores

    def forced_tokens(self, prefixes: PrefixTokens) -> Tensor | None:
        """Return the next tokens of the terms that each prefix lacks, each once, at most MAX_FORCED."""
        _, states = self._read(prefixes)
        tokens = self._tables.next_tokens[states].reshape(len(states), states.shape[1] * MAX_FORCED)
        tokens = tokens[:, (tokens >= 0).any(0)]
        is_new = tokens >= 0
        for column in range(1, tokens.shape[1]):
            is_new[:, column] &= (tokens[:, :column] != tokens[:, column, None]).all(1)
        place = is_new.cumsum(1) - 1
        is_new &= place < MAX_FORCED
        if not is_new.any():
            return None
        forced = np.full((len(states), int(is_new.sum(1).max())), -1)
        rows, columns = is_new.nonzero()
        forced[rows, place[rows, columns]] = tokens[rows, columns]
        return torch.from_numpy(forced).to(prefixes.tokens.device)

    def next_progress(self, prefixes: PrefixTokens, ids: Tensor) -> Tensor | None:
        """Return the progress (N, k) of each prefix extended by each of the tokens ids (N, k)."""
        terms, states = self._read(prefixes)
        if not terms.any():
            return None
        longer = self._tables.advance(terms[:, None], states[:, None], ids.cpu().numpy()[:, :, None])  # (N, k, M)
        return torch.from_numpy(self._tables.progress[longer].sum(2)).to(ids.device)

    def _read(self, prefixes: PrefixTokens) -> tuple[Numbers, Numbers]:
        """Return the terms of each row and the states after its prefix, both (N, M)."""
        if self._last is None or self._last.source is not prefixes.tokens:
            tokens = prefixes.tokens.cpu().numpy()
            terms = self._terms[prefixes.sentence.cpu().numpy()]
            states = self._states_before(prefixes, tokens, terms)
            read = 0 if states is None else tokens.shape[1] - 1
            states = self._tables.start[terms] if states is None else states
            for column in range(read, tokens.shape[1]):
                states = self._tables.advance(terms, states, tokens[:, column, None])
            self._last = _Rows(prefixes.tokens, tokens, terms, states)
        return self._last.terms, self._last.states

    def _states_before(self, prefixes: PrefixTokens, tokens: Numbers, terms: Numbers) -> Numbers | None:
        """Return the states before the last token of each row; None if the last step was not of the same search."""
        last = self._last
        if prefixes.parents is None or last is None or last.tokens.shape[1] + 1 != tokens.shape[1]:
            return None
        parents = prefixes.parents.cpu().numpy()
        is_same = (
            parents.max(initial=-1) < len(last.tokens)
            and np.array_equal(last.tokens[parents], tokens[:, :-1])
            and np.array_equal(last.terms[parents], terms)
        )
        return last.states[parents] if is_same else None
