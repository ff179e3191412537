"""Laws of the shortlist over every decoder: it is the same search over fewer tokens, each sentence's own."""

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
EVERY = Shortlist(torch.zeros(9, 1, dtype=torch.int32), torch.arange(VOCABULARY, dtype=torch.int32))
SOME = Shortlist(
    torch.tensor([[PAD, PAD], *([4 + number, 9 + number % 5] for number in range(8))], dtype=torch.int32),
    torch.tensor([13], dtype=torch.int32),
)


def own(sentence: SearchInput) -> set[int]:
    """What SOME lets a sentence have."""
    return {0, 1, 2, 3, 13, *SOME.candidates[list(sentence.source)].flatten().tolist()}


def find(
    model: Seq2Seq, sentences: list[SearchInput], shortlist: Shortlist | None, options: dict[str, Any]
) -> list[list[Hypothesis]]:
    config = SearchConfig(**options)
    return search(model, sentences, config, top_beams=1, with_attention=True, shortlist=shortlist)


def assert_same(some: list[Hypothesis], others: list[Hypothesis]) -> None:
    assert [(one.tokens, one.finished) for one in some] == [(one.tokens, one.finished) for one in others]
    for one, other in zip(some, others, strict=True):
        assert one.log_probability == pytest.approx(other.log_probability, rel=1e-9)
        torch.testing.assert_close(one.attention, other.attention)


def test_with_all_of_the_vocabulary_nothing_changes(build: Build) -> None:
    nothing_changes(build(VOCABULARY), BEAM)


def test_a_sentence_has_its_own_tokens_whatever_its_company(build: Build) -> None:
    own_tokens(build(VOCABULARY), BEAM)


@pytest.mark.parametrize("options", STRATEGIES, ids=str)
@pytest.mark.parametrize("case", ["luong2015/general", "modern"])
def test_so_it_is_in_every_search(case: str, options: dict[str, Any]) -> None:
    model = tiny(case, VOCABULARY)
    nothing_changes(model, options)
    own_tokens(model, options)


def nothing_changes(model: Seq2Seq, options: dict[str, Any]) -> None:
    found = find(model, SENTENCES, EVERY, options)
    for one, other in zip(found, find(model, SENTENCES, None, options), strict=True):
        assert_same(one, other)


def own_tokens(model: Seq2Seq, options: dict[str, Any]) -> None:
    together = find(model, SENTENCES, SOME, options)
    for sentence, found in zip(SENTENCES, together, strict=True):
        assert {token for one in found for token in one.tokens} <= own(sentence)
        assert_same(find(model, [sentence], SOME, options)[0], found)
    pair = [SENTENCES[2], SENTENCES[1]]
    for one, other in zip(find(model, pair, SOME, options), (together[2], together[1]), strict=True):
        assert_same(one, other)
    assert [one[0].tokens for one in together] != [one[0].tokens for one in find(model, SENTENCES, None, options)]


def test_its_log_probability_is_that_among_the_sentences_own_tokens(build: Build) -> None:
    model = build(VOCABULARY)
    for sentence, (one,) in zip(SENTENCES, find(model, SENTENCES, SOME, BEAM), strict=True):
        wanted = [*one.tokens, *([EOS] if one.finished else [])]
        logits = model(torch.tensor([[*sentence.source, EOS]]), torch.tensor([[BOS, *wanted[:-1]]]))[0]
        tokens = sorted(own(sentence))
        scores = logits[:, tokens].log_softmax(-1)
        total = sum(float(row[tokens.index(token)]) for row, token in zip(scores, wanted, strict=True))
        assert one.log_probability == pytest.approx(total, rel=1e-6)


def test_an_ensemble_of_copies_is_the_model(build: Build) -> None:
    model = build(VOCABULARY)
    copies = find(ensemble([model, model]), SENTENCES, SOME, BEAM)
    for one, other in zip(copies, find(model, SENTENCES, SOME, BEAM), strict=True):
        assert_same(one, other)
