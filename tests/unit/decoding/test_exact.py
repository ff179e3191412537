from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch
from tests.doubles import Prefix, Script, ScriptedDecoder, brute_force, random_script, scripted_memory, table_script

from regard.decoding.beam import beam_search
from regard.decoding.beam_state import BeamSettings
from regard.decoding.exact import exact_search
from regard.decoding.greedy import greedy_search
from regard.decoding.hypothesis import Hypothesis
from regard.decoding.length_penalty import LengthPenalty, forbid_empty, gnmt, no_penalty
from regard.errors import DecodingError
from regard.special_tokens import BOS, EOS

A, B, V = 3, 4, 5
LIMITS = [5, 1, 3, 2, 4]
UNKNOWN = Hypothesis((), -math.inf, -math.inf, finished=False)
UNLIMITED = 10**6


def search(
    script: Script,
    limits: Sequence[int],
    initial: Sequence[Hypothesis] | None = None,
    *,
    penalty: LengthPenalty = no_penalty,
    max_steps: int = UNLIMITED,
) -> tuple[list[Hypothesis], ScriptedDecoder]:
    decoder = ScriptedDecoder(script, V)
    exact = exact_search(
        decoder,
        scripted_memory([1] * len(limits)),
        limits,
        penalty=penalty,
        initial=[UNKNOWN] * len(limits) if initial is None else initial,
        max_steps=max_steps,
    )
    return exact, decoder


def beams(script: Script, limits: Sequence[int], size: int, penalty: LengthPenalty) -> list[Hypothesis]:
    memory = scripted_memory([1] * len(limits))
    results = beam_search(ScriptedDecoder(script, V), memory, limits, BeamSettings(beam_size=size, penalty=penalty))
    return [best for best, *_ in results]


def best_of_all(script: Script, sentence: int, limit: int, penalty: LengthPenalty) -> tuple[float, float, Prefix]:
    def row(prefix: Prefix) -> list[float]:
        scores: list[float] = torch.tensor(script(sentence, prefix), dtype=torch.float64).log_softmax(0).tolist()
        return scores

    return brute_force(row, limit, penalty)[0]


def is_same(first: Hypothesis, second: Hypothesis) -> bool:
    return (first.tokens, first.finished) == (second.tokens, second.finished)


def script_with_late_eos(seed: int) -> Script:
    """Return a random script with an improbable EOS, which makes the search long."""
    script = random_script(seed, V, scale=1.0)

    def postponed(sentence: int, prefix: Prefix) -> list[float]:
        row = [*script(sentence, prefix)]
        row[EOS] -= 4
        return row

    return postponed


@pytest.mark.parametrize("alpha", [0.0, 0.6, 1.0, 2.5])
@pytest.mark.parametrize("size", [0, 1, 3])
@pytest.mark.parametrize("rows", [1, 2, 16])
def test_it_equals_brute_force(alpha: float, size: int, rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("regard.decoding.exact.ROWS", rows)
    penalty = gnmt(alpha)
    for seed in range(4):
        script = random_script(seed, V)
        initial = beams(script, LIMITS, size, penalty) if size else None
        exact, _ = search(script, LIMITS, initial, penalty=penalty)
        for sentence, (hypothesis, limit) in enumerate(zip(exact, LIMITS, strict=True)):
            score, total, tokens = best_of_all(script, sentence, limit, penalty)
            assert hypothesis.proved
            assert (hypothesis.tokens, hypothesis.finished) == (tokens, True)
            assert hypothesis.score == pytest.approx(score)
            assert hypothesis.log_probability == pytest.approx(total)


@pytest.mark.parametrize("alpha", [0.0, 1.0])
def test_it_equals_a_wide_beam_and_finds_what_a_narrow_one_misses(alpha: float) -> None:
    script, limits, penalty = random_script(21, V, scale=1.5), [5] * 12, gnmt(alpha)
    narrow, wide = (beams(script, limits, size, penalty) for size in (1, 81))
    exact, _ = search(script, limits, narrow, penalty=penalty)
    assert [hypothesis.tokens for hypothesis in exact] == [hypothesis.tokens for hypothesis in wide]
    assert [hypothesis.tokens for hypothesis in exact] != [hypothesis.tokens for hypothesis in narrow]


@pytest.mark.parametrize("max_steps", [1, 2, 5, 17])
def test_it_is_never_worse_than_the_initial_hypothesis_and_reports_when_it_was_cut(max_steps: int) -> None:
    cut = better = 0
    for seed in range(8):
        script, limits = script_with_late_eos(seed), [6, 2, 6]
        initial = beams(script, limits, 1, no_penalty)
        exact, decoder = search(script, limits, initial, max_steps=max_steps)
        assert sum(decoder.rows) <= max_steps * len(limits)
        for sentence, (hypothesis, start, limit) in enumerate(zip(exact, initial, limits, strict=True)):
            assert is_same(hypothesis, start) or hypothesis.score > start.score or not start.finished
            if hypothesis.proved:
                assert hypothesis.tokens == best_of_all(script, sentence, limit, no_penalty)[2]
            cut += not hypothesis.proved
            better += not is_same(hypothesis, start)
    assert cut
    assert better or max_steps < 5


def test_the_result_is_proved_with_just_enough_steps() -> None:
    script, limits = script_with_late_eos(3), [5]
    _, decoder = search(script, limits)
    needed = sum(decoder.rows)
    assert needed > 10
    (enough,), (short,) = (search(script, limits, max_steps=steps)[0] for steps in (needed, needed - 1))
    assert enough.proved
    assert not short.proved


def test_an_initial_hypothesis_that_is_the_best_is_returned_with_its_attention() -> None:
    script = random_script(5, V)
    memory = scripted_memory([V])
    ((best,),) = beam_search(
        ScriptedDecoder(script, V), memory, [5], BeamSettings(beam_size=81, penalty=gnmt(0.6)), with_attention=True
    )
    (exact,), _ = search(script, [5], [best], penalty=gnmt(0.6))
    assert exact == replace(best, proved=True)
    assert exact.attention is best.attention is not None


def test_the_result_has_attention_on_request() -> None:
    script = table_script({(): {A: 0.4, B: 0.6}, (A,): {EOS: 1.0}, (B,): {B: 0.5, EOS: 0.5}, (B, B): {EOS: 1.0}}, V)
    memory, decoder = scripted_memory([5, 4]), ScriptedDecoder(script, V)
    initial = greedy_search(decoder, memory, [3, 3], penalty=no_penalty, with_attention=True)
    for with_attention in (False, True):
        results = exact_search(
            decoder,
            memory,
            [3, 3],
            penalty=no_penalty,
            initial=initial,
            max_steps=UNLIMITED,
            with_attention=with_attention,
        )
        assert [hypothesis.tokens for hypothesis in results] == [(A,), (A,)]
        assert [hypothesis.tokens for hypothesis in initial] != [(A,), (A,)]
        if not with_attention:
            assert [hypothesis.attention for hypothesis in results] == [None, None]
            continue
        maps = [hypothesis.attention for hypothesis in results if hypothesis.attention is not None]
        # The decoder has read BOS and A; the second source is shorter.
        assert [attention.shape for attention in maps] == [(2, 5), (2, 4)]
        assert [attention.argmax(1).tolist() for attention in maps] == [[BOS, A], [BOS, A]]


def test_a_good_initial_hypothesis_saves_steps() -> None:
    script, limits = script_with_late_eos(6), [6] * 5
    rows = [
        sum(search(script, limits, initial, penalty=gnmt(1.0))[1].rows)
        for initial in (None, beams(script, limits, 81, gnmt(1.0)))
    ]
    assert rows[1] < rows[0] < 5 * sum(2**length for length in range(6))


def test_any_finished_hypothesis_is_better_than_an_unfinished_one() -> None:
    script = table_script({(): {A: 0.9, EOS: 0.1}, (A,): {A: 1.0}, (A, A): {A: 1.0}}, V)
    (initial,) = greedy_search(ScriptedDecoder(script, V), scripted_memory([1]), [3], penalty=no_penalty)
    assert not initial.finished
    (exact,), _ = search(script, [3], [initial])
    assert exact.tokens == ()
    assert exact.finished
    assert exact.score == pytest.approx(math.log(0.1))


def test_the_initial_hypothesis_is_returned_if_none_can_finish() -> None:
    script = table_script({(): {A: 1.0}, (A,): {A: 0.5, B: 0.5}, (A, A): {A: 1.0}, (A, B): {A: 1.0}}, V)
    (initial,) = greedy_search(ScriptedDecoder(script, V), scripted_memory([1]), [3], penalty=no_penalty)
    (exact,), _ = search(script, [3], [initial])
    assert exact == replace(initial, proved=False)  # the other prefixes were not compared


def test_invalid_arguments_are_rejected() -> None:
    script = random_script(1, V)
    with pytest.raises(DecodingError, match="1 initial hypotheses for 2"):
        search(script, [3, 3], [UNKNOWN])
    with pytest.raises(DecodingError, match="exact_steps is 0"):
        search(script, [3], max_steps=0)
    with pytest.raises(DecodingError, match="limit"):
        search(script, [0])
    with pytest.raises(DecodingError, match="step 2"):
        search(lambda _, prefix: [math.nan if prefix else 0.0] * 3 + [1.0, 2.0], [3])


@pytest.mark.parametrize("seed", range(6))
def test_the_empty_target_is_found_only_if_it_is_allowed(seed: int) -> None:
    likely = random_script(seed, V)

    def script(sentence: int, prefix: Prefix) -> list[float]:
        logits = list(likely(sentence, prefix))
        logits[EOS] += 6 * (not prefix)
        return logits

    ((empty,), _), ((nonempty,), _) = (
        search(script, [4], penalty=penalty) for penalty in (gnmt(0.6), forbid_empty(gnmt(0.6)))
    )

    def row(prefix: Prefix) -> list[float]:
        scores: list[float] = torch.tensor(script(0, prefix), dtype=torch.float64).log_softmax(0).tolist()
        return scores

    best, second = brute_force(row, 4, gnmt(0.6))[:2]
    assert best[2] == () == empty.tokens
    assert second[2] == nonempty.tokens
    assert nonempty.score == pytest.approx(second[0])
    assert nonempty.proved


@pytest.mark.parametrize("seed", range(6))
def test_a_limit_of_one_without_the_empty_target_gives_the_best_token_unproved(seed: int) -> None:
    script, penalty = random_script(seed, V), forbid_empty(gnmt(0.6))
    (exact,), _ = search(script, [1], beams(script, [1], 2, penalty), penalty=penalty)
    row = torch.tensor(script(0, ()), dtype=torch.float64).log_softmax(0)
    total, token = row[EOS + 1 :].max(0)
    assert exact.tokens == (int(token) + EOS + 1,)
    assert exact.score == exact.log_probability == pytest.approx(float(total))
    assert not exact.finished
    assert exact.proved is False
