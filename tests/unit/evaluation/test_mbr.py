from __future__ import annotations

import math
import random
from collections.abc import Sequence

import pytest
from sacrebleu.metrics.chrf import CHRF

from regard.errors import DataError
from regard.evaluation.mbr import mbr_select

NEAR = [
    "the man in the red hat",
    "the man in the red coat",
    "one man in the red hat",
]  # the first is between the others
FAR = "two dogs run over snow"


def expected(candidates: Sequence[str], weights: Sequence[float]) -> list[float]:
    metric = CHRF()
    return [
        sum(
            weight * (100.0 if text == reference else metric.sentence_score(text, [reference]).score)
            for reference, weight in zip(candidates, weights, strict=True)
        )
        for text in candidates
    ]


def test_an_outlier_is_not_chosen_at_any_position() -> None:
    for index in range(4):
        candidates = [*NEAR[:index], FAR, *NEAR[index:]]
        assert candidates[mbr_select(candidates)] == NEAR[0]


def test_weights_are_respected() -> None:
    candidates = [*NEAR, FAR]
    assert mbr_select(candidates, [0.1, 0.1, 0.1, 0.7]) == 3
    assert mbr_select(candidates, [0.3, 0.3, 0.3, 0.1]) == 0
    assert mbr_select(candidates, [0.0, 1.0, 0.0, 0.0]) == 1
    assert mbr_select(candidates, [0.0, 0.0, 50.0, 0.0]) == 2


def test_duplicates_count_once_for_each_occurrence() -> None:
    assert mbr_select([NEAR[0], FAR, NEAR[1], FAR, FAR]) == 1
    assert mbr_select([NEAR[0], FAR, NEAR[1], FAR, FAR]) == mbr_select([NEAR[0], FAR, NEAR[1]], [1, 3, 1])
    assert mbr_select(["", FAR, "", "", ""]) == 0  # empty candidates agree with one another too


def test_the_first_of_equal_candidates_is_chosen() -> None:
    assert mbr_select([FAR]) == 0
    assert mbr_select([FAR, FAR, FAR]) == 0
    assert mbr_select(["ab", "cd", "ef"]) == 0
    assert mbr_select(["ab", "cd", "ef"], [1, 2, 2]) == 1


def test_chrf_is_not_symmetric() -> None:
    """Recall counts more than precision, so the longer of two texts covers the shorter better than the reverse."""
    short, long = "a man in a red hat", "a man in a red hat and a coat"
    assert CHRF().sentence_score(long, [short]).score > CHRF().sentence_score(short, [long]).score
    assert mbr_select([short, long]) == 1


@pytest.mark.parametrize("seed", range(10))
def test_the_choice_has_the_highest_expected_chrf_of_sacrebleu(seed: int) -> None:
    rng = random.Random(seed)
    words = ["a", "man", "in", "red", "hat", "runs", "über", "snow", "-", ""]
    candidates = [" ".join(rng.choices(words, k=rng.randrange(7))) for _ in range(9)]
    candidates += rng.choices(candidates, k=3)
    weights = [rng.random() for _ in candidates]
    for argument, used in ((None, [1.0] * len(candidates)), (weights, weights)):
        scores = expected(candidates, used)
        chosen = mbr_select(candidates, argument)
        assert scores[chosen] == pytest.approx(max(scores))
        assert chosen == candidates.index(candidates[chosen])


@pytest.mark.parametrize(
    ("candidates", "weights"),
    [
        ([], None),
        ([], []),
        (["a"], [1, 2]),
        (["a", "b"], [1, -1]),
        (["a"], [0]),
        (["a"], [math.nan]),
        (["a"], [math.inf]),
    ],
)
def test_invalid_weights_are_rejected(candidates: list[str], weights: list[float] | None) -> None:
    with pytest.raises(DataError, match="candidate"):
        mbr_select(candidates, weights)


def test_candidates_that_differ_only_in_spaces_tie() -> None:
    texts = ["95 896", "95 986", "95 968", "95 86", "958 96"]
    for scale in (1.0, 0.3, 1 / 7, 1e-30):
        weights = [scale * weight for weight in (0.29, 0.2, 0.13, 0.11, 0.01)]
        assert texts[mbr_select(texts, weights)] == "95 896"
        assert mbr_select(texts[::-1], weights[::-1]) == 0
