"""Laws of the shortlist for every decoder: search is the same, restricted to the shortlist of each sentence."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from tests.laws.conftest import Build, tiny

from regard.config.schema import SearchConfig
from regard.contract import Seq2Seq
from regard.decoding.ensemble import ensemble
from regard.decoding.hypothesis import Hypothesis
from regard.decoding.shortlist import Shortlist
from regard.decoding.strategies import SearchInput, search
from regard.special_tokens import BOS, EOS, PAD

VOCABULARY = 14
SENTENCES = [
    SearchInput([4, 5], seed=1),
    SearchInput([8, 7, 3, 3, 6], seed=2),
    SearchInput([], seed=3),
    SearchInput([6, 4], seed=4),
]
BEAM = {"beam_size": 3}
STRATEGIES: list[dict[str, Any]] = [
    {"beam_size": 1},
    {"beam_size": 4, "no_repeat": 1},
    {"strategy": "diverse", "beam_size": 4, "groups": 2},
    {"strategy": "lookahead", "lookahead_depth": 2, "lookahead_width": 3},
    {"strategy": "exact", "beam_size": 2, "exact_steps": 50},
    {"strategy": "mbr", "candidates": "beam", "beam_size": 3},
    {"strategy": "sample", "temperature": 2.0, "top_k": 5},
]
FULL = Shortlist(torch.zeros(9, 1, dtype=torch.int32), torch.arange(VOCABULARY, dtype=torch.int32))
SHORT = Shortlist(
    torch.tensor([[PAD, PAD], *([4 + number, 9 + number % 5] for number in range(8))], dtype=torch.int32),
    torch.tensor([13], dtype=torch.int32),
)


def allowed_tokens(sentence: SearchInput) -> set[int]:
    """Return the tokens that SHORT allows for a sentence."""
    return {0, 1, 2, 3, 13, *SHORT.candidates[list(sentence.source)].flatten().tolist()}


def find(
    model: Seq2Seq, sentences: list[SearchInput], shortlist: Shortlist | None, options: dict[str, Any]
) -> list[list[Hypothesis]]:
    config = SearchConfig(**options)
    return search(model, sentences, config, top_beams=1, with_attention=True, shortlist=shortlist)


def assert_same(actual: list[Hypothesis], expected: list[Hypothesis]) -> None:
    assert [(a.tokens, a.finished) for a in actual] == [(e.tokens, e.finished) for e in expected]
    for a, e in zip(actual, expected, strict=True):
        assert a.log_probability == pytest.approx(e.log_probability, rel=1e-9)
        torch.testing.assert_close(a.attention, e.attention)


def test_a_shortlist_of_the_full_vocabulary_changes_nothing(build: Build) -> None:
    check_full_shortlist(build(VOCABULARY), BEAM)


def test_a_sentence_is_restricted_to_its_shortlist_in_any_batch(build: Build) -> None:
    check_short_shortlist(build(VOCABULARY), BEAM)


@pytest.mark.parametrize("options", STRATEGIES, ids=str)
@pytest.mark.parametrize("case", ["luong2015/general", "modern"])
def test_every_strategy_respects_the_shortlist(case: str, options: dict[str, Any]) -> None:
    model = tiny(case, VOCABULARY)
    check_full_shortlist(model, options)
    check_short_shortlist(model, options)


def check_full_shortlist(model: Seq2Seq, options: dict[str, Any]) -> None:
    restricted = find(model, SENTENCES, FULL, options)
    for actual, expected in zip(restricted, find(model, SENTENCES, None, options), strict=True):
        assert_same(actual, expected)


def check_short_shortlist(model: Seq2Seq, options: dict[str, Any]) -> None:
    together = find(model, SENTENCES, SHORT, options)
    for sentence, hypotheses in zip(SENTENCES, together, strict=True):
        assert {token for hypothesis in hypotheses for token in hypothesis.tokens} <= allowed_tokens(sentence)
        assert_same(find(model, [sentence], SHORT, options)[0], hypotheses)
    pair = [SENTENCES[2], SENTENCES[1]]
    for actual, expected in zip(find(model, pair, SHORT, options), (together[2], together[1]), strict=True):
        assert_same(actual, expected)
    unrestricted = find(model, SENTENCES, None, options)
    assert [best.tokens for best, *_ in together] != [best.tokens for best, *_ in unrestricted]


def test_log_probabilities_are_normalized_over_the_shortlist(build: Build) -> None:
    model = build(VOCABULARY)
    for sentence, (best,) in zip(SENTENCES, find(model, SENTENCES, SHORT, BEAM), strict=True):
        targets = [*best.tokens, *([EOS] if best.finished else [])]
        logits = model(torch.tensor([[*sentence.source, EOS]]), torch.tensor([[BOS, *targets[:-1]]]))[0]
        tokens = sorted(allowed_tokens(sentence))
        scores = logits[:, tokens].log_softmax(-1)
        total = sum(float(row[tokens.index(token)]) for row, token in zip(scores, targets, strict=True))
        assert best.log_probability == pytest.approx(total, rel=1e-6)


def test_an_ensemble_of_copies_agrees_with_the_model(build: Build) -> None:
    model = build(VOCABULARY)
    copies = find(ensemble([model, model]), SENTENCES, SHORT, BEAM)
    for actual, expected in zip(copies, find(model, SENTENCES, SHORT, BEAM), strict=True):
        assert_same(actual, expected)
