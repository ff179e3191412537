"""Guides against brute force: what is forbidden, required or given from the start, in any combination."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from tests.doubles import Prefix, ScriptedDecoder, as_batch, brute_force, random_script, scripted_memory, tiny_model

from regard.decoding.beam import beam_search
from regard.decoding.hypothesis import Hypothesis
from regard.decoding.length_penalty import gnmt
from regard.decoding.logits_processors import (
    CoveragePenalty,
    ForbiddenPhrases,
    ForcedPrefix,
    LogitsProcessor,
    LogitsProcessorList,
    NoRepeatNGram,
    RequiredPhrases,
)
from regard.errors import DecodingError

V, LIMIT, SENTENCES = 6, 5, 4
WIDE = 400
PENALTY = gnmt(0.6)


def search(
    processor: LogitsProcessor | None, beam_size: int = WIDE, seed: int = 5, top_beams: int = 1
) -> list[list[Hypothesis]]:
    decoder = ScriptedDecoder(random_script(seed, V), V)
    memory = scripted_memory([1] * SENTENCES)
    return beam_search(
        decoder,
        memory,
        [LIMIT] * SENTENCES,
        beam_size=beam_size,
        top_beams=top_beams,
        penalty=PENALTY,
        processor=processor,
    )


def allowed(sentence: int, keep: Callable[[Prefix], bool], seed: int = 5) -> list[tuple[float, float, Prefix]]:
    script = random_script(seed, V)

    def row(prefix: Prefix) -> list[float]:
        after: list[float] = torch.tensor(script(sentence, prefix), dtype=torch.float64).log_softmax(0).tolist()
        return after

    return [one for one in brute_force(row, LIMIT, PENALTY) if keep(one[2])]


def has(tokens: Prefix, phrase: Prefix) -> bool:
    return any(tokens[start : start + len(phrase)] == phrase for start in range(len(tokens)))


def repeats(tokens: Prefix, n: int) -> bool:
    grams = [tokens[start : start + n] for start in range(len(tokens) - n + 1)]
    return len({*grams}) < len(grams)


FORBIDDEN: list[list[Prefix]] = [[(3,)], [(4, 5)], [], [(3, 3), (5,)]]
REQUIRED: list[list[Prefix]] = [[(3, 4)], [(5,), (4,)], [], [(3, 3)]]
PREFIXES: list[Prefix] = [(5,), (), (4, 4), (3, 5, 4)]
CASES: dict[str, tuple[LogitsProcessor, Callable[[int, Prefix], bool]]] = {
    "nothing": (LogitsProcessor(), lambda number, tokens: True),
    "forbid": (
        ForbiddenPhrases(FORBIDDEN),
        lambda number, tokens: not any(has(tokens, one) for one in FORBIDDEN[number]),
    ),
    "require": (RequiredPhrases(REQUIRED), lambda number, tokens: all(has(tokens, one) for one in REQUIRED[number])),
    "prefix": (ForcedPrefix(PREFIXES), lambda number, tokens: tokens[: len(PREFIXES[number])] == PREFIXES[number]),
    "no_repeat_1": (NoRepeatNGram(1), lambda number, tokens: not repeats(tokens, 1)),
    "no_repeat_2": (NoRepeatNGram(2), lambda number, tokens: not repeats(tokens, 2)),
    "all": (
        LogitsProcessorList(
            [ForbiddenPhrases([[(3, 5)]] * SENTENCES), RequiredPhrases([[(4,)]] * SENTENCES), NoRepeatNGram(2)]
        ),
        lambda number, tokens: not has(tokens, (3, 5)) and has(tokens, (4,)) and not repeats(tokens, 2),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_wide_beam_finds_the_best_of_what_is_allowed(case: str) -> None:
    processor, keep = CASES[case]
    for number, found in enumerate(search(processor, top_beams=3)):
        expected = allowed(number, lambda tokens, number=number: keep(number, tokens))[:3]  # type: ignore[misc]
        assert [one.tokens for one in found if one.finished] == [tokens for _, _, tokens in expected]
        for one, (score, total, _) in zip(found, expected, strict=False):
            assert one.log_probability == pytest.approx(total)
            assert one.score == pytest.approx(score)


@pytest.mark.parametrize("beam_size", [1, 2, 3, 5])
@pytest.mark.parametrize("seed", range(6))
def test_a_narrow_beam_does_not_lose_what_is_required(beam_size: int, seed: int) -> None:
    for number, (best, *_) in enumerate(search(RequiredPhrases(REQUIRED), beam_size, seed)):
        assert all(has(best.tokens, phrase) for phrase in REQUIRED[number])


def test_nobody_is_moved_by_anothers_constraints() -> None:
    free = search(None, beam_size=4)
    for processor, first in (
        (ForbiddenPhrases([[], [(2,), (3,)], [], []]), {4, 5}),
        (ForcedPrefix([(), (4,), (), ()]), {4}),
    ):
        guided = search(processor, beam_size=4)
        assert [one.tokens for one in guided[0] + guided[2] + guided[3]] == [
            one.tokens for one in free[0] + free[2] + free[3]
        ]
        assert guided[1] != free[1]
        assert guided[1][0].tokens[0] in first


def test_what_is_impossible_is_flagged_and_the_others_are_found() -> None:
    everything = [(token,) for token in range(2, V)]
    found = search(ForbiddenPhrases([[], everything, [], []]), beam_size=3)
    assert [one.tokens for one in found[1]] == [()]
    assert found[1][0].log_probability == -math.inf
    assert not found[1][0].finished
    assert all(found[number][0].finished for number in (0, 2, 3))


def test_no_duplicates_among_hypotheses() -> None:
    for found in search(RequiredPhrases(REQUIRED), beam_size=5, top_beams=5):
        tokens = [(one.tokens, one.finished) for one in found]
        assert len({*tokens}) == len(tokens)


def test_coverage_is_its_equation() -> None:
    model, sources = tiny_model(), as_batch([[3, 4, 5, 2], [6, 2], [8, 7, 5, 4, 3, 2]])
    lengths, beta = [4, 2, 6], 0.3
    found = beam_search(
        model.decoder,
        model.encode(sources),
        [8] * 3,
        beam_size=6,
        top_beams=6,
        penalty=PENALTY,
        processor=CoveragePenalty(beta),
        with_attention=True,
    )
    checked = 0
    for length, hypotheses in zip(lengths, found, strict=True):
        scores = [one.score for one in hypotheses if one.finished]
        assert scores == sorted(scores, reverse=True)
        for one in hypotheses:
            if not one.finished:
                continue
            assert one.attention is not None
            covered = sum(math.log(min(float(one.attention[:, place].sum()), 1.0)) for place in range(length))
            divisor = ((5 + len(one.tokens) + 1) / 6) ** 0.6
            assert one.score == pytest.approx(one.log_probability / divisor + beta * covered)
            checked += 1
    assert checked >= 6


def test_scores_that_are_no_numbers_are_an_error_with_a_guide_too() -> None:
    decoder = ScriptedDecoder(lambda number, prefix: [math.nan] * V, V)
    with pytest.raises(DecodingError, match="step 1"):
        beam_search(decoder, scripted_memory([1]), [3], beam_size=2, penalty=PENALTY, processor=NoRepeatNGram(2))
