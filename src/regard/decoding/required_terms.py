"""Search under lexical constraints: a target must contain one form of each of its terms.

The constraint of a sentence is an automaton that reads the target token by token. Its state says how far each form of
each term is matched. The search forbids EOS until every term is complete, always tries the next token of each term, and
keeps a share of the beam for each level of progress (Post and Vilar 2018; disjunctions as in Hu et al. 2019).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import torch
from torch import Tensor

from regard.decoding.logits_processors import LogitsProcessor, PrefixTokens
from regard.special_tokens import EOS

MAX_FORCED = 12  # tokens that are tried in a row in addition to the best ones

Form = tuple[int, ...]
Matches = frozenset[tuple[Form, int]] | None  # forms and how many of their tokens are matched; None: complete


@dataclass(frozen=True)
class TokenClasses:
    """Tokens that tell where words begin and end.

    Attributes:
        continuing: Tokens that continue the word before them.
        punctuation: Tokens after which a word may begin without a space.
    """

    continuing: frozenset[int] = frozenset()
    punctuation: frozenset[int] = frozenset()


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


class _State(NamedTuple):
    is_start: bool
    after_punctuation: bool
    terms: tuple[Matches, ...]


@dataclass
class TermAutomaton:
    """Recognises the targets that contain one form of each term.

    Attributes:
        terms: The terms.
        classes: The classes of tokens.
    """

    terms: Sequence[RequiredTerm]
    classes: TokenClasses = field(default_factory=TokenClasses)
    start: Final[int] = 0

    def __post_init__(self) -> None:
        self._alphabet = frozenset(token for term in self.terms for form in term.all_forms for token in form)
        self._number: dict[_State, int] = {}
        self._states: list[_State] = []
        self._next: dict[tuple[int, int], int] = {}
        self._progress: list[int] = []
        self._forced: list[tuple[int, ...]] = []
        self._add(_State(True, False, tuple(frozenset() for _ in self.terms)))

    def advance(self, state: int, token: int) -> int:
        """Return the state after a token."""
        key = state, self._kind(token)
        number = self._next.get(key)
        if number is None:
            number = self._next[key] = self._add(self._advance(self._states[state], token))
        return number

    def run(self, tokens: Sequence[int]) -> int:
        """Return the state after some tokens."""
        state = self.start
        for token in tokens:
            state = self.advance(state, token)
        return state

    def progress(self, state: int) -> int:
        """Return the number of matched tokens of all terms."""
        return self._progress[state]

    def forced(self, state: int) -> tuple[int, ...]:
        """Return the tokens that continue or begin the terms that are not complete."""
        return self._forced[state]

    def accepts(self, state: int) -> bool:
        """Return whether EOS may follow: every term is complete."""
        matches = self._states[state].terms
        return all(match is None or _is_matched(match) for match in matches)

    def _kind(self, token: int) -> int:
        """Return the token, or a number that all tokens of its class share if it is in no form."""
        if token in self._alphabet:
            return token
        if token in self.classes.continuing:
            return -1
        return -2 if token in self.classes.punctuation else -3

    def _add(self, state: _State) -> int:
        number = self._number.get(state)
        if number is None:
            number = self._number[state] = len(self._states)
            self._states.append(state)
            self._progress.append(sum(map(_progress, self.terms, state.terms)))
            tokens = dict.fromkeys(
                token for index in range(len(self.terms)) for token in self._next_tokens(state, index)
            )
            self._forced.append(tuple(tokens)[:MAX_FORCED])
        return number

    def _advance(self, state: _State, token: int) -> _State:
        terms = tuple(self._match(state, index, token) for index in range(len(self.terms)))
        return _State(False, token in self.classes.punctuation, terms)

    def _match(self, state: _State, index: int, token: int) -> Matches:
        term, matches = self.terms[index], state.terms[index]
        if matches is None or (_is_matched(matches) and not (term.is_word and token in self.classes.continuing)):
            return None
        longer = {(form, at + 1) for form, at in matches if at < len(form) and form[at] == token}
        longer |= {(form, 1) for form in self._beginnings(state, term) if form[0] == token}
        if not term.is_word and _is_matched(longer):
            return None
        return frozenset(longer)

    @staticmethod
    def _beginnings(state: _State, term: RequiredTerm) -> Iterator[Form]:
        yield from term.forms
        if state.is_start:
            yield from term.at_start
        if state.after_punctuation:
            yield from term.after_punctuation

    def _next_tokens(self, state: _State, index: int) -> list[int]:
        matches = state.terms[index]
        if matches is None or _is_matched(matches):
            return []
        if matches:
            longest = max(at for _, at in matches)
            return sorted({form[at] for form, at in matches if at == longest})
        return list(dict.fromkeys(form[0] for form in self._beginnings(state, self.terms[index])))


def _is_matched(matches: set[tuple[Form, int]] | frozenset[tuple[Form, int]]) -> bool:
    return any(at == len(form) for form, at in matches)


def _progress(term: RequiredTerm, matches: Matches) -> int:
    if matches is None or _is_matched(matches):
        return term.length
    return min(max((at for _, at in matches), default=0), term.length - 1)


class RequiredTerms(LogitsProcessor):
    """Requires a form of each term; each sentence of the batch has its own terms.

    Args:
        terms: The terms of each sentence.
        classes: The classes of tokens.
    """

    def __init__(self, terms: Sequence[Sequence[RequiredTerm]], classes: TokenClasses = TokenClasses()) -> None:
        self._automata = [TermAutomaton(sentence, classes) if sentence else None for sentence in terms]
        self._states: dict[tuple[int, bytes], int] = {}  # of the prefixes of the last step
        self._rows: tuple[Tensor, list[int | None]] | None = None  # tokens, and the state of each row

    def __call__(self, scores: Tensor, prefixes: PrefixTokens) -> Tensor:
        """Forbid EOS in rows that lack a term."""
        lacking = [row for row, automaton, state in self._read(prefixes) if not automaton.accepts(state)]
        scores[lacking, EOS] = -math.inf
        return scores

    def forced_tokens(self, prefixes: PrefixTokens) -> Tensor | None:
        """Return the next tokens of the terms that each prefix lacks."""
        forced = [(row, automaton.forced(state)) for row, automaton, state in self._read(prefixes)]
        width = max((len(tokens) for _, tokens in forced), default=0)
        if not width:
            return None
        table = [[-1] * width for _ in range(len(prefixes.sentence))]
        for row, tokens in forced:
            table[row][: len(tokens)] = tokens
        return torch.tensor(table, device=prefixes.tokens.device)

    def next_progress(self, prefixes: PrefixTokens, ids: Tensor) -> Tensor | None:
        """Return the progress (N, k) of each prefix extended by each of the tokens ids (N, k)."""
        progress = torch.zeros_like(ids)
        rows = list(self._read(prefixes))
        if not rows:
            return None
        tokens = ids[[row for row, _, _ in rows]].tolist()
        values = [
            [automaton.progress(automaton.advance(state, token)) for token in row_tokens]
            for (_, automaton, state), row_tokens in zip(rows, tokens, strict=True)
        ]
        progress[[row for row, _, _ in rows]] = torch.tensor(values, device=ids.device)
        return progress

    def _read(self, prefixes: PrefixTokens) -> Iterator[tuple[int, TermAutomaton, int]]:
        """Yield each row whose sentence has terms, the automaton of its sentence, and the state of its prefix."""
        if self._rows is None or self._rows[0] is not prefixes.tokens:
            self._rows = prefixes.tokens, self._advance(prefixes)
        sentences = prefixes.sentence.tolist()
        for row, (sentence, state) in enumerate(zip(sentences, self._rows[1], strict=True)):
            automaton = self._automata[sentence]
            if automaton is not None and state is not None:
                yield row, automaton, state

    def _advance(self, prefixes: PrefixTokens) -> list[int | None]:
        """Return the state of each row; that of its prefix is known from the last step, if this is the same search."""
        tokens = prefixes.tokens.cpu().contiguous()
        states: list[int | None] = []
        known: dict[tuple[int, bytes], int] = {}
        for sentence, row in zip(prefixes.sentence.tolist(), tokens.numpy(), strict=True):
            automaton = self._automata[sentence]
            if automaton is None:
                states.append(None)
                continue
            before = self._states.get((sentence, row[:-1].tobytes())) if len(row) else None
            state = automaton.run(row.tolist()) if before is None else automaton.advance(before, int(row[-1]))
            known[sentence, row.tobytes()] = state
            states.append(state)
        self._states = known
        return states
