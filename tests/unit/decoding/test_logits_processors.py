"""Compare search with logits processors to brute force: forbidden and required phrases, forced prefixes, n-grams."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import pytest
import torch
from tests.doubles import Prefix, ScriptedDecoder, as_batch, brute_force, random_script, scripted_memory, tiny_model

from regard.decoding.beam import beam_search
from regard.decoding.beam_state import BeamSettings
from regard.decoding.hypothesis import Hypothesis
from regard.decoding.length_penalty import gnmt
from regard.decoding.logits_processors import (
    CoveragePenalty,
    ForbiddenPhrases,
    ForcedPrefix,
    LogitsProcessor,
    LogitsProcessorList,
    NoRepeatNGram,
)
from regard.decoding.required_terms import RequiredTerm, RequiredTerms
from regard.errors import DecodingError

V, LIMIT, SENTENCES = 6, 5, 4
WIDE = 400
PENALTY = gnmt(0.6)


def search(
    processor: LogitsProcessor | None,
    beam_size: int = WIDE,
    seed: int = 5,
    top_beams: int = 1,
    patience: float = 0.0,
) -> list[list[Hypothesis]]:
    decoder = ScriptedDecoder(random_script(seed, V), V)
    memory = scripted_memory([1] * SENTENCES)
    return beam_search(
        decoder,
        memory,
        [LIMIT] * SENTENCES,
        BeamSettings(beam_size=beam_size, penalty=PENALTY, top_beams=top_beams, patience=patience),
        processor=processor,
    )


def best_allowed(sentence: int, keep: Callable[[Prefix], bool], seed: int = 5) -> list[tuple[float, float, Prefix]]:
    script = random_script(seed, V)

    def row(prefix: Prefix) -> list[float]:
        scores: list[float] = torch.tensor(script(sentence, prefix), dtype=torch.float64).log_softmax(0).tolist()
        return scores

    return [hypothesis for hypothesis in brute_force(row, LIMIT, PENALTY) if keep(hypothesis[2])]


def contains(tokens: Prefix, phrase: Prefix) -> bool:
    return any(tokens[start : start + len(phrase)] == phrase for start in range(len(tokens)))


def repeats(tokens: Prefix, n: int) -> bool:
    grams = [tokens[start : start + n] for start in range(len(tokens) - n + 1)]
    return len({*grams}) < len(grams)


def require_phrases(phrases: Sequence[Sequence[Prefix]]) -> RequiredTerms:
    return RequiredTerms([[RequiredTerm((phrase,)) for phrase in sentence] for sentence in phrases])


FORBIDDEN: list[list[Prefix]] = [[(3,)], [(4, 5)], [], [(3, 3), (5,)]]
REQUIRED: list[list[Prefix]] = [[(3, 4)], [(5,), (4,)], [], [(3, 3)]]
PREFIXES: list[Prefix] = [(5,), (), (4, 4), (3, 5, 4)]
CASES: dict[str, tuple[LogitsProcessor, Callable[[int, Prefix], bool]]] = {
    "nothing": (LogitsProcessor(), lambda sentence, tokens: True),
    "forbid": (
        ForbiddenPhrases(FORBIDDEN),
        lambda sentence, tokens: not any(contains(tokens, phrase) for phrase in FORBIDDEN[sentence]),
    ),
    "require": (
        require_phrases(REQUIRED),
        lambda sentence, tokens: all(contains(tokens, phrase) for phrase in REQUIRED[sentence]),
    ),
    "prefix": (
        ForcedPrefix(PREFIXES),
        lambda sentence, tokens: tokens[: len(PREFIXES[sentence])] == PREFIXES[sentence],
    ),
    "no_repeat_1": (NoRepeatNGram(1), lambda sentence, tokens: not repeats(tokens, 1)),
    "no_repeat_2": (NoRepeatNGram(2), lambda sentence, tokens: not repeats(tokens, 2)),
    "all": (
        LogitsProcessorList(
            [ForbiddenPhrases([[(3, 5)]] * SENTENCES), require_phrases([[(4,)]] * SENTENCES), NoRepeatNGram(2)]
        ),
        lambda sentence, tokens: not contains(tokens, (3, 5)) and contains(tokens, (4,)) and not repeats(tokens, 2),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_wide_beam_finds_the_best_allowed_hypotheses(case: str) -> None:
    processor, keep = CASES[case]
    for sentence, hypotheses in enumerate(search(processor, top_beams=3)):
        expected = best_allowed(sentence, lambda tokens, sentence=sentence: keep(sentence, tokens))[:3]  # type: ignore[misc]
        assert [hypothesis.tokens for hypothesis in hypotheses if hypothesis.finished] == [
            tokens for _, _, tokens in expected
        ]
        for hypothesis, (score, total, _) in zip(hypotheses, expected, strict=False):
            assert hypothesis.log_probability == pytest.approx(total)
            assert hypothesis.score == pytest.approx(score)


@pytest.mark.parametrize("beam_size", [1, 2, 3, 5])
@pytest.mark.parametrize("seed", range(6))
def test_a_narrow_beam_keeps_the_required_phrases(beam_size: int, seed: int) -> None:
    for sentence, (best, *_) in enumerate(search(require_phrases(REQUIRED), beam_size, seed)):
        assert all(contains(best.tokens, phrase) for phrase in REQUIRED[sentence])


def test_constraints_do_not_affect_the_other_sentences_of_a_batch() -> None:
    free = search(None, beam_size=4)
    for processor, first_tokens in (
        (ForbiddenPhrases([[], [(2,), (3,)], [], []]), {4, 5}),
        (ForcedPrefix([(), (4,), (), ()]), {4}),
    ):
        constrained = search(processor, beam_size=4)
        assert [hypothesis.tokens for hypothesis in constrained[0] + constrained[2] + constrained[3]] == [
            hypothesis.tokens for hypothesis in free[0] + free[2] + free[3]
        ]
        assert constrained[1] != free[1]
        assert constrained[1][0].tokens[0] in first_tokens


def test_impossible_constraints_give_an_unfinished_hypothesis_for_their_sentence_alone() -> None:
    all_tokens = [(token,) for token in range(2, V)]
    results = search(ForbiddenPhrases([[], all_tokens, [], []]), beam_size=3)
    assert [hypothesis.tokens for hypothesis in results[1]] == [()]
    assert results[1][0].log_probability == -math.inf
    assert not results[1][0].finished
    assert all(results[sentence][0].finished for sentence in (0, 2, 3))


def test_no_duplicates_among_hypotheses() -> None:
    for hypotheses in search(require_phrases(REQUIRED), beam_size=5, top_beams=5):
        tokens = [(hypothesis.tokens, hypothesis.finished) for hypothesis in hypotheses]
        assert len({*tokens}) == len(tokens)


def test_the_coverage_penalty_follows_its_equation() -> None:
    model, sources = tiny_model(), as_batch([[3, 4, 5, 2], [6, 2], [8, 7, 5, 4, 3, 2]])
    lengths, beta = [4, 2, 6], 0.3
    results = beam_search(
        model.decoder,
        model.encode(sources),
        [8] * 3,
        BeamSettings(beam_size=6, penalty=PENALTY, top_beams=6),
        processor=CoveragePenalty(beta),
        with_attention=True,
    )
    checked = 0
    for length, hypotheses in zip(lengths, results, strict=True):
        scores = [hypothesis.score for hypothesis in hypotheses if hypothesis.finished]
        assert scores == sorted(scores, reverse=True)
        for hypothesis in hypotheses:
            if not hypothesis.finished:
                continue
            assert hypothesis.attention is not None
            covered = sum(math.log(min(float(hypothesis.attention[:, place].sum()), 1.0)) for place in range(length))
            divisor = ((5 + len(hypothesis.tokens) + 1) / 6) ** 0.6
            assert hypothesis.score == pytest.approx(hypothesis.log_probability / divisor + beta * covered)
            checked += 1
    assert checked >= 6


def test_nan_is_an_error_with_a_logits_processor() -> None:
    decoder = ScriptedDecoder(lambda sentence, prefix: [math.nan] * V, V)
    with pytest.raises(DecodingError, match="step 1"):
        beam_search(
            decoder, scripted_memory([1]), [3], BeamSettings(beam_size=2, penalty=PENALTY), processor=NoRepeatNGram(2)
        )


@pytest.mark.parametrize("patience", [0.0, 0.5, 1.0])
def test_constraints_of_other_sentences_do_not_change_a_sentence_without_any(patience: float) -> None:
    for seed in range(40):
        expected = search(None, 2, seed, top_beams=2, patience=patience)
        results = search(require_phrases(REQUIRED), 2, seed, top_beams=2, patience=patience)
        assert [best.tokens for best in results[2]] == [best.tokens for best in expected[2]]
