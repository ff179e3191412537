from __future__ import annotations

import math

import pytest
import torch
from tests.doubles import (
    Prefix,
    Script,
    ScriptedDecoder,
    brute_force,
    random_script,
    scripted_memory,
    table_script,
)

from regard.decoding.beam import beam_search
from regard.decoding.beam_state import BeamSettings
from regard.decoding.greedy import greedy_search
from regard.decoding.hypothesis import Hypothesis
from regard.decoding.length_penalty import LengthPenalty, forbid_empty, gnmt, no_penalty
from regard.errors import DecodingError
from regard.special_tokens import BOS, EOS

A, B, V = 3, 4, 5


def decode(
    script: Script,
    beam_size: int,
    limit: int,
    *,
    top_beams: int = 1,
    penalty: LengthPenalty = no_penalty,
    patience: float = 0.0,
) -> list[Hypothesis]:
    (hypotheses,) = beam_search(
        ScriptedDecoder(script, V),
        scripted_memory([1]),
        [limit],
        BeamSettings(beam_size=beam_size, penalty=penalty, top_beams=top_beams, patience=patience),
    )
    return hypotheses


def assert_is(hypothesis: Hypothesis, tokens: Prefix, log_probability: float) -> None:
    assert hypothesis.tokens == tokens
    assert hypothesis.finished
    assert hypothesis.log_probability == pytest.approx(log_probability)


def log_softmax(script: Script, sentence: int, prefix: Prefix) -> list[float]:
    row: list[float] = torch.tensor(script(sentence, prefix), dtype=torch.float64).log_softmax(0).tolist()
    return row


def naive_beam_search(
    script: Script, size: int, limit: int, penalty: LengthPenalty, patience: float = math.inf
) -> list[tuple[float, Prefix, bool]]:
    """Search with lists and loops; stop before the limit only with a beam of one, or out of patience."""

    def score(total: float, length: int) -> float:
        return total / float(penalty(torch.tensor(float(length), dtype=torch.float64)))

    live: list[tuple[float, Prefix]] = [(0.0, ())]
    ended: list[tuple[float, Prefix, bool]] = []
    for length in range(1, limit + 1):
        ranked = sorted(
            (
                (total + log_probability, (*prefix, token))
                for total, prefix in live
                for token, log_probability in enumerate(log_softmax(script, 0, prefix))
                if token >= EOS
            ),
            reverse=True,
        )
        ended += [(score(total, length), prefix[:-1], True) for total, prefix in ranked[:size] if prefix[-1] == EOS]
        live = [(total, prefix) for total, prefix in ranked if prefix[-1] != EOS][:size]
        is_ahead = bool(live and ended) and score(live[0][0], length) > max(ended)[0]
        if ended and (size == 1 or (len(ended) >= patience * size and not is_ahead)):
            break
    return sorted(ended, reverse=True)[:size] + [(score(total, length), prefix, False) for total, prefix in live]


def test_finds_what_greedy_search_misses() -> None:
    table = {
        (): {A: 0.6, B: 0.4},
        (A,): {A: 0.4, B: 0.3, EOS: 0.3},
        (B,): {EOS: 1.0},
        (A, A): {EOS: 1.0},
        (A, B): {EOS: 1.0},
    }
    script = table_script(table, V)
    (narrow,), (wide,) = decode(script, 1, 5), decode(script, 2, 5)
    assert_is(narrow, (A, A), math.log(0.24))
    assert_is(wide, (B,), math.log(0.4))


def test_eos_outside_the_best_k_candidates_ends_no_hypothesis() -> None:
    table: dict[Prefix, dict[int, float]] = {
        (): {A: 0.5, B: 0.3, EOS: 0.2},
        (A,): {EOS: 0.3, A: 0.36, B: 0.34},
        (B,): {EOS: 0.4, A: 0.3, B: 0.3},
        **{(first, second): {EOS: 0.5, A: 0.5} for first in (A, B) for second in (A, B)},
    }
    script = table_script(table, V)
    (second,), (third,) = decode(script, 2, 3), decode(script, 3, 3)
    assert_is(second, (A, A), math.log(0.09))
    assert_is(third, (), math.log(0.2))


def test_the_first_finished_hypothesis_does_not_end_the_search() -> None:
    script = table_script({(): {A: 0.9, EOS: 0.1}, (A,): {EOS: 0.9, A: 0.1}, (A, A): {EOS: 1.0}}, V)
    first, second = decode(script, 2, 5, top_beams=2)
    assert_is(first, (A,), math.log(0.81))
    assert_is(second, (), math.log(0.1))


def test_the_empty_target_is_found_only_if_it_is_allowed() -> None:
    script = table_script({(): {EOS: 0.9, A: 0.1}, (A,): {EOS: 0.8, A: 0.2}, (A, A): {EOS: 1.0}}, V)
    (silent,) = decode(script, 2, 5, penalty=gnmt(0.6))
    assert_is(silent, (), math.log(0.9))
    first, second = decode(script, 2, 5, top_beams=2, penalty=forbid_empty(gnmt(0.6)))
    assert_is(first, (A,), math.log(0.08))
    assert first.score == pytest.approx(math.log(0.08) / (7 / 6) ** 0.6)
    assert_is(second, (A, A), math.log(0.02))


@pytest.mark.parametrize("seed", range(6))
def test_a_wide_beam_equals_brute_force_without_the_empty_target(seed: int) -> None:
    script = random_script(seed, V)
    ranked = brute_force(lambda prefix: log_softmax(script, 0, prefix), 4, gnmt(0.6))
    nonempty = [(score, tokens) for score, _, tokens in ranked if tokens]
    hypotheses = decode(script, 81, 4, top_beams=len(nonempty), penalty=forbid_empty(gnmt(0.6)))
    assert [hypothesis.tokens for hypothesis in hypotheses] == [tokens for _, tokens in nonempty]
    assert [hypothesis.score for hypothesis in hypotheses] == pytest.approx([score for score, _ in nonempty])


def long_tail(_: int, prefix: Prefix) -> list[float]:
    """Return logits with two short hypotheses, of one and two steps, and a third that is certain from then on."""
    rows = {0: {EOS: 0.5, A: 0.5}, 1: {EOS: 0.4, A: 0.6}, 19: {EOS: 1.0}}
    row = rows.get(len(prefix), {A: 1.0})
    return [math.log(row[token]) if token in row else -math.inf for token in range(V)]


def test_a_full_beam_of_finished_hypotheses_does_not_end_the_search() -> None:
    (best,) = decode(long_tail, 2, 20, penalty=gnmt(1.0))
    assert best.tokens == (A,) * 19
    assert best.score == pytest.approx(math.log(0.3) / (25 / 6))


@pytest.mark.parametrize(("top_beams", "steps"), [(1, 1), (2, 2)])
def test_the_search_ends_when_no_better_hypothesis_is_possible(top_beams: int, steps: int) -> None:
    decoder = ScriptedDecoder(table_script({(): {EOS: 0.8, A: 0.2}, (A,): {EOS: 0.9, A: 0.1}}, V), V)
    beam_search(decoder, scripted_memory([1]), [20], BeamSettings(beam_size=2, penalty=gnmt(0.1), top_beams=top_beams))
    assert len(decoder.rows) == steps  # 0.8 has ended, then 0.18; 0.02 is still live


def test_without_eos_hypotheses_are_cut_at_the_limit() -> None:
    def script(sentence: int, prefix: Prefix) -> list[float]:
        return [-math.inf, -math.inf, -math.inf, 1.0, 0.0]

    hypotheses = decode(script, 3, 4, top_beams=2, penalty=gnmt(1.0))
    assert hypotheses[0].tokens == (A, A, A, A)
    assert [hypothesis.finished for hypothesis in hypotheses] == [False, False]
    assert hypotheses[0].log_probability == pytest.approx(-4 * math.log(1 + math.exp(-1)))
    assert hypotheses[0].score == pytest.approx(hypotheses[0].log_probability / 1.5)


def test_a_finished_hypothesis_ranks_before_an_unfinished_one() -> None:
    script = table_script({(): {A: 0.9, EOS: 0.1}, (A,): {A: 1.0}, (A, A): {A: 1.0}}, V)
    hypotheses = decode(script, 3, 3, top_beams=3)
    assert [(hypothesis.tokens, hypothesis.finished) for hypothesis in hypotheses] == [((), True), ((A, A, A), False)]
    assert hypotheses[0].score < hypotheses[1].score


def test_nan_is_reported_with_its_step() -> None:
    def script(_: int, prefix: Prefix) -> list[float]:
        return [math.nan if len(prefix) == 2 else 0.0] * 3 + [1.0, 2.0]

    with pytest.raises(DecodingError, match="step 3"):
        decode(script, 2, 9)


@pytest.mark.parametrize(("beam_size", "top_beams"), [(0, 0), (3, 0), (2, 3)])
def test_a_beam_that_cannot_hold_the_requested_hypotheses_is_an_error(beam_size: int, top_beams: int) -> None:
    with pytest.raises(DecodingError, match="beam"):
        decode(random_script(1, V), beam_size, 3, top_beams=top_beams)


@pytest.mark.parametrize("alpha", [0.0, 0.6, 1.0, 2.0])
@pytest.mark.parametrize("top_beams", [1, 6])
def test_a_wide_beam_equals_brute_force(alpha: float, top_beams: int) -> None:
    script, limit = random_script(5, V), 4
    sentences = 4
    results = beam_search(
        ScriptedDecoder(script, V),
        scripted_memory([1] * sentences),
        [limit] * sentences,
        BeamSettings(beam_size=16, penalty=gnmt(alpha), top_beams=top_beams),
    )
    for sentence, hypotheses in enumerate(results):

        def row(prefix: Prefix, sentence: int = sentence) -> list[float]:
            return log_softmax(script, sentence, prefix)

        best = brute_force(row, limit, gnmt(alpha))[:top_beams]
        assert [hypothesis.tokens for hypothesis in hypotheses] == [tokens for _, _, tokens in best]
        assert [hypothesis.score for hypothesis in hypotheses] == pytest.approx([score for score, _, _ in best])
        assert [hypothesis.log_probability for hypothesis in hypotheses] == pytest.approx(
            [total for _, total, _ in best]
        )


@pytest.mark.parametrize("size", [1, 2, 3, 5])
@pytest.mark.parametrize("alpha", [0.0, 0.6, 1.5])
def test_stopping_early_does_not_change_the_result(size: int, alpha: float) -> None:
    for seed in range(25):
        script = random_script(seed, V)
        hypotheses = decode(script, size, 7, top_beams=size, penalty=gnmt(alpha))
        expected = naive_beam_search(script, size, 7, gnmt(alpha))[: len(hypotheses)]
        assert [(hypothesis.tokens, hypothesis.finished) for hypothesis in hypotheses] == [
            (tokens, finished) for _, tokens, finished in expected
        ]
        assert [hypothesis.score for hypothesis in hypotheses] == pytest.approx([score for score, _, _ in expected])


@pytest.mark.parametrize("patience", [0.3, 0.5, 1.0, 2.0])
@pytest.mark.parametrize("size", [1, 2, 4])
def test_a_beam_out_of_patience_returns_the_best_hypothesis_so_far(size: int, patience: float) -> None:
    is_early = []
    for seed in range(25):
        script, penalty = random_script(seed, V), gnmt(1.5)
        (best,) = decode(script, size, 7, penalty=penalty, patience=patience)
        score, tokens, finished = naive_beam_search(script, size, 7, penalty, patience)[0]
        assert (best.tokens, best.finished) == (tokens, finished)
        assert best.score == pytest.approx(score)
        is_early.append([best] != decode(script, size, 7, penalty=penalty))
    if size > 1 and patience <= 1:
        assert any(is_early)


def test_patience_counts_all_finished_hypotheses_and_waits_for_those_that_are_asked_for() -> None:
    def steps(patience: float, top_beams: int = 1) -> int:
        decoder = ScriptedDecoder(lambda _, prefix: [-math.inf, -math.inf, 1.0, 0.9, 0.0], V)
        settings = BeamSettings(beam_size=2, penalty=gnmt(3.0), top_beams=top_beams, patience=patience)
        beam_search(decoder, scripted_memory([1]), [20], settings)
        return len(decoder.rows)

    assert steps(0.5) == 1  # EOS is the best token at every step
    assert steps(0.5, top_beams=2) == steps(1) == 2
    assert steps(1.5) == 3
    assert steps(2) == 4
    assert steps(100) == steps(0)


@pytest.mark.parametrize("top_beams", [1, 2])
def test_patience_lasts_while_a_prefix_is_ahead_of_what_has_ended(top_beams: int) -> None:
    """A model that is sure of its tokens: after each step, EOS is improbable, but among the best two continuations."""
    tokens = (A, B, A, A, B, A)
    sure = [-math.inf, -math.inf, -5.0, -9.0, -9.0]

    def script(sentence: int, prefix: Prefix) -> list[float]:
        row, place = sure.copy(), len(prefix)
        row[tokens[place] if prefix == tokens[:place] and place < len(tokens) else EOS] = 5.0
        return row

    best, *_ = decode(script, 2, 20, top_beams=top_beams, penalty=gnmt(0.6), patience=1)
    assert (best.tokens, best.finished) == (tokens, True)
    assert best.log_probability > -0.01


def test_a_negative_patience_is_an_error() -> None:
    with pytest.raises(DecodingError, match="patience is -1"):
        decode(random_script(1, V), 2, 3, patience=-1)


@pytest.mark.parametrize("alpha", [0.0, 1.0, 3.0])
def test_a_beam_of_one_equals_greedy_search(alpha: float) -> None:
    script, sentences = random_script(11, V), 30
    memory = scripted_memory([V + sentence % 3 for sentence in range(sentences)])
    limits = [1 + sentence % 6 for sentence in range(sentences)]
    greedy = greedy_search(ScriptedDecoder(script, V), memory, limits, penalty=gnmt(alpha), with_attention=True)
    beams = beam_search(
        ScriptedDecoder(script, V), memory, limits, BeamSettings(beam_size=1, penalty=gnmt(alpha)), with_attention=True
    )
    assert {expected.finished for expected in greedy} == {True, False}
    for expected, (hypothesis,) in zip(greedy, beams, strict=True):
        assert (expected.tokens, expected.finished) == (hypothesis.tokens, hypothesis.finished)
        assert (expected.log_probability, expected.score) == (hypothesis.log_probability, hypothesis.score)
        assert expected.attention is not None and hypothesis.attention is not None
        assert expected.attention.equal(hypothesis.attention)


def test_a_beam_of_one_breaks_ties_as_greedy_search_does() -> None:
    def script(_: int, prefix: Prefix) -> list[float]:
        return [0.0] * V

    (expected,) = greedy_search(ScriptedDecoder(script, V), scripted_memory([1]), [4], penalty=no_penalty)
    assert decode(script, 1, 4) == [expected]


@pytest.mark.parametrize("patience", [0.0, 1.0])
def test_the_result_of_a_sentence_does_not_depend_on_its_batch(patience: float) -> None:
    script, sentences = random_script(7, V), 12
    lengths = [V + sentence % 4 for sentence in range(sentences)]
    limits = [1 + sentence % 7 for sentence in range(sentences)]
    memory = scripted_memory(lengths)

    def search(rows: list[int]) -> list[list[Hypothesis]]:
        return beam_search(
            ScriptedDecoder(script, V),
            memory.select(torch.tensor(rows)),
            [limits[row] for row in rows],
            BeamSettings(beam_size=3, penalty=gnmt(0.6), top_beams=3, patience=patience),
        )

    together = search(list(range(sentences)))
    for results in ([search([row])[0] for row in range(sentences)], search(list(range(sentences))[::-1])[::-1]):
        for expected, hypotheses in zip(together, results, strict=True):
            assert [(hypothesis.tokens, hypothesis.finished) for hypothesis in expected] == [
                (hypothesis.tokens, hypothesis.finished) for hypothesis in hypotheses
            ]
            assert [hypothesis.score for hypothesis in expected] == pytest.approx(
                [hypothesis.score for hypothesis in hypotheses], rel=1e-12
            )


def test_a_beam_that_moves_into_the_rows_of_a_finished_sentence_keeps_its_source() -> None:
    script, memory = random_script(13, V), scripted_memory([1, 1])
    decoder = ScriptedDecoder(script, V)
    _, together = beam_search(decoder, memory, [1, 6], BeamSettings(beam_size=2, penalty=no_penalty, top_beams=2))
    assert decoder.rows[:2] == [2, 2]  # one row for each sentence, then two for the second
    second = memory.select(torch.tensor([1]))
    assert beam_search(
        ScriptedDecoder(script, V), second, [6], BeamSettings(beam_size=2, penalty=no_penalty, top_beams=2)
    ) == [together]


def test_attention_follows_its_hypothesis_through_the_beam() -> None:
    lengths = [V + sentence % 3 for sentence in range(8)]
    limits = [2 + sentence for sentence in range(8)]
    results = beam_search(
        ScriptedDecoder(random_script(3, V), V),
        scripted_memory(lengths),
        limits,
        BeamSettings(beam_size=4, penalty=gnmt(1.0), top_beams=4),
        with_attention=True,
    )
    for hypotheses, length in zip(results, lengths, strict=True):
        for hypothesis in hypotheses:
            assert hypothesis.attention is not None
            fed = (BOS, *hypothesis.tokens) if hypothesis.finished else (BOS, *hypothesis.tokens[:-1])
            assert hypothesis.attention.shape == (len(fed), length)
            assert tuple(hypothesis.attention.argmax(1).tolist()) == fed


def test_no_row_is_spent_on_copies_of_bos_or_on_finished_sentences() -> None:
    def script(sentence: int, prefix: Prefix) -> list[float]:
        return [-99.0, -99.0, 0.0 if len(prefix) >= sentence else -30.0, -1.0 - len(prefix), -2.0]

    decoder = ScriptedDecoder(script, V)
    beam_search(decoder, scripted_memory([1] * 3), [1, 2, 4], BeamSettings(beam_size=4, penalty=no_penalty))
    assert decoder.rows[0] == 3  # BOS
    assert decoder.rows[1] == 2 * 3  # after BOS: EOS, A and B; the row of EOS has no live prefix
    assert decoder.rows[2] <= 4


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("size", [1, 2, 5])
def test_a_limit_of_one_gives_the_best_token_unfinished_if_the_empty_target_is_forbidden(seed: int, size: int) -> None:
    script = random_script(seed, V)
    scores = log_softmax(script, 0, ())
    ranked = sorted(((scores[token], token) for token in range(EOS + 1, V)), reverse=True)[:size]
    hypotheses = decode(script, size, 1, top_beams=size, penalty=forbid_empty(gnmt(0.6)))
    assert [(hypothesis.tokens, hypothesis.finished) for hypothesis in hypotheses] == [
        ((token,), False) for _, token in ranked
    ]
    assert [hypothesis.log_probability for hypothesis in hypotheses] == pytest.approx([total for total, _ in ranked])
    # The length penalty of one token is 1.
    assert [hypothesis.score for hypothesis in hypotheses] == pytest.approx([total for total, _ in ranked])
