"""Minimum Bayes risk selection: the candidate with the highest expected chrF (Kumar and Byrne 2004)."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from itertools import combinations
from typing import TYPE_CHECKING

from regard.errors import DataError

if TYPE_CHECKING:
    from sacrebleu.metrics.chrf import CHRF

ROUNDING = 1e-9  # relative difference of two sums that counts as a tie


def mbr_select(candidates: Sequence[str], weights: Sequence[float] | None = None) -> int:
    """Return the index of the candidate with the highest chrF, averaged over all candidates as references.

    Each candidate is also a reference for itself, with a chrF of 100. Equal candidates count once for each
    occurrence. The first of several equally good candidates is chosen.

    Args:
        candidates: The texts to choose from.
        weights: Weight of each candidate as a reference, for example its probability, in any unit. None weighs all
            the same, which is right for samples (Eikema and Aziz 2020).

    Raises:
        DataError: There are no candidates, the number of weights differs, or a weight is negative or not finite, or
            all weights are 0.
    """
    from sacrebleu.metrics.chrf import CHRF

    shares: dict[str, float] = {}
    for text, weight in zip(candidates, _check_weights(candidates, weights), strict=True):
        shares[text] = shares.get(text, 0.0) + weight
    metric = CHRF()
    grams = {text: metric._extract_reference_info([text])["ref_ngrams"][0] for text in shares}
    expected = {text: 100 * share for text, share in shares.items()}
    for first, second in combinations(shares, 2):
        forward, backward = _chrf_both_ways(metric, grams[first], grams[second])
        expected[first] += shares[second] * forward
        expected[second] += shares[first] * backward
    threshold = max(expected.values()) * (1 - ROUNDING)  # chrF ignores spaces: "95 896" and "958 96" tie
    return candidates.index(next(text for text in shares if expected[text] >= threshold))


def _chrf_both_ways(metric: CHRF, first: Sequence[Counter[str]], second: Sequence[Counter[str]]) -> tuple[float, float]:
    """Return the chrF of the first sentence against the second, and of the second against the first.

    Args:
        metric: The metric.
        first: Character n-grams of the first sentence, one counter for each order.
        second: The same of the second sentence.
    """
    counts = [metric._get_match_statistics(ours, theirs) for ours, theirs in zip(first, second, strict=True)]
    forward = [count for ours, theirs, matches in counts for count in (ours, theirs, matches)]
    backward = [count for ours, theirs, matches in counts for count in (theirs, ours, matches)]
    return metric._compute_f_score(forward), metric._compute_f_score(backward)


def _check_weights(candidates: Sequence[str], weights: Sequence[float] | None) -> Sequence[float]:
    if not candidates:
        raise DataError("there are no candidates to choose from", fix="give at least one")
    if weights is None:
        return [1.0] * len(candidates)
    if len(weights) != len(candidates):
        raise DataError(
            f"there are {len(weights)} weights for {len(candidates)} candidates",
            fix="give one weight for each candidate",
        )
    if not all(0 <= weight < math.inf for weight in weights) or not any(weights):
        raise DataError(
            "the weights of the candidates are not valid: one is negative or not finite, or all are 0",
            fix="give weights that are finite and not negative, at least one above 0",
        )
    return weights
