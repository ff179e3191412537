"""How sure a score is, and a difference of scores: the bootstrap over test sentences (Koehn 2004).

The statistics of each sentence, the draws and the test are those of sacreBLEU's paired bootstrap; here
each system is drawn once for all, and its interval has two bounds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sacrebleu.metrics.base import Metric

from regard.errors import DataError

SAMPLES = 1000
SEED = 12345  # sacreBLEU's
DRAWN = 1 << 22  # sentences of samples that are held at a time

Floats = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Sure:
    """A corpus score, the bounds of its 95% bootstrap interval, and the paired bootstrap's p against the best.

    p is two-sided: how often a difference as large as the real one comes by chance. None for the best.
    """

    value: float
    low: float
    high: float
    p: float | None


def paired_bootstrap(
    systems: Mapping[str, Sequence[str]],
    references: Sequence[str],
    metric: Metric,
    *,
    lowest: bool = False,
    samples: int = SAMPLES,
    seed: int = SEED,
) -> dict[str, Sure]:
    """Each system's hypotheses, by name, against one reference each; the best by this metric is the one to beat.

    lowest: the least score is the best, as of TER. Raises DataError where a system has not as many hypotheses as there
    are references, or there are none.
    """
    for name, hypotheses in systems.items():
        if len(hypotheses) != len(references):
            raise DataError(
                f"{name} has {len(hypotheses)} hypotheses, and there are {len(references)} references",
                fix="give one hypothesis a reference, in the same order",
            )
    if not systems or not references:
        raise DataError("there is nothing to compare", fix="give at least one system and one line")
    statistics: dict[str, Floats] = {
        name: np.array(metric._extract_corpus_statistics(hypotheses, [references]), dtype=np.float64)
        for name, hypotheses in systems.items()
    }
    values = {name: _score(metric, own.sum(0)) for name, own in statistics.items()}
    scores: dict[str, list[float]] = {name: [] for name in systems}
    for draws in _draws(len(references), samples, seed):
        for name, own in statistics.items():
            scores[name] += [_score(metric, sums) for sums in draws @ own]
    drawn: dict[str, Floats] = {name: np.array(some) for name, some in scores.items()}
    best = (min if lowest else max)(values, key=lambda name: values[name])
    return {
        name: Sure(
            value,
            *_bounds(drawn[name]),
            None if name == best else _p(drawn[best] - drawn[name], values[best] - value),
        )
        for name, value in values.items()
    }


def _draws(sentences: int, samples: int, seed: int) -> Iterator[Floats]:
    """How often each sentence is in each sample, (some samples, sentences) at a time; the same however they come."""
    dice = np.random.default_rng(seed)
    rows = max(1, DRAWN // sentences)
    for first in range(0, samples, rows):
        chosen = dice.choice(sentences, size=(min(rows, samples - first), sentences), replace=True)
        yield np.stack([np.bincount(row, minlength=sentences) for row in chosen]).astype(np.float64)


def _score(metric: Metric, sums: Floats) -> float:
    return float(metric._compute_score_from_stats(sums.tolist()).score)


def _bounds(scores: Floats) -> tuple[float, float]:
    ordered = np.sort(scores)
    cut = len(ordered) // 40  # 2.5% at either end
    return float(ordered[cut]), float(ordered[-1 - cut])


def _p(differences: Floats, real: float) -> float:
    """The share of samples whose difference lies as far from their mean as the real one from 0; 1 between equals."""
    size = np.abs(differences)
    as_large = np.count_nonzero(size - size.mean() >= abs(real))
    return float((as_large + 1) / (len(size) + 1))
