from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
import torch
from tests.doubles import Prefix, Script, ScriptedDecoder, random_script, scripted_memory, table_script

from regard.decoding.beam import beam_search
from regard.decoding.beam_state import BeamSettings
from regard.decoding.diverse import diverse_beam_search
from regard.decoding.hypothesis import Hypothesis
from regard.decoding.length_penalty import LengthPenalty, gnmt, no_penalty
from regard.errors import DecodingError
from regard.special_tokens import BOS, EOS

A, B, V = 3, 4, 12
LIMITS = [6, 1, 4, 7, 2, 5, 3, 6]


def search(
    script: Script,
    limits: Sequence[int],
    beam_size: int,
    groups: int,
    strength: float,
    *,
    penalty: LengthPenalty | None = None,
    rows: Sequence[int] | None = None,
    patience: float = 0.0,
) -> list[list[Hypothesis]]:
    rows = range(len(limits)) if rows is None else rows
    return diverse_beam_search(
        ScriptedDecoder(script, V),
        scripted_memory([V + row % 3 for row in range(max(rows) + 1)]).select(torch.tensor(rows)),
        limits,
        BeamSettings(beam_size=beam_size, penalty=penalty or gnmt(0.6), patience=patience),
        groups=groups,
        strength=strength,
        with_attention=True,
    )


ScoredPrefix = tuple[float, Prefix, bool]  # score, tokens, whether finished


@dataclass
class Group:
    live: list[tuple[float, Prefix]] = field(default_factory=lambda: [(0.0, ())])
    ended: list[ScoredPrefix] = field(default_factory=list)
    is_done: bool = False


def naive(
    script: Script, sentence: int, limit: int, group_size: int, groups: int, strength: float, penalty: LengthPenalty
) -> list[ScoredPrefix]:
    """Search with lists and loops."""

    def score(total: float, length: int) -> float:
        return total / float(penalty(torch.tensor(float(length), dtype=torch.float64)))

    all_groups = [Group() for _ in range(groups)]
    for length in range(1, limit + 1):
        taken: Counter[int] = Counter()
        for group in all_groups:
            if group.is_done:
                continue
            ranked: list[tuple[float, float, Prefix]] = []
            for total, prefix in group.live:
                scores = torch.tensor(script(sentence, prefix), dtype=torch.float64).log_softmax(0).tolist()
                for token in range(EOS, V):
                    extended = total + scores[token]
                    ranked.append((extended - strength * taken[token], extended, (*prefix, token)))
            ranked.sort(reverse=True)
            ends = [
                (score(total, length), prefix[:-1], True)
                for _, total, prefix in ranked[:group_size]
                if prefix[-1] == EOS
            ]
            group.ended = sorted(group.ended + ends, reverse=True)[:group_size]
            group.live = [(total, prefix) for _, total, prefix in ranked if prefix[-1] != EOS][:group_size]
            is_full = len(group.ended) == group_size
            best_possible = max(score(total, limit) for total, _ in group.live)
            group.is_done = length == limit or (is_full and (group_size == 1 or group.ended[-1][0] >= best_possible))
            taken.update([EOS] * len(ends))
            if not group.is_done or length == limit:
                taken.update(prefix[-1] for _, prefix in group.live)
    merged = {
        (tokens, finished): (finished, value)
        for group in all_groups
        for value, tokens, finished in (
            group.ended + [(score(total, limit), prefix, False) for total, prefix in group.live]
        )[:group_size]
    }
    return [(value, *key) for key, (_, value) in sorted(merged.items(), key=lambda item: item[1], reverse=True)]


@pytest.mark.parametrize(("group_size", "groups"), [(1, 1), (1, 4), (2, 1), (2, 3), (3, 2), (4, 2)])
@pytest.mark.parametrize("strength", [0.0, 0.7, 1e6])
@pytest.mark.parametrize("alpha", [0.0, 1.5])
def test_it_equals_a_naive_implementation(group_size: int, groups: int, strength: float, alpha: float) -> None:
    for seed in range(3):
        script = random_script(seed, V)
        results = search(script, LIMITS, group_size * groups, groups, strength, penalty=gnmt(alpha))
        for sentence, (limit, hypotheses) in enumerate(zip(LIMITS, results, strict=True)):
            expected = naive(script, sentence, limit, group_size, groups, strength, gnmt(alpha))
            assert [(hypothesis.tokens, hypothesis.finished) for hypothesis in hypotheses] == [
                (tokens, finished) for _, tokens, finished in expected
            ]
            assert [hypothesis.score for hypothesis in hypotheses] == pytest.approx([value for value, *_ in expected])


@pytest.mark.parametrize("size", [1, 2, 5])
@pytest.mark.parametrize("strength", [0.0, 2.0])
@pytest.mark.parametrize("patience", [0.0, 1.0])
def test_one_group_equals_beam_search(size: int, strength: float, patience: float) -> None:
    script = random_script(8, V)
    beams = beam_search(
        ScriptedDecoder(script, V),
        scripted_memory([V + row % 3 for row in range(len(LIMITS))]),
        LIMITS,
        BeamSettings(beam_size=size, penalty=gnmt(0.6), top_beams=size, patience=patience),
        with_attention=True,
    )
    for hypotheses, expected in zip(search(script, LIMITS, size, 1, strength, patience=patience), beams, strict=True):
        assert [(hypothesis.tokens, hypothesis.finished, hypothesis.score) for hypothesis in hypotheses] == [
            (hypothesis.tokens, hypothesis.finished, hypothesis.score) for hypothesis in expected
        ]
        for hypothesis, beam in zip(hypotheses, expected, strict=True):
            torch.testing.assert_close(hypothesis.attention, beam.attention)


def test_groups_without_diversity_find_the_same_hypotheses_without_duplicates() -> None:
    script = random_script(8, V)
    single_group = search(script, LIMITS, 2, 1, 0.0)
    for hypotheses, expected in zip(search(script, LIMITS, 6, 3, 0.0), single_group, strict=True):
        assert [(hypothesis.tokens, hypothesis.score) for hypothesis in hypotheses] == [
            (hypothesis.tokens, hypothesis.score) for hypothesis in expected
        ]


def test_a_second_group_takes_another_token() -> None:
    table: dict[Prefix, dict[int, float]] = {
        (): {A: 0.9, B: 0.1},
        (A,): {A: 0.9, B: 0.1},
        (B,): {B: 0.8, A: 0.2},
        **{(first, second): {EOS: 1.0} for first in (A, B) for second in (A, B)},
    }
    script = table_script(table, V)
    weak, strong = (search(script, [5], 2, 2, strength, penalty=no_penalty)[0] for strength in (2.0, 3.0))
    assert [hypothesis.tokens for hypothesis in weak] == [(A, A)]  # 0.9 / e ** 2 is still more than 0.1
    assert [hypothesis.tokens for hypothesis in strong] == [(A, A), (B, B)]
    assert [hypothesis.log_probability for hypothesis in strong] == pytest.approx([math.log(0.81), math.log(0.08)])
    assert [hypothesis.score for hypothesis in strong] == pytest.approx([math.log(0.81), math.log(0.08)])


def test_more_strength_gives_more_distinct_hypotheses() -> None:
    script, limits = random_script(9, V, scale=1.0), [8] * 30
    distinct = [
        sum(
            len({hypothesis.tokens for hypothesis in hypotheses})
            for hypotheses in search(script, limits, 4, 4, strength)
        )
        for strength in (0.0, 0.5, 1e6)
    ]
    assert distinct[0] == 30 < distinct[1] < distinct[2]


def test_the_result_of_a_sentence_does_not_depend_on_its_batch() -> None:
    script, order = random_script(7, V), [6, 0, 3, 7, 1, 5, 2, 4]
    together = search(script, LIMITS, 6, 3, 0.8)
    shuffled = search(script, [LIMITS[row] for row in order], 6, 3, 0.8, rows=order)
    for row, expected in enumerate(together):
        for hypotheses in (shuffled[order.index(row)], search(script, [LIMITS[row]], 6, 3, 0.8, rows=[row])[0]):
            assert [(hypothesis.tokens, hypothesis.finished) for hypothesis in expected] == [
                (hypothesis.tokens, hypothesis.finished) for hypothesis in hypotheses
            ]
            assert [hypothesis.score for hypothesis in expected] == pytest.approx(
                [hypothesis.score for hypothesis in hypotheses], rel=1e-12
            )


def test_attention_and_log_probability_are_those_of_the_hypothesis() -> None:
    script = random_script(3, V)
    for row, hypotheses in enumerate(search(script, LIMITS, 6, 3, 1.0)):
        for hypothesis in hypotheses:
            target = (*hypothesis.tokens, EOS) if hypothesis.finished else hypothesis.tokens
            assert hypothesis.attention is not None
            assert hypothesis.attention.shape == (len(target), V + row % 3)
            assert tuple(hypothesis.attention.argmax(1).tolist()) == (BOS, *target[:-1])
            rows = [torch.tensor(script(row, target[:place])).log_softmax(0) for place in range(len(target))]
            assert hypothesis.log_probability == pytest.approx(
                sum(float(scores[token]) for scores, token in zip(rows, target, strict=True)), rel=1e-5
            )


@pytest.mark.parametrize(
    ("beam_size", "groups", "strength"),
    [(4, 0, 0.0), (4, 3, 0.0), (2, 4, 0.0), (4, 2, -1.0), (4, 2, math.nan)],
)
def test_a_beam_that_cannot_be_divided_into_groups_is_an_error(beam_size: int, groups: int, strength: float) -> None:
    with pytest.raises(DecodingError, match=r"groups|diversity"):
        search(random_script(1, V), [3], beam_size, groups, strength)


def test_nan_is_reported_with_its_step() -> None:
    with pytest.raises(DecodingError, match="step 2"):
        search(lambda _, prefix: [math.nan if prefix else float(token) for token in range(V)], [9], 4, 2, 1.0)
