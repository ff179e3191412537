"""Required terms: one of several forms, where words begin and end. Compared to brute force."""

from __future__ import annotations

import itertools
import random

import pytest
import torch
from tests.doubles import Prefix
from tests.unit.decoding.test_logits_processors import SENTENCES, V, best_allowed, search

from regard.decoding.logits_processors import ForbiddenPhrases, LogitsProcessorList, NoRepeatNGram, PrefixTokens
from regard.decoding.required_terms import (
    MAX_FORCED,
    RequiredTerm,
    RequiredTerms,
    TermAutomaton,
    TermState,
    TokenClasses,
)
from regard.special_tokens import EOS

CLASSES = TokenClasses(continuing=frozenset([5]), punctuation=frozenset([4]))
TERMS: list[list[RequiredTerm]] = [
    [RequiredTerm(((3, 5), (3,)), is_word=True)],
    [RequiredTerm(((4, 4), (5, 3)), at_start=((3, 3),)), RequiredTerm(((5,),), is_word=True)],
    [],
    [RequiredTerm(((3, 3, 4),), after_punctuation=((3, 5),), is_word=True)],
]


def contains(tokens: Prefix, term: RequiredTerm, classes: TokenClasses = CLASSES) -> bool:
    """Return whether a target contains a form of a term, by the definition."""
    for start, form in itertools.product(range(len(tokens)), term.all_forms):
        end = start + len(form)
        if tokens[start:end] != form or (term.is_word and tokens[end : end + 1] and tokens[end] in classes.continuing):
            continue
        is_after_punctuation = start > 0 and tokens[start - 1] in classes.punctuation
        if (
            form in term.forms
            or (form in term.at_start and start == 0)
            or (form in term.after_punctuation and is_after_punctuation)
        ):
            return True
    return False


def test_the_automaton_accepts_exactly_the_targets_that_contain_a_form_of_each_term() -> None:
    rng = random.Random(7)
    checked = {True: 0, False: 0}
    for _ in range(300):
        forms = [tuple(rng.choices(range(3, V), k=rng.randint(1, 3))) for _ in range(4)]
        term = RequiredTerm(tuple(forms[:2]), (forms[2],), (forms[3],), is_word=rng.random() < 0.5)
        terms = [term, RequiredTerm((tuple(rng.choices(range(3, V), k=2)),), is_word=rng.random() < 0.5)]
        automata = [TermAutomaton(term, CLASSES) for term in terms]
        for _ in range(20):
            tokens = tuple(rng.choices(range(3, V), k=rng.randint(0, 6)))
            expected = all(contains(tokens, term) for term in terms)
            accepts = all(automaton.accepts(automaton.run(tokens)) for automaton in automata)
            assert accepts == expected, (terms, tokens)
            checked[expected] += 1
    assert min(checked.values()) > 500


@pytest.mark.parametrize("seed", range(3))
def test_search_under_terms_equals_exhaustive_search_under_terms(seed: int) -> None:
    for sentence, hypotheses in enumerate(search(RequiredTerms(TERMS, CLASSES), seed=seed, top_beams=3)):
        allowed = best_allowed(
            sentence,
            lambda tokens, sentence=sentence: all(contains(tokens, term) for term in TERMS[sentence]),  # type: ignore[misc]
            seed,
        )
        assert [hypothesis.tokens for hypothesis in hypotheses] == [tokens for _, _, tokens in allowed[:3]]
        assert [hypothesis.score for hypothesis in hypotheses] == pytest.approx([score for score, _, _ in allowed[:3]])


@pytest.mark.parametrize("beam_size", [1, 2, 5])
def test_a_narrow_beam_finds_terms_and_leaves_the_other_sentences_alone(beam_size: int) -> None:
    for seed in range(8):
        free = search(None, beam_size, seed)
        for sentence, (best, *_) in enumerate(search(RequiredTerms(TERMS, CLASSES), beam_size, seed)):
            if best.finished:
                assert all(contains(best.tokens, term) for term in TERMS[sentence])
            if not TERMS[sentence] and beam_size > 1:
                assert best.tokens == free[sentence][0].tokens


def test_progress_of_a_continuation_is_that_of_the_longer_prefix() -> None:
    processor = LogitsProcessorList([RequiredTerms(TERMS, CLASSES), NoRepeatNGram(3)])
    tokens = torch.tensor([[3, 5], [5, 4], [3, 3], [4, 3]])
    sentences, ids = torch.arange(SENTENCES), torch.tensor([[2, 3, 4, 5]] * SENTENCES)
    progress = processor.next_progress(PrefixTokens(tokens, sentences), ids)
    automata = [[TermAutomaton(term, CLASSES) for term in terms] for terms in TERMS]
    assert progress is not None
    assert progress.tolist() == [
        [sum(automaton.progress(automaton.run([*prefix, token])) for automaton in sentence) for token in row]
        for sentence, prefix, row in zip(automata, tokens.tolist(), ids.tolist(), strict=True)
    ]


def forced(terms: list[RequiredTerm], prefix: list[int]) -> list[int]:
    """Return the tokens that the terms force after a prefix, by the automata."""
    automata = [TermAutomaton(term, CLASSES) for term in terms]
    tokens = dict.fromkeys(token for automaton in automata for token in automaton.next_tokens(automaton.run(prefix)))
    return list(tokens)[:MAX_FORCED]


def test_tables_agree_with_automata_however_rows_move_from_step_to_step() -> None:
    rng = random.Random(3)
    for _ in range(30):
        terms = [
            [
                RequiredTerm(
                    tuple(tuple(rng.choices(range(3, 40), k=rng.randint(1, 3))) for _ in range(rng.randint(1, 9))),
                    ((3, 4),) * rng.randint(0, 1),
                    ((5, 3),) * rng.randint(0, 1),
                    is_word=rng.random() < 0.5,
                )
                for _ in range(rng.randint(0, 3))
            ]
            for _ in range(3)
        ]
        processor = RequiredTerms(terms, CLASSES)
        tokens, sentence = torch.zeros(3, 0, dtype=torch.long), torch.arange(3)
        parents = None
        for _ in range(6):
            prefixes = PrefixTokens(tokens, sentence, parents)
            scores = processor(torch.zeros(len(tokens), 40), prefixes)
            table = processor.forced_tokens(prefixes)
            for row, (prefix, number) in enumerate(zip(tokens.tolist(), sentence.tolist(), strict=True)):
                expected = forced(terms[number], prefix)
                assert table is None or [token for token in table[row].tolist() if token >= 0] == expected
                assert expected == [] or table is not None
                automata = [TermAutomaton(term, CLASSES) for term in terms[number]]
                accepts = all(automaton.accepts(automaton.run(prefix)) for automaton in automata)
                assert scores[row].isfinite().tolist() == [accepts or token != EOS for token in range(40)]
            chosen = torch.tensor(rng.choices(range(len(tokens)), k=6))
            parents = chosen if rng.random() < 0.8 else chosen.flip(0)  # wrong ones are recognized
            likely = [9 * forced(terms[sentence[row]], tokens[row].tolist()) for row in chosen.tolist()]
            drawn = torch.tensor([[rng.choice([*range(3, 40), *row_tokens])] for row_tokens in likely])
            tokens, sentence = torch.cat((tokens[chosen], drawn), 1), sentence[chosen]


def test_a_step_reads_one_token_of_each_prefix(monkeypatch: pytest.MonkeyPatch) -> None:
    transitions: list[int] = []
    advance = TermAutomaton.advance

    def note(automaton: TermAutomaton, state: TermState, token: int, kind: int) -> TermState:
        transitions.append(token)
        return advance(automaton, state, token, kind)

    monkeypatch.setattr(TermAutomaton, "advance", note)
    search(RequiredTerms(TERMS, CLASSES), beam_size=5, top_beams=5)
    terms = sum(map(len, TERMS))
    assert len(transitions) <= terms * 40  # each transition once, however often the rows of the beam make it


def test_forbidden_phrases_that_follow_tokens() -> None:
    processor = ForbiddenPhrases([[(3,), (4, 5), (3, 4, 5, 2)], []])
    tokens = torch.tensor([[3, 4, 5], [5, 3, 4], [3, 3, 4]])
    scores = processor(torch.zeros(3, V), PrefixTokens(tokens, torch.tensor([0, 0, 1])))
    assert [row.isinf().nonzero().flatten().tolist() for row in scores] == [[2, 3], [3, 5], []]
