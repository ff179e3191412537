"""The mean and the standard deviation of the scores of systems that were trained with several seeds."""

from __future__ import annotations

import re
from collections.abc import Sequence
from statistics import mean, stdev

from regard.reports.compare.results import MeanScore, ScoredSystem, SeededScores

EXACT = "exact %"  # name of a score
BLEU = "BLEU"
_SEED = re.compile(r"-seed(\d+)$")


def name_with_seed(name: str, seed: int) -> str:
    """Return the name of a system with a seed, such as `modern-seed2`."""
    return f"{name}-seed{seed}"


def split_seed(name: str) -> tuple[str, int | None]:
    """Return the name without the seed, and the seed; None if the name has none."""
    match = _SEED.search(name)
    return (name, None) if match is None else (name[: match.start()], int(match[1]))


def summarize_seeds(systems: Sequence[ScoredSystem]) -> tuple[SeededScores, ...]:
    """Return the scores of each group of systems that differ in their seed only, in the order of the systems."""
    groups: dict[str, list[ScoredSystem]] = {}
    for system in systems:
        groups.setdefault(split_seed(system.name)[0], []).append(system)
    return tuple(_summarize(name, group) for name, group in groups.items())


def first_seeds(systems: Sequence[ScoredSystem]) -> list[ScoredSystem]:
    """Return the first system of each group of systems that differ in their seed only."""
    firsts: dict[str, ScoredSystem] = {}
    for system in systems:
        firsts.setdefault(split_seed(system.name)[0], system)
    return list(firsts.values())


def system_scores(system: ScoredSystem) -> dict[str, float]:
    """Return the scores of a system by the names of their metrics."""
    scores = {BLEU: system.bleu.value, "chrF": system.chrf.value, EXACT: 100 * system.exact}
    return {**scores, **system.plugin_scores}


def mean_score(values: Sequence[float]) -> MeanScore:
    """Return the mean of a score and its sample standard deviation."""
    return MeanScore(mean=mean(values), deviation=stdev(values) if len(values) > 1 else None)


def _summarize(name: str, group: Sequence[ScoredSystem]) -> SeededScores:
    scores = [system_scores(system) for system in group]
    means = {metric: mean_score([part[metric] for part in scores]) for metric in scores[0]}
    return SeededScores(name=name, count=len(group), scores=means)
