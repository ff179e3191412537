"""Bootstrap intervals of scores, and paired significance tests between systems (Koehn 2004).

Sentence statistics and resampling are those of sacreBLEU's paired bootstrap. Unlike there, all systems share one set of
resamples, an interval has two bounds, and the test is two-sided. sacreBLEU counts differences d with
|d| - mean |d| >= observed, so that its p-values are about half as large.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sacrebleu.metrics.base import Metric

from regard.errors import DataError

SAMPLES = 1000
SEED = 12345  # sacreBLEU's
SIGNIFICANCE_LEVEL = 0.05
_CHUNK_SENTENCES = 1 << 22  # sentences of resamples in memory at a time

Floats = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class BootstrapInterval:
    """A corpus score with its 95% interval: of a bootstrap, or Wilson's of a share.

    Attributes:
        value: The score on the whole test set.
        low: Lower bound of the interval.
        high: Upper bound of the interval.
        p: Two-sided p-value of the paired bootstrap test (or McNemar's test) against the best system: the probability
            of a difference at least this large by chance. None for the best system.
    """

    value: float
    low: float
    high: float
    p: float | None = None


def paired_bootstrap(
    systems: Mapping[str, Sequence[str]],
    references: Sequence[str],
    metric: Metric,
    *,
    lower_is_better: bool = False,
    samples: int = SAMPLES,
    seed: int = SEED,
) -> dict[str, BootstrapInterval]:
    """Score the hypotheses of each system with a bootstrap interval, and test each system against the best one.

    Args:
        systems: Hypotheses by system name.
        references: One reference for each hypothesis.
        metric: The corpus metric.
        lower_is_better: The lowest score is the best, as for TER.
        samples: Number of bootstrap resamples.
        seed: Seed of the resampling.

    Raises:
        DataError: A system does not have one hypothesis for each reference, or there is no system or no reference.
    """
    for name, hypotheses in systems.items():
        if len(hypotheses) != len(references):
            raise DataError(
                f"{name} has {len(hypotheses)} hypotheses, and there are {len(references)} references",
                fix="give one hypothesis for each reference, in the same order",
            )
    if not systems or not references:
        raise DataError("there is nothing to compare", fix="give at least one system and one reference")
    statistics: dict[str, Floats] = {
        name: np.array(metric._extract_corpus_statistics(hypotheses, [references]), dtype=np.float64)
        for name, hypotheses in systems.items()
    }
    values = {name: _score(metric, sentences.sum(0)) for name, sentences in statistics.items()}
    resampled = _resampled_scores(statistics, partial(_score, metric), samples, seed)
    best = (min if lower_is_better else max)(values, key=lambda name: values[name])
    return {
        name: BootstrapInterval(
            value,
            *_bounds(resampled[name]),
            None if name == best else _p_value(resampled[best] - resampled[name], values[best] - value),
        )
        for name, value in values.items()
    }


def compare_shares(hits: Mapping[str, Sequence[bool]]) -> dict[str, BootstrapInterval]:
    """Return each system's share of hits, 0 to 1, with its 95% interval, and test each against the best system.

    The interval is Wilson's (1927), which has a width at shares of 0 and 1, too. The test is McNemar's (1947), exact:
    of the sentences that only one of two systems hits, it is the two-sided probability of a split between them at
    least this uneven. Unlike a bootstrap, both are valid for few sentences.

    Args:
        hits: (N,) for each system, whether each sentence is a hit, such as an exact match.

    Raises:
        DataError: There is no system or no sentence, or the systems have different numbers of sentences.
    """
    lengths = {len(is_hit) for is_hit in hits.values()}
    if len(lengths) != 1 or lengths == {0}:
        raise DataError("there is nothing to compare", fix="give each system the same sentences, at least one")
    (sentences,) = lengths
    best = max(hits, key=lambda name: sum(hits[name]))
    return {
        name: BootstrapInterval(
            sum(is_hit) / sentences,
            *_wilson(sum(is_hit), sentences),
            None if name == best else _mcnemar(hits[best], is_hit),
        )
        for name, is_hit in hits.items()
    }


def _wilson(hits: int, total: int) -> tuple[float, float]:
    """Return the bounds of Wilson's 95% interval of a share."""
    z = NormalDist().inv_cdf(0.975)
    centre, width = hits + z * z / 2, z * math.sqrt(hits * (total - hits) / total + z * z / 4)
    low, high = (centre - width) / (total + z * z), (centre + width) / (total + z * z)
    return (0.0 if hits == 0 else low), (1.0 if hits == total else high)


def _mcnemar(first: Sequence[bool], second: Sequence[bool]) -> float:
    """Return the two-sided p-value of McNemar's exact test."""
    only_first = sum(a and not b for a, b in zip(first, second, strict=True))
    only_second = sum(b and not a for a, b in zip(first, second, strict=True))
    total = only_first + only_second
    ways = tail = 1  # of choosing `count` of the sentences, and of choosing that many or fewer
    for count in range(1, min(only_first, only_second) + 1):
        ways = ways * (total - count + 1) // count
        tail += ways
    return min(1.0, float(Fraction(2 * tail, 2**total)))


def _resampled_scores(
    statistics: Mapping[str, Floats], score: Callable[[Floats], float], samples: int, seed: int
) -> dict[str, Floats]:
    """Return (samples,) scores of each system, of resamples that all systems share.

    Args:
        statistics: (N, statistics) of each system, whose sums over sentences determine its score.
        score: Returns the score of such sums.
        samples: Number of bootstrap resamples.
        seed: Seed of the resampling.
    """
    scores: dict[str, list[float]] = {name: [] for name in statistics}
    for counts in _resample(len(next(iter(statistics.values()))), samples, seed):
        for name, sentences in statistics.items():
            scores[name] += [score(sums) for sums in counts @ sentences]
    return {name: np.array(values) for name, values in scores.items()}


def _resample(sentences: int, samples: int, seed: int) -> Iterator[Floats]:
    """Yield chunks of shape (resamples, sentences): how often each resample draws each sentence.

    The draws do not depend on the size of a chunk.
    """
    generator = np.random.default_rng(seed)
    chunk = max(1, _CHUNK_SENTENCES // sentences)
    for first in range(0, samples, chunk):
        drawn = generator.choice(sentences, size=(min(chunk, samples - first), sentences), replace=True)
        yield np.stack([np.bincount(row, minlength=sentences) for row in drawn]).astype(np.float64)


def _score(metric: Metric, sums: Floats) -> float:
    return float(metric._compute_score_from_stats(sums.tolist()).score)


def _bounds(scores: Floats) -> tuple[float, float]:
    ordered = np.sort(scores)
    cut = len(ordered) // 40  # 2.5% at each end
    return float(ordered[cut]), float(ordered[-1 - cut])


def _p_value(differences: Floats, observed: float) -> float:
    """Return the share of resamples whose difference deviates from the mean at least as much as observed from 0.

    Both directions count. The observed difference is one more resample, so that the share is never 0.
    """
    as_large = np.count_nonzero(np.abs(differences - differences.mean()) >= abs(observed))
    return float((as_large + 1) / (len(differences) + 1))
