from __future__ import annotations

import math

import pytest
import torch
from tests.doubles import Prefix, ScriptedDecoder, random_script, scripted_memory, table_script

from regard.decoding.greedy import greedy_search
from regard.decoding.length_penalty import gnmt, no_penalty
from regard.errors import DecodingError
from regard.special_tokens import BOS, EOS

A, B, V = 3, 4, 5


def test_follows_the_most_probable_token() -> None:
    table = {(): {A: 0.6, B: 0.4}, (A,): {A: 0.5, B: 0.2, EOS: 0.3}, (A, A): {EOS: 0.9, B: 0.1}}
    decoder = ScriptedDecoder(table_script(table, V), V)
    (best,) = greedy_search(decoder, scripted_memory([2]), [5], penalty=gnmt(1.0))
    assert best.tokens == (A, A)
    assert best.finished
    assert best.log_probability == pytest.approx(math.log(0.6 * 0.5 * 0.9))
    assert best.score == pytest.approx(math.log(0.6 * 0.5 * 0.9) / (8 / 6))
    assert best.attention is None


def test_finished_sentences_leave_the_batch() -> None:
    lengths = [2, 0, 3, 1]

    def script(sentence: int, prefix: Prefix) -> list[float]:
        return [-9.0, -9.0, 0.0, -5.0, -5.0] if len(prefix) == lengths[sentence] else [-9.0, -9.0, -5.0, 0.0, -5.0]

    decoder = ScriptedDecoder(script, V)
    results = greedy_search(decoder, scripted_memory([1, 2, 3, 4]), torch.tensor([9, 9, 3, 9]), penalty=no_penalty)
    assert [best.tokens for best in results] == [(A,) * length for length in lengths]
    assert [best.finished for best in results] == [True, True, False, True]
    assert decoder.rows == [4, 3, 2]


def test_the_limit_counts_eos() -> None:
    decoder = ScriptedDecoder(table_script({(): {A: 1.0}, (A,): {EOS: 1.0}}, V), V)
    cut, complete = greedy_search(decoder, scripted_memory([1, 1]), [1, 2], penalty=no_penalty)
    assert (cut.tokens, cut.finished) == ((A,), False)
    assert (complete.tokens, complete.finished) == ((A,), True)


def test_attention_has_a_row_for_each_step_and_a_column_for_each_source_position() -> None:
    lengths, limits = [V, V + 2, V + 1], [7, 1, 9]
    decoder = ScriptedDecoder(random_script(3, V), V)
    results = greedy_search(decoder, scripted_memory(lengths), limits, penalty=no_penalty, with_attention=True)
    assert {best.finished for best in results} == {True, False}
    for best, length in zip(results, lengths, strict=True):
        assert best.attention is not None
        fed = (BOS, *best.tokens) if best.finished else (BOS, *best.tokens[:-1])
        assert best.attention.shape == (len(fed), length)
        assert tuple(best.attention.argmax(1).tolist()) == fed


def test_nan_is_reported_with_its_step() -> None:
    def script(_: int, prefix: Prefix) -> list[float]:
        return [math.nan if len(prefix) == 2 else 0.0] * 3 + [1.0, 2.0]

    with pytest.raises(DecodingError, match="step 3"):
        greedy_search(ScriptedDecoder(script, V), scripted_memory([1, 1]), [9, 9], penalty=no_penalty)


@pytest.mark.parametrize("limits", [[3], [3, 0], [3, 3, 3]])
def test_invalid_limits_are_rejected(limits: list[int]) -> None:
    with pytest.raises(DecodingError, match="limit"):
        greedy_search(ScriptedDecoder(random_script(1, V), V), scripted_memory([1, 1]), limits, penalty=no_penalty)
