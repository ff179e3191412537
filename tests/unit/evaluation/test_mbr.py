from __future__ import annotations

import math
import random
from collections.abc import Sequence

import pytest
from sacrebleu.metrics.chrf import CHRF

from regard.errors import DataError
from regard.evaluation.mbr import least_risk

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
            weight * (100.0 if one == other else metric.sentence_score(one, [other]).score)
            for other, weight in zip(candidates, weights, strict=True)
        )
        for one in candidates
    ]


def test_an_outlier_is_not_chosen_wherever_it_stands() -> None:
    for place in range(4):
        candidates = [*NEAR[:place], FAR, *NEAR[place:]]
        assert candidates[least_risk(candidates)] == NEAR[0]


def test_weights_decide_what_counts() -> None:
    candidates = [*NEAR, FAR]
    assert least_risk(candidates, [0.1, 0.1, 0.1, 0.7]) == 3
    assert least_risk(candidates, [0.3, 0.3, 0.3, 0.1]) == 0
    assert least_risk(candidates, [0.0, 1.0, 0.0, 0.0]) == 1
    assert least_risk(candidates, [0.0, 0.0, 50.0, 0.0]) == 2


def test_duplicates_count_as_often_as_they_are_there() -> None:
    assert least_risk([NEAR[0], FAR, NEAR[1], FAR, FAR]) == 1
    assert least_risk([NEAR[0], FAR, NEAR[1], FAR, FAR]) == least_risk([NEAR[0], FAR, NEAR[1]], [1, 3, 1])
    assert least_risk(["", FAR, "", "", ""]) == 0  # empty candidates agree with one another too


def test_of_equals_it_is_the_first() -> None:
    assert least_risk([FAR]) == 0
    assert least_risk([FAR, FAR, FAR]) == 0
    assert least_risk(["ab", "cd", "ef"]) == 0
    assert least_risk(["ab", "cd", "ef"], [1, 2, 2]) == 1


def test_chrf_minds_which_is_the_reference() -> None:
    """Recall counts more than precision, so that of two the longer one covers the other better than the reverse."""
    short, long = "a man in a red hat", "a man in a red hat and a coat"
    assert CHRF().sentence_score(long, [short]).score > CHRF().sentence_score(short, [long]).score
    assert least_risk([short, long]) == 1


@pytest.mark.parametrize("seed", range(10))
def test_it_is_the_greatest_expected_chrf_of_sacrebleu(seed: int) -> None:
    rng = random.Random(seed)
    words = ["a", "man", "in", "red", "hat", "runs", "über", "snow", "-", ""]
    candidates = [" ".join(rng.choices(words, k=rng.randrange(7))) for _ in range(9)]
    candidates += rng.choices(candidates, k=3)
    weights = [rng.random() for _ in candidates]
    for given, used in ((None, [1.0] * len(candidates)), (weights, weights)):
        scores = expected(candidates, used)
        chosen = least_risk(candidates, given)
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
def test_what_cannot_be_weighed_is_refused(candidates: list[str], weights: list[float] | None) -> None:
    with pytest.raises(DataError, match="candidate"):
        least_risk(candidates, weights)


def test_what_differs_in_spaces_alone_is_equally_good_and_the_first_is_taken() -> None:
    texts = ["95 896", "95 986", "95 968", "95 86", "958 96"]
    for scale in (1.0, 0.3, 1 / 7, 1e-30):
        weights = [scale * weight for weight in (0.29, 0.2, 0.13, 0.11, 0.01)]
        assert texts[least_risk(texts, weights)] == "95 896"
        assert least_risk(texts[::-1], weights[::-1]) == 0
