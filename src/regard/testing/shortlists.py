"""Laws of the shortlist for every decoder: search is the same, restricted to the shortlist of each sentence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from regard.config.schema import SearchConfig
from regard.contract import Seq2Seq
from regard.decoding.ensemble import ensemble
from regard.decoding.hypothesis import Hypothesis
from regard.decoding.shortlist import Shortlist
from regard.decoding.strategies import SearchInput, search
from regard.special_tokens import BOS, EOS, PAD
from regard.testing.assertions import assert_number, assert_same_hypotheses, require, require_lively
from regard.testing.case import Case
from regard.testing.law import law

VOCABULARY = 14  # target tokens
SENTENCES = [
    SearchInput([4, 5], seed=1),
    SearchInput([8, 7, 3, 3, 6], seed=2),
    SearchInput([], seed=3),
    SearchInput([6, 4], seed=4),
]
BEAM = {"beam_size": 3}
FULL = Shortlist(torch.zeros(9, 1, dtype=torch.int32), torch.arange(VOCABULARY, dtype=torch.int32))
SHORT = Shortlist(
    torch.tensor([[PAD, PAD], *([4 + number, 9 + number % 5] for number in range(8))], dtype=torch.int32),
    torch.tensor([13], dtype=torch.int32),
)


def allowed_tokens(sentence: SearchInput) -> set[int]:
    """Return the tokens that SHORT allows for a sentence."""
    return {0, 1, 2, 3, 13, *SHORT.candidates[list(sentence.source)].flatten().tolist()}


def find(
    model: Seq2Seq, sentences: list[SearchInput], shortlist: Shortlist | None, options: Mapping[str, Any]
) -> list[list[Hypothesis]]:
    """Return the best hypotheses of a search with the options of a recipe's [search]."""
    config = SearchConfig(**options)
    return search(model, sentences, config, top_beams=1, with_attention=True, shortlist=shortlist)


@law("a shortlist changes translations although it forbids nothing")
def a_shortlist_of_the_full_vocabulary_changes_nothing(case: Case) -> None:
    """Search over a shortlist of all tokens returns what search without a shortlist returns."""
    check_full_shortlist(case.model(VOCABULARY), BEAM)


@law("a shortlist lets a sentence use the tokens of another one, or does not restrict it")
def a_sentence_is_restricted_to_its_shortlist(case: Case) -> None:
    """Targets consist of tokens of their sentence's shortlist, whichever batch the sentence is in."""
    check_short_shortlist(case.model(VOCABULARY), BEAM)


def check_full_shortlist(model: Seq2Seq, options: Mapping[str, Any]) -> None:
    """Check the law of the full vocabulary for a search.

    Raises:
        AssertionError: The hypotheses differ.
    """
    restricted, expected = (find(model, SENTENCES, shortlist, options) for shortlist in (FULL, None))
    for row, (actual, hypotheses) in enumerate(zip(restricted, expected, strict=True)):
        assert_same_hypotheses(actual, hypotheses, f"searches with and without a full shortlist, sentence {row},")


def check_short_shortlist(model: Seq2Seq, options: Mapping[str, Any]) -> None:
    """Check the law of a sentence's own shortlist for a search.

    Raises:
        AssertionError: A target has a token that its shortlist lacks, or depends on the batch.
        InconclusiveError: The shortlist changes no target.
    """
    together = find(model, SENTENCES, SHORT, options)
    for row, (sentence, hypotheses) in enumerate(zip(SENTENCES, together, strict=True)):
        tokens = {token for hypothesis in hypotheses for token in hypothesis.tokens}
        forbidden = sorted(tokens - allowed_tokens(sentence))
        require(not forbidden, f"targets of sentence {row} have tokens {forbidden}, which its shortlist lacks")
        alone = find(model, [sentence], SHORT, options)[0]
        assert_same_hypotheses(alone, hypotheses, f"searches with a shortlist, sentence {row} alone and in a batch,")
    pair = find(model, [SENTENCES[2], SENTENCES[1]], SHORT, options)
    for row, actual, expected in zip((2, 1), pair, (together[2], together[1]), strict=True):
        assert_same_hypotheses(actual, expected, f"searches with a shortlist, sentence {row} in two batches,")
    unrestricted = find(model, SENTENCES, None, options)
    require_lively(
        [best.tokens for best, *_ in together] != [best.tokens for best, *_ in unrestricted],
        "the shortlist changes no target",
    )


@law("with a shortlist, scores and confidences of translations are wrong")
def log_probabilities_are_normalized_over_the_shortlist(case: Case) -> None:
    """The probabilities of the tokens of a shortlist sum to 1."""
    model = case.model(VOCABULARY)
    beams = find(model, SENTENCES, SHORT, BEAM)
    for row, (sentence, (best,)) in enumerate(zip(SENTENCES, beams, strict=True)):
        targets = [*best.tokens, *([EOS] if best.finished else [])]
        logits = model(torch.tensor([[*sentence.source, EOS]]), torch.tensor([[BOS, *targets[:-1]]]))[0]  # (T, V)
        tokens = sorted(allowed_tokens(sentence))
        scores = logits[:, tokens].log_softmax(-1)
        total = sum(float(scores[step, tokens.index(token)]) for step, token in enumerate(targets))
        names = f"the log-probabilities of {best.tokens} for sentence {row} by search and by teacher forcing"
        assert_number(best.log_probability, total, names)


@law("an ensemble cannot use a shortlist")
def an_ensemble_of_copies_uses_the_shortlist(case: Case) -> None:
    """With a shortlist, an ensemble of two copies finds what the model does."""
    model = case.model(VOCABULARY)
    copies, expected = (find(item, SENTENCES, SHORT, BEAM) for item in (ensemble([model, model]), model))
    for row, (actual, hypotheses) in enumerate(zip(copies, expected, strict=True)):
        assert_same_hypotheses(actual, hypotheses, f"searches with an ensemble and the model, sentence {row},")
