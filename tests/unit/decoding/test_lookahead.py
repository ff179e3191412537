from __future__ import annotations

import math

import pytest
import torch
from tests.doubles import Prefix, Script, ScriptedDecoder, random_script, scripted_memory, table_script

from regard.decoding.greedy import greedy_search
from regard.decoding.hypothesis import Hypothesis
from regard.decoding.length_penalty import gnmt, no_penalty
from regard.decoding.lookahead import lookahead_search
from regard.errors import DecodingError
from regard.special_tokens import BOS, EOS

A, B, V = 3, 4, 6
LIMITS = [6, 1, 4, 7, 2, 5, 3, 6]


def search(
    script: Script, limits: list[int], depth: int, width: int, rows: list[int] | None = None
) -> list[Hypothesis]:
    rows = list(range(len(limits))) if rows is None else rows
    memory = scripted_memory([V + row % 3 for row in range(max(rows) + 1)]).select(torch.tensor(rows))
    return lookahead_search(
        ScriptedDecoder(script, V), memory, limits, depth=depth, width=width, penalty=gnmt(0.6), with_attention=True
    )


def next_tokens(script: Script, sentence: int, prefix: Prefix, width: int) -> list[tuple[float, int]]:
    row = torch.tensor(script(sentence, prefix), dtype=torch.float64).log_softmax(0).tolist()
    return sorted(((row[token], token) for token in range(EOS, V)), reverse=True)[:width]


def error_ahead(script: Script, sentence: int, prefix: Prefix, limit: int, depth: int, width: int) -> float:
    """Return the smallest negative log-probability of at most `depth` further tokens."""
    if depth == 0 or len(prefix) == limit or prefix[-1:] == (EOS,):
        return 0.0
    return min(
        -value + error_ahead(script, sentence, (*prefix, token), limit, depth - 1, width)
        for value, token in next_tokens(script, sentence, prefix, width)
    )


def naive(script: Script, sentence: int, limit: int, depth: int, width: int) -> tuple[Prefix, float]:
    prefix: Prefix = ()
    total = 0.0
    while len(prefix) < limit and prefix[-1:] != (EOS,):
        _, value, token = min(
            (-value + error_ahead(script, sentence, (*prefix, token), limit, depth - 1, width), value, token)
            for value, token in next_tokens(script, sentence, prefix, width)
        )
        prefix, total = (*prefix, token), total + value
    return prefix, total


def with_eos(hypothesis: Hypothesis) -> Prefix:
    return (*hypothesis.tokens, EOS) if hypothesis.finished else hypothesis.tokens


def test_finds_what_greedy_search_misses() -> None:
    table = {
        (): {A: 0.6, B: 0.4},
        (A,): {A: 0.4, B: 0.3, EOS: 0.3},
        (B,): {EOS: 1.0},
        (A, A): {EOS: 1.0},
        (A, B): {EOS: 1.0},
    }
    (shallow,), (deep,) = (search(table_script(table, V), [5], depth, 2) for depth in (1, 2))
    assert shallow.tokens == (A, A)
    assert deep.tokens == (B,)
    assert deep.finished
    assert deep.log_probability == pytest.approx(math.log(0.4))
    assert deep.score == pytest.approx(math.log(0.4) / (7 / 6) ** 0.6)


@pytest.mark.parametrize("depth", [1, 2, 3, 4])
@pytest.mark.parametrize("width", [1, 2, 3, 9])
def test_it_equals_the_recursion(depth: int, width: int) -> None:
    for seed in range(4):
        script = random_script(seed, V)
        for sentence, hypothesis in enumerate(search(script, LIMITS, depth, width)):
            tokens, total = naive(script, sentence, LIMITS[sentence], depth, width)
            assert with_eos(hypothesis) == tokens
            assert hypothesis.log_probability == pytest.approx(total)


@pytest.mark.parametrize("width", [1, 2, 4])
def test_a_depth_of_one_equals_greedy_search(width: int) -> None:
    script = random_script(11, V)
    memory = scripted_memory([V + row % 3 for row in range(len(LIMITS))])
    greedy = greedy_search(ScriptedDecoder(script, V), memory, LIMITS, penalty=gnmt(0.6), with_attention=True)
    for expected, hypothesis in zip(greedy, search(script, LIMITS, 1, width), strict=True):
        assert (expected.tokens, expected.finished, expected.score) == (
            hypothesis.tokens,
            hypothesis.finished,
            hypothesis.score,
        )
        torch.testing.assert_close(expected.attention, hypothesis.attention)


def test_a_width_of_one_equals_greedy_search_at_any_depth() -> None:
    script = random_script(12, V)
    assert [with_eos(hypothesis) for hypothesis in search(script, LIMITS, 4, 1)] == [
        with_eos(hypothesis) for hypothesis in search(script, LIMITS, 1, 1)
    ]


@pytest.mark.parametrize("depth", [5, 8])
def test_the_full_depth_and_width_find_the_best_hypothesis(depth: int) -> None:
    limit, improved = 5, 0
    for seed in range(5):
        script = random_script(seed, V)
        complete: list[tuple[float, Prefix]] = []

        def visit(prefix: Prefix, total: float, script: Script, complete: list[tuple[float, Prefix]]) -> None:
            for value, token in next_tokens(script, 0, prefix, V):
                longer = (*prefix, token)
                if token == EOS or len(longer) == limit:
                    complete.append((total + value, longer))
                else:
                    visit(longer, total + value, script, complete)

        visit((), 0.0, script, complete)
        (hypothesis,) = search(script, [limit], depth, V)
        best, tokens = max(complete)
        assert with_eos(hypothesis) == tokens
        assert hypothesis.log_probability == pytest.approx(best)
        improved += with_eos(search(script, [limit], 1, V)[0]) != tokens
    assert improved  # greedy search misses it at least once


def test_the_result_of_a_sentence_does_not_depend_on_its_batch() -> None:
    script, order = random_script(7, V), [6, 0, 3, 7, 1, 5, 2, 4]
    together = search(script, LIMITS, 3, 2)
    shuffled = search(script, [LIMITS[row] for row in order], 3, 2, order)
    for row, expected in enumerate(together):
        for hypothesis in (shuffled[order.index(row)], search(script, [LIMITS[row]], 3, 2, [row])[0]):
            assert with_eos(expected) == with_eos(hypothesis)
            assert expected.score == pytest.approx(hypothesis.score, rel=1e-12)
            torch.testing.assert_close(expected.attention, hypothesis.attention)


def test_attention_is_that_of_the_chosen_tokens() -> None:
    for row, hypothesis in enumerate(search(random_script(3, V), LIMITS, 2, 3)):
        assert hypothesis.attention is not None
        fed = (BOS, *with_eos(hypothesis)[:-1])
        assert hypothesis.attention.shape == (len(fed), V + row % 3)
        assert tuple(hypothesis.attention.argmax(1).tolist()) == fed


def test_there_is_no_lookahead_after_the_limit_or_for_finished_sentences() -> None:
    def script(sentence: int, prefix: Prefix) -> list[float]:
        return [-99.0, -99.0, 0.0 if len(prefix) >= sentence else -30.0, -1.0, -2.0, -99.0]

    decoder = ScriptedDecoder(script, V)
    lookahead_search(decoder, scripted_memory([1] * 3), [1, 2, 3], depth=3, width=2, penalty=no_penalty)
    assert decoder.rows == [3, 6, 12, 2, 4, 1]


@pytest.mark.parametrize(("depth", "width", "limit"), [(0, 2, 3), (2, 0, 3), (-1, -1, 3), (2, 2, 0)])
def test_invalid_arguments_are_rejected(depth: int, width: int, limit: int) -> None:
    with pytest.raises(DecodingError, match=r"width|limit"):
        search(random_script(1, V), [limit], depth, width)


def test_nan_is_reported_with_its_step() -> None:
    with pytest.raises(DecodingError, match="step 3"):
        search(lambda _, prefix: [math.nan if len(prefix) == 2 else 0.0] * 3 + [1.0, 2.0, 3.0], [9], 2, 2)
