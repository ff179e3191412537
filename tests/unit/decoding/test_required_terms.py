"""Required terms: one of several forms, where words begin and end. Compared to brute force."""

from __future__ import annotations

import itertools
import random

import pytest
import torch
from tests.doubles import Prefix
from tests.unit.decoding.test_logits_processors import SENTENCES, V, best_allowed, search

from regard.decoding.logits_processors import LogitsProcessorList, NoRepeatNGram, PrefixTokens
from regard.decoding.required_terms import RequiredTerm, RequiredTerms, TermAutomaton, TokenClasses

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
        automaton = TermAutomaton(terms, CLASSES)
        for _ in range(20):
            tokens = tuple(rng.choices(range(3, V), k=rng.randint(0, 6)))
            expected = all(contains(tokens, term) for term in terms)
            assert automaton.accepts(automaton.run(tokens)) == expected, (terms, tokens)
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
    automata = [TermAutomaton(terms, CLASSES) for terms in TERMS]
    assert progress is not None
    assert progress.tolist() == [
        [automaton.progress(automaton.run([*prefix, token])) for token in row]
        for automaton, prefix, row in zip(automata, tokens.tolist(), ids.tolist(), strict=True)
    ]
