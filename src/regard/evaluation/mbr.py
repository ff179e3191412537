"""Minimum Bayes risk: of several candidates the one on which, by chrF, the others agree most (Kumar and Byrne 2004)."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from itertools import combinations
from typing import TYPE_CHECKING

from regard.errors import DataError

if TYPE_CHECKING:
    from sacrebleu.metrics.chrf import CHRF

ROUNDING = 1e-9  # of a sum's, in which equally good ones may differ


def least_risk(candidates: Sequence[str], weights: Sequence[float] | None = None) -> int:
    """The place of the candidate whose chrF, expected over all candidates as references, is greatest.

    weights: what each counts as a reference, in any unit, such as its probability; None: all the same, which is right
    for samples (Eikema and Aziz 2020). Candidates that are equal count as often as they are there, and each
    is among its own references, with a chrF of 100. Of equally good ones the first.
    Raises DataError for no candidates, for other than one weight each, and for weights that are negative, not
    finite, or all 0.
    """
    from sacrebleu.metrics.chrf import CHRF

    shares: dict[str, float] = {}
    for text, weight in zip(candidates, _checked(candidates, weights), strict=True):
        shares[text] = shares.get(text, 0.0) + weight
    metric = CHRF()
    grams = {text: metric._extract_reference_info([text])["ref_ngrams"][0] for text in shares}
    expected = {text: 100 * share for text, share in shares.items()}
    for one, other in combinations(shares, 2):
        there, back = _both_ways(metric, grams[one], grams[other])
        expected[one] += shares[other] * there
        expected[other] += shares[one] * back
    enough = max(expected.values()) * (1 - ROUNDING)  # chrF sees no spaces: "95 896" and "958 96" are as good
    return candidates.index(next(text for text in shares if expected[text] >= enough))


def _both_ways(metric: CHRF, one: Sequence[Counter[str]], other: Sequence[Counter[str]]) -> tuple[float, float]:
    """The chrF of one sentence against another and the reverse, by the n-grams of both, an order each."""
    counts = [metric._get_match_statistics(own, its) for own, its in zip(one, other, strict=True)]
    there = [count for own, its, same in counts for count in (own, its, same)]
    back = [count for own, its, same in counts for count in (its, own, same)]
    return metric._compute_f_score(there), metric._compute_f_score(back)


def _checked(candidates: Sequence[str], weights: Sequence[float] | None) -> Sequence[float]:
    if not candidates:
        raise DataError("there is no candidate to choose", fix="give at least one")
    if weights is None:
        return [1.0] * len(candidates)
    if len(weights) != len(candidates):
        raise DataError(f"there are {len(weights)} weights for {len(candidates)} candidates", fix="give one each")
    if not all(0 <= weight < math.inf for weight in weights) or not any(weights):
        raise DataError(
            "the candidates' weights are no shares: one is negative or not finite, or all are 0",
            fix="give numbers that are not negative, and not only zeros",
        )
    return weights
