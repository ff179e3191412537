from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
import torch
from tests.doubles import Prefix, Script, ScriptedDecoder, random_script, scripted_memory, table_script

from regard.decoding.beam import beam_search
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
) -> list[list[Hypothesis]]:
    rows = range(len(limits)) if rows is None else rows
    return diverse_beam_search(
        ScriptedDecoder(script, V),
        scripted_memory([V + row % 3 for row in range(max(rows) + 1)]).select(torch.tensor(rows)),
        limits,
        beam_size=beam_size,
        groups=groups,
        strength=strength,
        penalty=penalty or gnmt(0.6),
        with_attention=True,
    )


Found = tuple[float, Prefix, bool]  # score, tokens, whether finished


@dataclass
class Group:
    live: list[tuple[float, Prefix]] = field(default_factory=lambda: [(0.0, ())])
    ended: list[Found] = field(default_factory=list)
    done: bool = False


def naive(
    script: Script, sentence: int, limit: int, own: int, groups: int, strength: float, penalty: LengthPenalty
) -> list[Found]:
    def score(total: float, length: int) -> float:
        return total / float(penalty(torch.tensor(float(length), dtype=torch.float64)))

    everyone = [Group() for _ in range(groups)]
    for length in range(1, limit + 1):
        taken: Counter[int] = Counter()
        for group in everyone:
            if group.done:
                continue
            ranked: list[tuple[float, float, Prefix]] = []
            for total, prefix in group.live:
                after = torch.tensor(script(sentence, prefix), dtype=torch.float64).log_softmax(0).tolist()
                for token in range(EOS, V):
                    both = total + after[token]
                    ranked.append((both - strength * taken[token], both, (*prefix, token)))
            ranked.sort(reverse=True)
            ends = [(score(total, length), prefix[:-1], True) for _, total, prefix in ranked[:own] if prefix[-1] == EOS]
            group.ended = sorted(group.ended + ends, reverse=True)[:own]
            group.live = [(total, prefix) for _, total, prefix in ranked if prefix[-1] != EOS][:own]
            full = len(group.ended) == own
            hope = max(score(total, limit) for total, _ in group.live)
            group.done = length == limit or (full and (own == 1 or group.ended[-1][0] >= hope))
            taken.update([EOS] * len(ends))
            if not group.done or length == limit:
                taken.update(prefix[-1] for _, prefix in group.live)
    found = {
        (tokens, finished): (finished, value)
        for group in everyone
        for value, tokens, finished in (
            group.ended + [(score(total, limit), prefix, False) for total, prefix in group.live]
        )[:own]
    }
    return [(value, *key) for key, (_, value) in sorted(found.items(), key=lambda item: item[1], reverse=True)]


@pytest.mark.parametrize(("own", "groups"), [(1, 1), (1, 4), (2, 1), (2, 3), (3, 2), (4, 2)])
@pytest.mark.parametrize("strength", [0.0, 0.7, 1e6])
@pytest.mark.parametrize("alpha", [0.0, 1.5])
def test_it_is_the_rules_with_lists_and_loops(own: int, groups: int, strength: float, alpha: float) -> None:
    for seed in range(3):
        script = random_script(seed, V)
        found = search(script, LIMITS, own * groups, groups, strength, penalty=gnmt(alpha))
        for sentence, (limit, hypotheses) in enumerate(zip(LIMITS, found, strict=True)):
            expected = naive(script, sentence, limit, own, groups, strength, gnmt(alpha))
            assert [(one.tokens, one.finished) for one in hypotheses] == [
                (tokens, finished) for _, tokens, finished in expected
            ]
            assert [one.score for one in hypotheses] == pytest.approx([value for value, *_ in expected])


@pytest.mark.parametrize("size", [1, 2, 5])
@pytest.mark.parametrize("strength", [0.0, 2.0])
def test_one_group_is_beam_search(size: int, strength: float) -> None:
    script = random_script(8, V)
    expected = beam_search(
        ScriptedDecoder(script, V),
        scripted_memory([V + row % 3 for row in range(len(LIMITS))]),
        LIMITS,
        beam_size=size,
        top_beams=size,
        penalty=gnmt(0.6),
        with_attention=True,
    )
    for found, same in zip(search(script, LIMITS, size, 1, strength), expected, strict=True):
        assert [(one.tokens, one.finished, one.score) for one in found] == [
            (one.tokens, one.finished, one.score) for one in same
        ]
        for one, other in zip(found, same, strict=True):
            torch.testing.assert_close(one.attention, other.attention)


def test_groups_without_strength_find_the_same_and_nothing_twice() -> None:
    script = random_script(8, V)
    alone = search(script, LIMITS, 2, 1, 0.0)
    for one, same in zip(search(script, LIMITS, 6, 3, 0.0), alone, strict=True):
        assert [(each.tokens, each.score) for each in one] == [(each.tokens, each.score) for each in same]


def test_a_second_group_takes_another_token() -> None:
    table: dict[Prefix, dict[int, float]] = {
        (): {A: 0.9, B: 0.1},
        (A,): {A: 0.9, B: 0.1},
        (B,): {B: 0.8, A: 0.2},
        **{(first, second): {EOS: 1.0} for first in (A, B) for second in (A, B)},
    }
    script = table_script(table, V)
    weak, strong = (search(script, [5], 2, 2, strength, penalty=no_penalty)[0] for strength in (2.0, 3.0))
    assert [one.tokens for one in weak] == [(A, A)]  # 0.9 / e ** 2 is still more than 0.1
    assert [one.tokens for one in strong] == [(A, A), (B, B)]
    assert [one.log_probability for one in strong] == pytest.approx([math.log(0.81), math.log(0.08)])
    assert [one.score for one in strong] == pytest.approx([math.log(0.81), math.log(0.08)])


def test_strength_makes_what_is_found_more_various() -> None:
    script, limits = random_script(9, V, scale=1.0), [8] * 30
    kinds = [
        sum(len({one.tokens for one in found}) for found in search(script, limits, 4, 4, strength))
        for strength in (0.0, 0.5, 1e6)
    ]
    assert kinds[0] == 30 < kinds[1] < kinds[2]


def test_a_sentence_in_a_batch_is_as_alone() -> None:
    script, order = random_script(7, V), [6, 0, 3, 7, 1, 5, 2, 4]
    together = search(script, LIMITS, 6, 3, 0.8)
    shuffled = search(script, [LIMITS[row] for row in order], 6, 3, 0.8, rows=order)
    for row, some in enumerate(together):
        for others in (shuffled[order.index(row)], search(script, [LIMITS[row]], 6, 3, 0.8, rows=[row])[0]):
            assert [(one.tokens, one.finished) for one in some] == [(one.tokens, one.finished) for one in others]
            assert [one.score for one in some] == pytest.approx([one.score for one in others], rel=1e-12)


def test_attention_and_log_probability_are_those_of_the_hypothesis() -> None:
    script = random_script(3, V)
    for row, found in enumerate(search(script, LIMITS, 6, 3, 1.0)):
        for one in found:
            whole = (*one.tokens, EOS) if one.finished else one.tokens
            assert one.attention is not None
            assert one.attention.shape == (len(whole), V + row % 3)
            assert tuple(one.attention.argmax(1).tolist()) == (BOS, *whole[:-1])
            rows = [torch.tensor(script(row, whole[:place])).log_softmax(0) for place in range(len(whole))]
            assert one.log_probability == pytest.approx(
                sum(float(after[token]) for after, token in zip(rows, whole, strict=True)), rel=1e-5
            )


@pytest.mark.parametrize(
    ("beam_size", "groups", "strength"),
    [(0, 1, 0.0), (4, 0, 0.0), (4, 3, 0.0), (2, 4, 0.0), (4, 2, -1.0), (4, 2, math.nan)],
)
def test_what_cannot_be_shared_is_refused(beam_size: int, groups: int, strength: float) -> None:
    with pytest.raises(DecodingError, match=r"groups|diversity"):
        search(random_script(1, V), [3], beam_size, groups, strength)


def test_scores_that_are_no_numbers_are_told_with_their_step() -> None:
    with pytest.raises(DecodingError, match="step 2"):
        search(lambda _, prefix: [math.nan if prefix else float(token) for token in range(V)], [9], 4, 2, 1.0)
