"""The mean and the standard deviation of the scores of systems that were trained with several seeds."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import mean, stdev

from regard.reports.compare.results import MeanScore, ScoredSystem, SeededScores

SEED = "-seed"


def name_with_seed(name: str, seed: int) -> str:
    """Return the name of a system with a seed, such as `modern-seed2`."""
    return f"{name}{SEED}{seed}"


def summarize_seeds(systems: Sequence[ScoredSystem]) -> tuple[SeededScores, ...]:
    """Return the scores of each group of systems that differ in their seed only, in the order of the systems."""
    groups: dict[str, list[ScoredSystem]] = {}
    for system in systems:
        groups.setdefault(system.name.rpartition(SEED)[0], []).append(system)
    return tuple(_summarize(name, group) for name, group in groups.items())


def _summarize(name: str, group: Sequence[ScoredSystem]) -> SeededScores:
    scores = {
        "BLEU": [system.bleu.value for system in group],
        "chrF": [system.chrf.value for system in group],
        "exact %": [100 * system.exact for system in group],
    }
    for metric in group[0].plugin_scores:
        scores[metric] = [system.plugin_scores[metric] for system in group]
    means = {
        metric: MeanScore(mean=mean(values), deviation=stdev(values) if len(values) > 1 else None)
        for metric, values in scores.items()
    }
    return SeededScores(name=name, count=len(group), scores=means)
