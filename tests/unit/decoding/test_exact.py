from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch
from tests.doubles import Prefix, Script, ScriptedDecoder, brute_force, random_script, scripted_memory, table_script

from regard.decoding.beam import beam_search
from regard.decoding.exact import exact_search
from regard.decoding.greedy import greedy_search
from regard.decoding.hypothesis import Hypothesis
from regard.decoding.length_penalty import LengthPenalty, forbid_empty, gnmt, no_penalty
from regard.errors import DecodingError
from regard.special_tokens import BOS, EOS

A, B, V = 3, 4, 5
LIMITS = [5, 1, 3, 2, 4]
NOTHING = Hypothesis((), -math.inf, -math.inf, finished=False)
MANY = 10**6


def search(
    script: Script,
    limits: Sequence[int],
    found: Sequence[Hypothesis] | None = None,
    *,
    penalty: LengthPenalty = no_penalty,
    max_steps: int = MANY,
) -> tuple[list[Hypothesis], ScriptedDecoder]:
    decoder = ScriptedDecoder(script, V)
    exact = exact_search(
        decoder,
        scripted_memory([1] * len(limits)),
        limits,
        penalty=penalty,
        initial=[NOTHING] * len(limits) if found is None else found,
        max_steps=max_steps,
    )
    return exact, decoder


def beams(script: Script, limits: Sequence[int], size: int, penalty: LengthPenalty) -> list[Hypothesis]:
    memory = scripted_memory([1] * len(limits))
    found = beam_search(ScriptedDecoder(script, V), memory, limits, beam_size=size, penalty=penalty)
    return [best for best, *_ in found]


def best_of_all(script: Script, sentence: int, limit: int, penalty: LengthPenalty) -> tuple[float, float, Prefix]:
    def row(prefix: Prefix) -> list[float]:
        after: list[float] = torch.tensor(script(sentence, prefix), dtype=torch.float64).log_softmax(0).tolist()
        return after

    return brute_force(row, limit, penalty)[0]


def same(one: Hypothesis, other: Hypothesis) -> bool:
    return (one.tokens, one.finished) == (other.tokens, other.finished)


def late(seed: int) -> Script:
    """A random script under which EOS is improbable, so that much has to be searched."""
    script = random_script(seed, V, scale=1.0)

    def later(sentence: int, prefix: Prefix) -> list[float]:
        row = [*script(sentence, prefix)]
        row[EOS] -= 4
        return row

    return later


@pytest.mark.parametrize("alpha", [0.0, 0.6, 1.0, 2.5])
@pytest.mark.parametrize("size", [0, 1, 3])
@pytest.mark.parametrize("rows", [1, 2, 16])
def test_it_is_brute_force(alpha: float, size: int, rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("regard.decoding.exact.ROWS", rows)
    penalty = gnmt(alpha)
    for seed in range(4):
        script = random_script(seed, V)
        given = beams(script, LIMITS, size, penalty) if size else None
        exact, _ = search(script, LIMITS, given, penalty=penalty)
        for sentence, (one, limit) in enumerate(zip(exact, LIMITS, strict=True)):
            score, total, tokens = best_of_all(script, sentence, limit, penalty)
            assert one.proved
            assert (one.tokens, one.finished) == (tokens, True)
            assert one.score == pytest.approx(score)
            assert one.log_probability == pytest.approx(total)


@pytest.mark.parametrize("alpha", [0.0, 1.0])
def test_it_equals_a_wide_beam_and_finds_what_a_narrow_one_misses(alpha: float) -> None:
    script, limits, penalty = random_script(21, V, scale=1.5), [5] * 12, gnmt(alpha)
    narrow, wide = (beams(script, limits, size, penalty) for size in (1, 81))
    exact, _ = search(script, limits, narrow, penalty=penalty)
    assert [one.tokens for one in exact] == [one.tokens for one in wide]
    assert [one.tokens for one in exact] != [one.tokens for one in narrow]


@pytest.mark.parametrize("max_steps", [1, 2, 5, 17])
def test_it_is_never_worse_than_what_it_is_given_and_says_when_it_was_cut(max_steps: int) -> None:
    cut = better = 0
    for seed in range(8):
        script, limits = late(seed), [6, 2, 6]
        given = beams(script, limits, 1, no_penalty)
        exact, decoder = search(script, limits, given, max_steps=max_steps)
        assert sum(decoder.rows) <= max_steps * len(limits)
        for sentence, (one, first, limit) in enumerate(zip(exact, given, limits, strict=True)):
            assert same(one, first) or one.score > first.score or not first.finished
            if one.proved:
                assert one.tokens == best_of_all(script, sentence, limit, no_penalty)[2]
            cut += not one.proved
            better += not same(one, first)
    assert cut
    assert better or max_steps < 5


def test_with_just_enough_steps_it_is_proved() -> None:
    script, limits = late(3), [5]
    _, decoder = search(script, limits)
    needed = sum(decoder.rows)
    assert needed > 10
    (enough,), (short,) = (search(script, limits, max_steps=steps)[0] for steps in (needed, needed - 1))
    assert enough.proved
    assert not short.proved


def test_a_hypothesis_that_is_the_best_stays_with_its_attention() -> None:
    script = random_script(5, V)
    memory = scripted_memory([V])
    ((best,),) = beam_search(
        ScriptedDecoder(script, V), memory, [5], beam_size=81, penalty=gnmt(0.6), with_attention=True
    )
    (exact,), _ = search(script, [5], [best], penalty=gnmt(0.6))
    assert exact == replace(best, proved=True)
    assert exact.attention is best.attention is not None


def test_what_it_finds_has_attention_where_that_is_asked_for() -> None:
    script = table_script({(): {A: 0.4, B: 0.6}, (A,): {EOS: 1.0}, (B,): {B: 0.5, EOS: 0.5}, (B, B): {EOS: 1.0}}, V)
    memory, decoder = scripted_memory([5, 4]), ScriptedDecoder(script, V)
    given = greedy_search(decoder, memory, [3, 3], penalty=no_penalty, with_attention=True)
    for asked in (False, True):
        found = exact_search(
            decoder, memory, [3, 3], penalty=no_penalty, initial=given, max_steps=MANY, with_attention=asked
        )
        assert [one.tokens for one in found] == [(A,), (A,)] != [one.tokens for one in given]
        if not asked:
            assert [one.attention for one in found] == [None, None]
            continue
        looked = [one.attention for one in found if one.attention is not None]
        assert [part.shape for part in looked] == [(2, 5), (2, 4)]  # BOS and A were fed; the second source is shorter
        assert [part.argmax(1).tolist() for part in looked] == [[BOS, A], [BOS, A]]


def test_a_good_first_hypothesis_saves_steps() -> None:
    script, limits = late(6), [6] * 5
    rows = [
        sum(search(script, limits, given, penalty=gnmt(1.0))[1].rows)
        for given in (None, beams(script, limits, 81, gnmt(1.0)))
    ]
    assert rows[1] < rows[0] < 5 * sum(2**length for length in range(6))


def test_any_finished_hypothesis_is_better_than_an_unfinished_one() -> None:
    script = table_script({(): {A: 0.9, EOS: 0.1}, (A,): {A: 1.0}, (A, A): {A: 1.0}}, V)
    (given,) = greedy_search(ScriptedDecoder(script, V), scripted_memory([1]), [3], penalty=no_penalty)
    assert not given.finished
    (exact,), _ = search(script, [3], [given])
    assert exact.tokens == ()
    assert exact.finished
    assert exact.score == pytest.approx(math.log(0.1))


def test_where_nothing_can_finish_what_was_given_stays() -> None:
    script = table_script({(): {A: 1.0}, (A,): {A: 0.5, B: 0.5}, (A, A): {A: 1.0}, (A, B): {A: 1.0}}, V)
    (given,) = greedy_search(ScriptedDecoder(script, V), scripted_memory([1]), [3], penalty=no_penalty)
    (exact,), _ = search(script, [3], [given])
    assert exact == replace(given, proved=False)  # whether another prefix is better was not looked at


def test_what_cannot_be_searched_is_refused() -> None:
    script = random_script(1, V)
    with pytest.raises(DecodingError, match="1 initial hypotheses for 2"):
        search(script, [3, 3], [NOTHING])
    with pytest.raises(DecodingError, match="exact_steps is 0"):
        search(script, [3], max_steps=0)
    with pytest.raises(DecodingError, match="limit"):
        search(script, [0])
    with pytest.raises(DecodingError, match="step 2"):
        search(lambda _, prefix: [math.nan if prefix else 0.0] * 3 + [1.0, 2.0], [3])


@pytest.mark.parametrize("seed", range(6))
def test_nothing_at_all_is_found_only_where_it_may_be(seed: int) -> None:
    likely = random_script(seed, V)

    def script(sentence: int, prefix: Prefix) -> list[float]:
        logits = list(likely(sentence, prefix))
        logits[EOS] += 6 * (not prefix)
        return logits

    ((silent,), _), ((told,), _) = (
        search(script, [4], penalty=penalty) for penalty in (gnmt(0.6), forbid_empty(gnmt(0.6)))
    )

    def row(prefix: Prefix) -> list[float]:
        after: list[float] = torch.tensor(script(0, prefix), dtype=torch.float64).log_softmax(0).tolist()
        return after

    best, other = brute_force(row, 4, gnmt(0.6))[:2]
    assert best[2] == () == silent.tokens
    assert other[2] == told.tokens
    assert told.score == pytest.approx(other[0])
    assert told.proved


@pytest.mark.parametrize("seed", range(6))
def test_a_limit_of_one_without_the_empty_answer_leaves_the_best_token_and_proves_nothing(seed: int) -> None:
    script, penalty = random_script(seed, V), forbid_empty(gnmt(0.6))
    (exact,), _ = search(script, [1], beams(script, [1], 2, penalty), penalty=penalty)
    row = torch.tensor(script(0, ()), dtype=torch.float64).log_softmax(0)
    total, token = row[EOS + 1 :].max(0)
    assert exact.tokens == (int(token) + EOS + 1,)
    assert exact.score == exact.log_probability == pytest.approx(float(total))
    assert not exact.finished
    assert exact.proved is False
